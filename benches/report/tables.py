"""Markdown tables of results, and their places in documents."""

import re
import statistics
from collections.abc import Iterator

from benches.curves import Curve, Position, readable
from benches.report.findings import Findings, Profile, Question, RivalResult, Run
from benches.report.plots import thousands
from benches.report.ratios import Family

# Short names of the questions, in the order in which they are shown.
QUESTIONS = {
    "train": "training batches: shuffled random crops of 224, decoded",
    "eval": "evaluation batches: center crops of 224, decoded",
    "decode": "whole JPEGs to RGB",
    "records": "encoded images, shuffled",
    "pixels": "HDF5 pixels, shuffled",
    "open": "open 500,000 images, first batch",
    "pack": "packing a list of files",
}


def summary(findings: Findings) -> str:
    """Return a row for each question: fastpack, the fastest other library, their ratio."""
    lines = [
        "| | fastpack | fastest other library | ratio (min..max) | peak MB |",
        "|---|--:|--:|--:|--:|",
    ]
    lines += [
        _summary_row(QUESTIONS[name], findings.questions[name])
        for name in QUESTIONS
        if name in findings.questions
    ]
    return "\n".join([*lines, "", *_notes(findings)])


def _summary_row(title: str, question: Question) -> str:
    ours, other = question.fastest("ours"), question.fastest("other")
    if ours is None:
        return f"| {title} | | | | |"
    speed = (
        f"{_speed(question, ours)} ({ours.name.removeprefix('fastpack').strip(', ') or 'fastpack'})"
    )
    if other is None:
        return f"| {title} | {speed} | | | {ours.peak_mb:,.0f} |"
    return (
        f"| {title} | {speed} | {_speed(question, other)} ({other.name}) "
        f"| {_spread(ours.ratios(other))} | {ours.peak_mb:,.0f} : {other.peak_mb:,.0f} |"
    )


def _speed(question: Question, result: RivalResult) -> str:
    return (
        f"{thousands(1e3 * result.time)} ms" if question.is_timed else f"{thousands(result.rate)}/s"
    )


def _spread(ratios: list[float]) -> str:
    """
    >>> _spread([1.5, 1.25, 2.0])
    '**1.50** (1.25..2.00)'
    >>> _spread([0.00251])
    '**0.0025** (0.0025..0.0025)'
    """
    median, least, most = (
        f"{ratio:.2f}" if ratio >= 0.01 else f"{ratio:.2g}"
        for ratio in (statistics.median(ratios), min(ratios), max(ratios))
    )
    return f"**{median}** ({least}..{most})"


def _notes(findings: Findings) -> Iterator[str]:
    yield "Ratios are medians over interleaved rounds; above 1 fastpack is faster."
    asked = {question.run.name for question in findings.questions.values()}
    runs = [run for run in findings.runs if run.name in asked]
    machines = dict.fromkeys(
        f"{run.machine.get('processor', 'processor')}, {run.machine.get('cores', '?')} cores"
        for run in runs
    )
    loads = [float(run.machine.get("load_average", 0)) for run in runs]
    revisions = dict.fromkeys(run.revision for run in runs if run.revision)
    measured = f", revision {', '.join(revisions)}" if revisions else ""
    yield f"Measured on {'; '.join(machines)}{measured}."
    yield f"Load averages: {min(loads):.1f} to {max(loads):.1f}."
    if any(run.was_busy for run in runs):
        yield "The machine was busy at times, which widens the ranges."
    if findings.missing:
        yield f"Missing: {'; '.join(findings.missing)}."


def machine_line(run: Run) -> str:
    """Return the machine and its load in one line: a busy machine's figures are not reliable."""
    machine = run.machine
    load = f"load average {float(machine.get('load_average', 0)):.1f}" + (
        ", so it was busy: see the ranges" if run.was_busy else ""
    )
    what = f"{machine.get('processor', 'processor')}, {machine.get('cores', '?')} cores, {load}"
    revision = f"revision {run.revision}" if run.revision else ""
    return ", ".join(
        part
        for part in (what, f"fastpack {machine.get('fastpack', '')}".strip(), revision, run.data)
        if part
    )


def runs(found: list[Run]) -> str:
    """Return a row for each file of results, with its machine and its command."""
    lines = ["| file | measured on | command |", "|---|---|---|"]
    lines += [f"| `{run.name}` | {machine_line(run)} | {_command(run)} |" for run in found]
    return "\n".join(lines)


