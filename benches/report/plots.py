"""Plots of the page, drawn with matplotlib: bars for rivals, lines for curves."""

import statistics
import textwrap
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benches.curves import Curve, Position, readable
from benches.report.canvas import COLORS, SERIES, figure_of, on_card, styled, svg_of, tip
from benches.report.findings import Profile, Question, RivalResult

_NAME_LETTERS = 30
_TITLE_LETTERS = 40
_REST = "the rest"
_SMALL_SHARE = 3.0


def thousands(figure: float) -> str:
    """Format a figure, such as 1,240 or 0.52."""
    return f"{figure:,.0f}" if figure >= 100 else readable(figure)


@styled
def rates(question: Question) -> str:
    """Draw a bar for each rival, fastest first, with the range of its rounds."""
    figure, axes = figure_of(_bars_height(question.results))
    _rate_bars(axes, question)
    axes.set_xlabel(f"{question.unit}/s, {_rounds(question, 'slowest to fastest')}; more is better")
    return svg_of(figure)


def _rounds(question: Question, extremes: str) -> str:
    return (
        "one round"
        if question.num_rounds == 1
        else f"median of {question.num_rounds} rounds (line: {extremes})"
    )


def _rate_bars(axes: Axes, question: Question) -> None:
    _bars(
        axes,
        [
            (one, one.rate, min(one.rates), max(one.rates), thousands(one.rate))
            for one in question.ranked
        ],
        question.unit + "/s",
    )


@styled
def times(question: Question) -> str:
    """Draw a point for each rival on a logarithmic axis: times differ by powers of ten."""
    figure, axes = figure_of(_bars_height(question.results))
    ranked = sorted(question.results, key=lambda one: one.time)
    for place, one in enumerate(ranked):
        low, high = 1e3 * min(one.seconds), 1e3 * max(one.seconds)
        axes.plot(
            [low, high],
            [place, place],
            color=COLORS[one.kind],
            linewidth=2.5,
            alpha=0.45,
            solid_capstyle="round",
        )
        (dot,) = axes.plot([1e3 * one.time], [place], "o", color=COLORS[one.kind], markersize=7)
        tip(
            dot,
            f"{one.name} {one.version}: {thousands(1e3 * one.time)} ms "
            f"({thousands(low)} to {thousands(high)})",
        )
        axes.annotate(
            f"{thousands(1e3 * one.time)} ms",
            (high, place),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    axes.set_xscale("log")
    first, last = axes.get_xlim()
    axes.set_xlim(first, last * (last / first) ** 0.16)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"milliseconds, {_rounds(question, 'fastest to slowest')}; less is better")
    _names(axes, ranked)
    return svg_of(figure)


@styled
def memory(question: Question) -> str:
    """Draw a bar for each rival, smallest first."""
    figure, axes = figure_of(_bars_height(question.results))
    ranked = sorted(question.results, key=lambda one: one.peak_mb)
    _bars(
        axes,
        [(one, one.peak_mb, one.peak_mb, one.peak_mb, thousands(one.peak_mb)) for one in ranked],
        "MB",
    )
    axes.set_xlabel("MB at the peak, of all its processes, without the page cache; less is better")
    return svg_of(figure)


@styled
def speedup(curve: Curve, cores: int) -> str:
    """Draw rates relative to one thread, both axes logarithmic: perfect scaling is straight."""
    figure, axes = figure_of(3.1)
    lines = {
        name: _divided(points, statistics.median(points[min(points)]))
        for name, points in curve.lines.items()
    }
    counts = sorted({float(position) for points in lines.values() for position in points})
    perfect = [min(count, cores) for count in counts]
    axes.plot(counts, perfect, color=COLORS["soft"], linewidth=1, linestyle=(0, (2, 3)))
    where = (counts[-1], perfect[-1])
    axes.annotate(
        "perfect",
        where,
        (0, 5),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=COLORS["soft"],
    )
    _lines(axes, lines, "times one thread")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _number_ticks(axes, counts)
    axes.set(
        xlabel=curve.x_axis,
        ylabel="times one thread",
        ylim=(min(0.5, axes.get_ylim()[0]), 1.25 * perfect[-1]),
    )
    return svg_of(figure)


