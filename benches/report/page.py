"""HTML page: one file with text, tables and plots that loads nothing else."""

import html
import statistics
from collections.abc import Iterator
from pathlib import Path
from string import Template

from benches.curves import Curve
from benches.report import canvas, plots, ratios, tables
from benches.report.findings import Findings, Question, Run

# Plots of curves, with their captions.
_CURVES = {
    "threads": (
        lambda curve, run: plots.speedup(curve, int(run.machine["cores"])),
        "Each line is relative to its rate at one thread. The dotted line is perfect scaling, "
        "which ends at the number of cores.",
    ),
    "batch": (
        lambda curve, run: plots.along(curve, of_best=True),
        "Each line is relative to its best, since reading is many times faster than decoding.",
    ),
    "dataset": (
        lambda curve, run: plots.along(curve),
        "Images of 100 bytes, which show the cost of a sample itself.",
    ),
    "dataset-memory": (
        lambda curve, run: plots.along(curve, from_zero=False),
        "Peak of the process, and the size of its index.",
    ),
    "dataset-open": (
        lambda curve, run: plots.along(curve, from_zero=False),
        "Opening with the saved index, and the first shuffled batch.",
    ),
    "image": (
        lambda curve, run: plots.along(curve),
        "Megapixels of the stored image. A crop decodes only the part that it needs.",
    ),
}


# Curves in which only growth matters.
_MEMORIES = {
    "memory-decodes": "Resident memory while one Reader decodes batch after batch.",
    "memory-pack": "Peak of a process that packs this many images. It must not grow with them.",
}


def page(findings: Findings) -> str:
    """Return the page's HTML. A section without measurements is left out."""
    body = "\n".join(part for part in _parts(findings) if part)
    light, dark = (
        " ".join(f"--{name}: {color};" for name, color in each.items())
        for each in (canvas.COLORS, canvas.DARK)
    )
    template = Template(Path(__file__).with_name("page.html").read_text())
    return template.substitute(light=light, dark=dark, body=body)


def _parts(findings: Findings) -> Iterator[str]:
    asked = [findings.questions[name] for name in tables.QUESTIONS if name in findings.questions]
    sections = [
        (
            "rivals",
            "Other libraries",
            _RIVALS,
            [_question(one) for one in asked] + [_missing(findings)],
        ),
        ("memory", "Memory", _MEMORY, _memories(findings, asked)),
        ("loops", "Plain C loops", _LOOPS, _comparisons(findings)),
        (
            "scaling",
            "Scaling",
            _SCALING,
            [_curve(*findings.curves[name]) for name in _CURVES if name in findings.curves],
        ),
        (
            "cache",
            "Cold and warm",
            _CACHE,
            [_cache(*findings.curves["cache"])] if "cache" in findings.curves else [],
        ),
        ("stages", "Where the time goes", _STAGES, _profiles(findings)),
        ("runs", "How it was measured", _RUNS, [_runs(findings)]),
    ]
    shown = [
        (name, title, about, [card for card in cards if card])
        for name, title, about, cards in sections
    ]
    shown = [section for section in shown if section[3]]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _, _ in shown)
    yield f"<h1>fastpack: benchmarks</h1>\n<p class='soft'>{_about(findings)}</p>"
    yield f"<nav>{links}</nav>"
    yield _tiles(asked)
    for name, title, about, cards in shown:
        yield f'<h2 id="{name}">{title}</h2>\n<p class="soft">{about}</p>'
        yield f'<div class="cards">{"".join(cards)}</div>'


_RIVALS = (
    "Each library runs in an interpreter of its own, in interleaved rounds: A B C, B C A. A ratio "
    "compares two libraries in the same round. Bars are medians. Thin lines reach from the slowest "
    "to the fastest round. "
    '<span class="key"><span><i style="background: var(--ours)"></i>fastpack</span>'
    '<span><i style="background: var(--other)"></i>other libraries</span>'
    '<span><i style="background: var(--baseline)"></i>plain programs: the same '
    "work without a library</span></span>"
)
_MEMORY = (
    "Peak of the private memory of a library's processes, shared pages divided among them, "
    "without the page cache. Measured in a run that is not timed."
)
_LOOPS = (
    "fastpack's kernels and Reader, plain C loops and others in one interpreter, in interleaved "
    "rounds. 1 is the speed of the baseline."
)
_SCALING = (
    "Points are medians of interleaved rounds; the shade reaches from the minimum to the maximum."
)
_CACHE = "The same files from the page cache, and after their eviction."
_STAGES = "Samples of a profiler by stage; the running function decides the stage."
_RUNS = (
    "The files that have this page's figures. If several answer a question, the one with the most "
    "rounds counts."
)


def _about(findings: Findings) -> str:
    machines = dict.fromkeys(
        f"{run.machine.get('processor', '')}, {run.machine.get('cores', '?')} cores"
        for run in findings.runs
    )
    on = html.escape("; ".join(machines))
    return f"On {on}. Ratios transfer better than absolute figures: measure on your own machine."