def _command(run: Run) -> str:
    return f"`{run.command}`" if run.command else ""


def rivals(question: Question) -> str:
    """Return all rivals, fastest first; ratios are to fastpack's faster format."""
    ours = question.fastest("ours") or question.ranked[0]
    figure = "milliseconds" if question.is_timed else f"{question.unit}/s"
    lines = [
        f"| | version | {figure} | min..max | of {ours.name} | peak MB |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for one in question.ranked:
        found = [1e3 * seconds for seconds in one.seconds] if question.is_timed else one.rates
        name = f"**{one.name}**" if one.kind == "ours" else one.name
        low, high = thousands(min(found)), thousands(max(found))
        lines.append(
            f"| {name} | {one.version} | {thousands(statistics.median(found))} | {low}..{high} "
            f"| {_spread(one.ratios(ours))} | {one.peak_mb:,.0f} |"
        )
    return "\n".join([*lines, *(f"| {name} | missing | | | | |" for name in question.missing)])


def ratios(family: Family) -> str:
    """Return a row for each case, with speeds as multiples of the baseline's."""
    names = list(
        dict.fromkeys(one.name for case in family.cases.values() for one in family.rivals(case))
    )
    lines = [f"| | baseline | {' | '.join(names)} |", f"|---|---|{'--:|' * len(names)}"]
    for case, comparison in family.cases.items():
        baseline = family.baseline(comparison)
        found = {one.name: _spread(one.ratios(baseline)) for one in family.rivals(comparison)}
        lines.append(
            f"| {case} | {baseline.name} | {' | '.join(found.get(name, '') for name in names)} |"
        )
    return "\n".join(lines)


def curve(found: Curve) -> str:
    """Return a row for each position, with median and range of each line."""
    lines = [f"| {found.x_axis} | {' | '.join(found.lines)} |", f"|--:|{'--:|' * len(found.lines)}"]
    positions = list(
        dict.fromkeys(position for points in found.lines.values() for position in points)
    )
    for position in positions:
        cells = [_figures(points.get(position, [])) for points in found.lines.values()]
        lines.append(f"| {_written(position)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _figures(found: list[float]) -> str:
    if not found:
        return ""
    spread = f" ({_short(min(found))}..{_short(max(found))})" if len(found) > 1 else ""
    return f"{_short(statistics.median(found))}{spread}"


def _short(figure: float) -> str:
    return thousands(figure) if figure >= 100 else readable(figure)


def _written(position: Position) -> str:
    return (
        position
        if isinstance(position, str)
        else f"{position:,g}"
        if position < 1e6
        else f"{position:,.0f}"
    )


def profiles(found: list[Profile]) -> str:
    """Return a row for each stage: its share in each profile, and its hottest functions."""
    largest = {
        stage: max(profile.shares.get(stage, 0.0) for profile in found)
        for profile in found
        for stage in profile.shares
    }
    stages = sorted(largest, key=lambda stage: -largest[stage])
    lines = [
        f"| percent | {' | '.join(profile.name for profile in found)} | hottest functions |",
        f"|---|{'--:|' * len(found)}---|",
    ]
    for stage in stages:
        shares = [
            f"{share:.1f}" if (share := profile.shares.get(stage)) else "" for profile in found
        ]
        functions = dict.fromkeys(
            name
            for profile in found
            for name, share in profile.functions.get(stage, [])[:2]
            if share >= 1
        )
        lines.append(
            f"| {stage} | {' | '.join(shares)} | {', '.join(f'`{name}`' for name in functions)} |"
        )
    return "\n".join(lines)


def place(document: str, name: str, text: str) -> str:
    """Replace the text between the markers of that name; raise ValueError without markers.

    >>> place("a<!-- speed -->old<!-- /speed -->b", "speed", "new")
    'a<!-- speed -->\\nnew\\n<!-- /speed -->b'
    """
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    placed, count = re.subn(
        f"{re.escape(first)}.*?{re.escape(last)}",
        lambda _: f"{first}\n{text}\n{last}",
        document,
        flags=re.S,
    )
    if count != 1:
        raise ValueError(f"{first} and {last} must be in the document once, not {count} times")
    return placed