@styled
def along(
    curve: Curve, *, from_zero: bool = True, of_best: bool = False, evenly: bool = False
) -> str:
    """Draw figures along a logarithmic axis, or `evenly`; `of_best` divides by each line's best."""
    figure, axes = figure_of(3.1)
    lines = curve.lines
    if of_best:
        lines = {
            name: _divided(points, max(curve.medians(name).values()))
            for name, points in lines.items()
        }
    unit = "of its best" if of_best else curve.y_axis
    _lines(axes, lines, unit)
    if evenly:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    else:
        axes.set_xscale("log")
        _number_ticks(
            axes, sorted({float(position) for points in lines.values() for position in points})
        )
    axes.set(xlabel=curve.x_axis, ylabel=unit)
    if from_zero:
        axes.set_ylim(0, 1.08 * axes.get_ylim()[1])  # room below the legend
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    return svg_of(figure)


@styled
def pairs(curve: Curve) -> str:
    """Draw bars side by side for each kind, as shares of the first line's."""
    first, *others = curve.lines
    kinds = list(curve.lines[first])
    figure, axes = figure_of(0.6 + 0.5 * len(kinds))
    height = 0.76 / (1 + len(others))
    for number, line in enumerate([first, *others]):
        for place, kind in enumerate(kinds):
            whole = statistics.median(curve.lines[first][kind])
            found = [each / whole for each in curve.lines[line][kind]]
            y = place + (number - len(others) / 2) * height
            color = COLORS[("ours", "other")[number % 2]]
            (bar,) = axes.barh(
                [y],
                [statistics.median(found)],
                height=height * 0.9,
                color=color,
                label=line if place == 0 else None,
            )
            axes.plot([min(found), max(found)], [y, y], color=COLORS["ink"], linewidth=0.9)
            rate = statistics.median(curve.lines[line][kind])
            axes.annotate(
                f"{thousands(rate)}/s",
                (max(found), y),
                (6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
            )
            tip(bar, f"{kind}, {line}: {thousands(rate)} {curve.y_axis}")
    axes.set_yticks(range(len(kinds)), kinds, color=COLORS["ink"])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, axes.get_xlim()[1] * 1.12)
    axes.set_xlabel(f"share of the speed when {first}; more is better")
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=1 + len(others),
        borderaxespad=0,
        handlelength=1,
        handleheight=1,
    )
    return svg_of(figure)


@styled
def stages(profiles: Sequence[Profile]) -> str:
    """Draw a stacked bar of stages for each profile; stages that are always small are merged."""
    shares = {profile.name: _large_stages(profile, profiles) for profile in profiles}
    figure, axes = figure_of(0.95 + 0.5 * len(shares))
    names = [
        *dict.fromkeys(stage for found in shares.values() for stage in found if stage != _REST),
        _REST,
    ]
    colors = dict(zip(names, SERIES, strict=False)) | {_REST: "other"}
    for place, (name, found) in enumerate(shares.items()):
        start = 0.0
        for stage in (stage for stage in names if found.get(stage, 0) > 0):
            (bar,) = axes.barh(
                [place],
                [found[stage]],
                left=start,
                height=0.62,
                color=COLORS[colors[stage]],
                edgecolor="none",
            )
            tip(bar, f"{name}, {stage}: {found[stage]:.1f} %")
            if found[stage] >= 4:
                axes.text(
                    start + found[stage] / 2,
                    place,
                    f"{found[stage]:.0f}",
                    ha="center",
                    va="center",
                    fontsize=8.5,
                    color=COLORS["paper"],
                )
            start += found[stage]
    axes.set_yticks(range(len(shares)), list(shares), color=COLORS["ink"])
    axes.invert_yaxis()
    axes.set(xlabel="percent of the processor's time", xlim=(0, 100))
    axes.grid(visible=False)
    shown = [mpl.patches.Patch(color=COLORS[colors[stage]], label=stage) for stage in names]
    axes.legend(
        handles=shown,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=4,
        borderaxespad=0,
        handlelength=1,
        handleheight=1,
    )
    return svg_of(figure)


def _large_stages(profile: Profile, profiles: Sequence[Profile]) -> dict[str, float]:
    largest: dict[str, float] = {}
    for each in profiles:
        for stage, share in each.shares.items():
            largest[stage] = max(share, largest.get(stage, 0.0))
    kept = sorted(largest, key=lambda stage: -largest[stage])[: len(SERIES)]
    found = {
        stage: share
        for stage, share in profile.shares.items()
        if stage in kept and largest[stage] >= _SMALL_SHARE
    }
    return found | {_REST: 100 - sum(found.values())}