def _tiles(asked: list[Question]) -> str:
    """Return the headline tiles: speed as a multiple of the fastest other library's."""
    tiles = []
    for question in asked:
        ours, other = question.fastest("ours"), question.fastest("other")
        if ours and other:
            ratios = ours.ratios(other)
            ratio = statistics.median(ratios)
            tiles.append(
                f'<div class="tile{" ahead" * (ratio > 1)}">'
                f"<small>{html.escape(_title(question))}</small><b>{ratio:.2f} &times;</b>"
                f"<small>the speed of {html.escape(other.name)}, the fastest other "
                f"({min(ratios):.2f} to {max(ratios):.2f})</small></div>"
            )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _title(question: Question) -> str:
    title = tables.QUESTIONS.get(question.name, question.name)
    return title[0].upper() + title[1:]


def _question(question: Question) -> str:
    drawn = plots.times(question) if question.is_timed else plots.rates(question)
    return _card(
        _title(question),
        question.title.partition(": ")[2],
        drawn,
        tables.rivals(question),
        run=question.run,
    )


def _memories(findings: Findings, asked: list[Question]) -> list[str]:
    peaks = [
        _card(_title(one), "", plots.memory(one), "")
        for one in asked
        if any(result.peak_mb for result in one.results)
    ]
    curves = [
        (findings.curves[name][0], about)
        for name, about in _MEMORIES.items()
        if name in findings.curves
    ]
    return peaks + [
        _card(curve.title, about, plots.along(curve, evenly=True), tables.curve(curve))
        for curve, about in curves
    ]


def _missing(findings: Findings) -> str:
    if not findings.missing:
        return ""
    rows = "".join(
        f'<tr><td>{html.escape(name)}</td><td class="text">{html.escape(why)}</td></tr>'
        for name, why in findings.missing.items()
    )
    table = f'<table class="stacked">{rows}</table>'
    return f'<div class="card wide"><h3>Missing</h3><p>These could not run.</p>{table}</div>'


def _comparisons(findings: Findings) -> list[str]:
    found = ratios.families(list(findings.comparisons.values()))
    return [_card(family.title, "", ratios.plot(family), tables.ratios(family)) for family in found]


def _curve(curve: Curve, run: Run) -> str:
    draw, about = _CURVES[curve.name]
    return _card(curve.title, about, draw(curve, run), tables.curve(curve), run=run)


def _cache(curve: Curve, run: Run) -> str:
    about = "Prefetching hides the disk as long as decoding takes longer."
    return _card("Page cache", about, plots.pairs(curve), tables.curve(curve), run=run)


def _profiles(findings: Findings) -> list[str]:
    found = list(findings.profiles.values())
    if not found:
        return []
    title = "; ".join(dict.fromkeys(f"{profile.name}: {profile.title}" for profile in found))
    return [_card("Stages", title, plots.stages(found), tables.profiles(found), wide=True)]


def _runs(findings: Findings) -> str:
    rows = []
    for run in findings.runs:
        facts = {name: value for name, value in run.machine.items() if name != "load_average"}
        facts_text = ", ".join(
            f"{name} {value}" for name, value in facts.items() if value not in ("", None)
        )
        load = f"load average at the end: {float(run.machine.get('load_average', 0)):.1f}"
        busy = (
            f'<span class="busy">{load}: the machine was busy, so figures are not reliable</span>'
            if run.was_busy
            else load
        )
        command = f"<code>{html.escape(run.command)}</code><br>" if run.command else ""
        measured = "".join(
            f"{html.escape(fact)}, "
            for fact in (f"revision {run.revision}" * bool(run.revision), run.data)
            if fact
        )
        rows.append(
            f'<tr><td>{html.escape(run.name)}</td><td class="text">'
            f"{command}{measured}{html.escape(facts_text)}<br>{busy}</td></tr>"
        )
    return f'<div class="card wide"><table class="stacked">{"".join(rows)}</table></div>'


def _card(
    title: str, about: str, drawn: str, table: str, *, run: Run | None = None, wide: bool = False
) -> str:
    caption = f"<p>{html.escape(about)}</p>" if about else ""
    busy = (
        '<p class="busy">The machine was busy: see the ranges.</p>' if run and run.was_busy else ""
    )
    figures = (
        "<details><summary>Figures</summary>"
        f'<div class="scroll">{_html_table(table)}</div></details>'
        if table
        else ""
    )
    content = f"<h3>{html.escape(title)}</h3>{caption}{busy}{drawn}{figures}"
    return f'<div class="card{" wide" * wide}">{content}</div>\n'


def _html_table(markdown: str) -> str:
    """Convert a Markdown table of our own: head, alignments, rows."""
    head, alignments, *rows = [
        line.strip("| ").split("|") if line.strip("| ") else [] for line in _padded(markdown)
    ]
    kinds = ["figure" if "--:" in cell else "" for cell in alignments]
    lines = [_html_row(head, kinds, "th"), *(_html_row(row, kinds, "td") for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def _padded(markdown: str) -> list[str]:
    """Split lines; empty cells at the edge of a row stay cells."""
    return [line.replace("||", "| |") for line in markdown.splitlines()]


def _html_row(cells: list[str], kinds: list[str], tag: str) -> str:
    written = []
    for number, kind in enumerate(kinds):
        cell = html.escape(cells[number].strip()) if number < len(cells) else ""
        for mark, name in (("**", "b"), ("`", "code")):
            while mark in cell:
                cell = cell.replace(mark, f"<{name}>", 1).replace(mark, f"</{name}>", 1)
        written.append(
            f'<{tag} class="{kind}">{cell}</{tag}>' if kind else f"<{tag}>{cell}</{tag}>"
        )
    return f"<tr>{''.join(written)}</tr>"
