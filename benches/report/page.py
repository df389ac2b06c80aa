"""The page: one file of text, tables and drawings, that loads nothing else."""

import html
import statistics
from collections.abc import Iterator
from pathlib import Path
from string import Template

from benches.curves import Curve
from benches.report import canvas, plots, ratios, tables
from benches.report.findings import Findings, Question, Run

# Plots of curves, with what is to be seen in them.
_CURVES = {
    "threads": (
        lambda curve, run: plots.speedup(curve, int(run.machine["cores"])),
        "Each line by its own rate at one thread. The dotted line is perfect scaling: beyond the cores there is nothing to gain.",
    ),
    "batch": (
        lambda curve, run: plots.along(curve, of_best=True),
        "Each line by its own best, since reading is many times faster than decoding.",
    ),
    "dataset": (
        lambda curve, run: plots.along(curve),
        "Images of 100 bytes, so that nothing hides what a sample itself costs.",
    ),
    "dataset-memory": (
        lambda curve, run: plots.along(curve, from_zero=False),
        "The process at its peak, and what of it is the index.",
    ),
    "dataset-open": (
        lambda curve, run: plots.along(curve, from_zero=False),
        "Opening by the saved index, and the first shuffled batch.",
    ),
    "image": (
        lambda curve, run: plots.along(curve),
        "Megapixels of the stored image; a crop decodes only the part that it needs.",
    ),
}


# Of these only whether they rise is of interest.
_MEMORIES = {
    "memory-decodes": "What stays resident while one Reader decodes batch after batch.",
    "memory-pack": "The peak of a process that packs so many images: it must not grow with them.",
}


def page(findings: Findings) -> str:
    """HTML. What was not measured has no section."""
    body = "\n".join(part for part in _parts(findings) if part)
    light, dark = (
        " ".join(f"--{name}: {colour};" for name, colour in each.items())
        for each in (canvas.COLOURS, canvas.DARK)
    )
    template = Template(Path(__file__).with_name("page.html").read_text())
    return template.substitute(light=light, dark=dark, body=body)


def _parts(findings: Findings) -> Iterator[str]:
    asked = [findings.questions[name] for name in tables.QUESTIONS if name in findings.questions]
    sections = [
        (
            "rivals",
            "Beside other libraries",
            _RIVALS,
            [_question(one) for one in asked] + [_missing(findings)],
        ),
        ("memory", "BufferPool", _MEMORY, _memories(findings, asked)),
        ("loops", "Beside plain C loops", _LOOPS, _comparisons(findings)),
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
    yield f"<h1>fastpack: what was measured</h1>\n<p class='soft'>{_about(findings)}</p>\n<nav>{links}</nav>"
    yield _tiles(asked)
    for name, title, about, cards in shown:
        yield f'<h2 id="{name}">{title}</h2>\n<p class="soft">{about}</p>\n<div class="cards">{"".join(cards)}</div>'


_RIVALS = (
    "Each library runs in an interpreter of its own; turns go round, A B C, B C A, and a ratio compares two libraries in the same round. "
    "Bars are medians, thin lines reach from the slowest to the fastest round."
    '<span class="key"><span><i style="background: var(--ours)"></i>fastpack</span>'
    '<span><i style="background: var(--other)"></i>other libraries</span>'
    '<span><i style="background: var(--yardstick)"></i>plain programs: the same work with no library around it</span></span>'
)
_MEMORY = (
    "The peak of what belongs to a library's processes, shared pages divided among them, without pages of files that the system can take "
    "back. Measured in a turn that is not timed."
)
_LOOPS = "fastpack's kernels and Reader beside plain loops in C and others in the same interpreter, by turns. 1 is as fast as the yardstick."
_SCALING = "Points are medians; the shade reaches from the least to the most of the rounds. Points of all lines took turns."
_CACHE = "The same files from the page cache, and after the system was asked to forget them."
_STAGES = "Samples of a profiler, by the function that was at work, sorted into stages."
_RUNS = "Every figure on this page stands in one of these files. Of a question asked more than once, the run with the most rounds counts."


def _about(findings: Findings) -> str:
    machines = dict.fromkeys(
        f"{run.machine.get('processor', '')}, {run.machine.get('cores', '?')} cores"
        for run in findings.runs
    )
    return f"On {html.escape('; '.join(machines))}. Ratios within a round are worth more than absolute figures: measure on your own machine."


def _tiles(asked: list[Question]) -> str:
    """What one wants to know first: how many times the fastest other library."""
    tiles = []
    for question in asked:
        ours, other = question.fastest("ours"), question.fastest("other")
        if ours and other:
            ratios = ours.ratios(other)
            ratio = statistics.median(ratios)
            tiles.append(
                f'<div class="tile{" ahead" * (ratio > 1)}"><small>{html.escape(_title(question))}</small><b>{ratio:.2f} &times;</b>'
                f"<small>the speed of {html.escape(other.name)}, the fastest other ({min(ratios):.2f} to {max(ratios):.2f})</small></div>"
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
        if any(standing.peak_mb for standing in one.standings)
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
    return f'<div class="card wide"><h3>Missing</h3><p>These could not take part.</p><table class="stacked">{rows}</table></div>'


def _comparisons(findings: Findings) -> list[str]:
    found = ratios.families(list(findings.comparisons.values()))
    return [_card(family.title, "", ratios.plot(family), tables.ratios(family)) for family in found]


def _curve(curve: Curve, run: Run) -> str:
    draw, about = _CURVES[curve.name]
    return _card(curve.title, about, draw(curve, run), tables.curve(curve), run=run)


def _cache(curve: Curve, run: Run) -> str:
    about = "Threads that read ahead hide the disk as long as decoding takes longer."
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
        told = ", ".join(
            f"{name} {value}" for name, value in facts.items() if value not in ("", None)
        )
        load = f"load average at its end: {float(run.machine.get('load_average', 0)):.1f}"
        busy = (
            f'<span class="busy">{load}: the machine was busy, figures of this run say little</span>'
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
            f'<tr><td>{html.escape(run.name)}</td><td class="text">{command}{measured}{html.escape(told)}<br>{busy}</td></tr>'
        )
    return f'<div class="card wide"><table class="stacked">{"".join(rows)}</table></div>'


def _card(
    title: str, about: str, drawn: str, table: str, *, run: Run | None = None, wide: bool = False
) -> str:
    said = f"<p>{html.escape(about)}</p>" if about else ""
    busy = (
        '<p class="busy">The machine was busy meanwhile: look at the spans.</p>'
        if run and run.was_busy
        else ""
    )
    figures = (
        f'<details><summary>Figures</summary><div class="scroll">{_html_table(table)}</div></details>'
        if table
        else ""
    )
    return f'<div class="card{" wide" * wide}"><h3>{html.escape(title)}</h3>{said}{busy}{drawn}{figures}</div>\n'


def _html_table(markdown: str) -> str:
    """Our own Markdown tables alone: a head, a line of alignments, rows."""
    head, alignments, *rows = [
        line.strip("| ").split("|") if line.strip("| ") else [] for line in _padded(markdown)
    ]
    kinds = ["figure" if "--:" in cell else "" for cell in alignments]
    lines = [_html_row(head, kinds, "th"), *(_html_row(row, kinds, "td") for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def _padded(markdown: str) -> list[str]:
    """Cells that are empty at the edge of a row stay cells."""
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