@styled
def poster(questions: Sequence[tuple[str, Question]]) -> str:
    """Draw the README's chart: two questions in a row on a card, for light and dark pages."""
    rows = [questions[first : first + 2] for first in range(0, len(questions), 2)]
    heights = [max(_bars_height(question.results) for _, question in row) for row in rows]
    figure = Figure(figsize=(11, sum(heights) + 0.35 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), 2, squeeze=False, height_ratios=heights)
    for row, cells in zip(rows, grid, strict=True):
        for axes, (title, question) in zip(cells, row, strict=False):
            _rate_bars(axes, question)
            axes.set_title("\n".join(textwrap.wrap(title, _TITLE_LETTERS)))
            axes.set_xlabel(f"{question.unit}/s")
            axes.set_ylim(
                max(len(other.results) for _, other in row) - 0.45, -0.55
            )  # so that all bars of a row have the same height
        for axes in cells[len(row) :]:
            axes.set_visible(False)
    return on_card(svg_of(figure))


def _bars_height(results: Sequence[RivalResult]) -> float:
    return 0.6 + 0.33 * len(results)


def _bars(
    axes: Axes, rows: Sequence[tuple[RivalResult, float, float, float, str]], unit: str
) -> None:
    """Draw bars of (result, value, minimum, maximum, label)."""
    for place, (one, value, low, high, written) in enumerate(rows):
        (bar,) = axes.barh([place], [value], height=0.66, color=COLORS[one.kind])
        spread = f" ({thousands(low)} to {thousands(high)})" if high > low else ""
        tip(bar, f"{one.name} {one.version}: {thousands(value)} {unit}{spread}")
        if high > low:
            axes.plot([low, high], [place, place], color=COLORS["ink"], linewidth=0.9)
        weight = "bold" if one.kind == "ours" else "normal"
        axes.annotate(
            written,
            (max(value, high), place),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            fontweight=weight,
        )
    axes.set_xlim(0, 1.14 * max(high for _, _, _, high, _ in rows))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    _names(axes, [one for one, *_ in rows])


def _names(axes: Axes, results: Sequence[RivalResult]) -> None:
    names = ["\n".join(textwrap.wrap(one.name, _NAME_LETTERS)) for one in results]
    axes.set_yticks(
        range(len(names)),
        names,
        color=COLORS["ink"],
        fontsize=8.5,
        linespacing=1.15,
        multialignment="right",
    )
    for label, one in zip(axes.get_yticklabels(), results, strict=True):
        label.set_fontweight("bold" if one.kind == "ours" else "normal")
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")


def _lines(axes: Axes, lines: dict[str, dict[Position, list[float]]], unit: str) -> None:
    for color, marker, (name, points) in zip(SERIES, "os^DvpXh", lines.items(), strict=False):
        positions = sorted(points, key=float)
        medians = [statistics.median(points[position]) for position in positions]
        low, high = (
            [min(points[position]) for position in positions],
            [max(points[position]) for position in positions],
        )
        axes.fill_between(
            [float(p) for p in positions], low, high, color=COLORS[color], alpha=0.14, linewidth=0
        )
        (line,) = axes.plot(
            positions,
            medians,
            color=COLORS[color],
            marker=marker,
            markersize=4.5,
            linewidth=1.6,
            label=name,
        )
        values = ", ".join(
            f"{position:,g}: {readable(median)}"
            for position, median in zip(positions, medians, strict=True)
        )
        tip(line, f"{name}, {unit}: {values}")
    if len(lines) > 1:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=min(3, len(lines)),
            borderaxespad=0,
            handlelength=1.6,
        )


def _divided(points: dict[Position, list[float]], whole: float) -> dict[Position, list[float]]:
    return {position: [each / whole for each in found] for position, found in points.items()}


def _number_ticks(axes: Axes, positions: Sequence[float]) -> None:
    axes.set_xticks(positions, [_short(position) for position in positions])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=False, axis="x")


def _short(number: float) -> str:
    return (
        f"{number / 1e6:g} M"
        if number >= 1e6
        else f"{number / 1e3:g} k"
        if number >= 10_000
        else f"{number:,g}"
    )
