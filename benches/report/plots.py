"""Plots as SVG whose colours are CSS variables, so that one picture serves light and dark pages; matplotlib lays them out."""

import functools
import html
import io
import re
import statistics
import textwrap
from collections.abc import Callable, Sequence
from typing import ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benches.curves import Curve, Position, readable
from benches.report.findings import Profile, Question, Standing

# What stands in matplotlib's output for a CSS variable. Each is the light page's colour, too.
COLOURS = {
    "ink": "#1d1f21",
    "soft": "#5f666d",
    "line": "#dcdcd8",
    "ours": "#0b62a4",
    "other": "#a9b2bb",
    "yardstick": "#c8a24a",
    "series-1": "#0b62a5",
    "series-2": "#c4561a",
    "series-3": "#2b8a5b",
    "series-4": "#8a4fa3",
    "series-5": "#8c6d1f",
    "series-6": "#5f6f80",
    "series-7": "#1b8796",
    "series-8": "#b0446f",
    "paper": "#fefefe",
}
DARK = {
    "ink": "#e7e9ea",
    "soft": "#a3abb2",
    "line": "#3a3f44",
    "ours": "#6cb6f2",
    "other": "#69727b",
    "yardstick": "#b08f3f",
    "series-1": "#6cb6f2",
    "series-2": "#f09060",
    "series-3": "#63c495",
    "series-4": "#c795dd",
    "series-5": "#d1b458",
    "series-6": "#9fb0c0",
    "series-7": "#5fc6d4",
    "series-8": "#ee8fb2",
    "paper": "#16181a",
}
_SERIES = [f"series-{number}" for number in range(1, 9)]
_WIDTH = 7.4
_NAME_LETTERS = 30
_MARGIN = 14
_REST = "the rest"
_SMALL_SHARE = 3.0
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fastpack",
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "text.color": COLOURS["ink"],
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["soft"],
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.7,
    "xtick.color": COLOURS["soft"],
    "ytick.color": COLOURS["soft"],
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}

Arguments = ParamSpec("Arguments")


def _styled(draw: Callable[Arguments, str]) -> Callable[Arguments, str]:
    @functools.wraps(draw)
    def styled(*arguments: Arguments.args, **options: Arguments.kwargs) -> str:
        with mpl.rc_context(_STYLE):
            return draw(*arguments, **options)

    return styled


def thousands(figure: float) -> str:
    """A figure to read: 1,240 or 0.52."""
    return f"{figure:,.0f}" if figure >= 100 else readable(figure)


@_styled
def rates(question: Question) -> str:
    """A bar for each rival, the fastest first, with the extremes of its rounds."""
    figure, axes = _figure(_bars_height(question.standings))
    _rate_bars(axes, question)
    axes.set_xlabel(f"{question.unit}/s, {_rounds(question, 'slowest to fastest')}; more is better")
    return _svg(figure)


def _rounds(question: Question, extremes: str) -> str:
    return "one round" if question.num_rounds == 1 else f"median of {question.num_rounds} rounds (line: {extremes})"


def _rate_bars(axes: Axes, question: Question) -> None:
    _bars(axes, [(one, one.rate, min(one.rates), max(one.rates), thousands(one.rate)) for one in question.ranked], question.unit + "/s")


@_styled
def times(question: Question) -> str:
    """A point for each rival, on a logarithmic axis: they differ by powers of ten."""
    figure, axes = _figure(_bars_height(question.standings))
    ranked = sorted(question.standings, key=lambda one: one.time)
    for place, one in enumerate(ranked):
        low, high = 1e3 * min(one.seconds), 1e3 * max(one.seconds)
        axes.plot([low, high], [place, place], color=COLOURS[one.kind], linewidth=2.5, alpha=0.45, solid_capstyle="round")
        (dot,) = axes.plot([1e3 * one.time], [place], "o", color=COLOURS[one.kind], markersize=7)
        _tip(dot, f"{one.name} {one.version}: {thousands(1e3 * one.time)} ms ({thousands(low)} to {thousands(high)})")
        axes.annotate(f"{thousands(1e3 * one.time)} ms", (high, place), (7, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_xscale("log")
    first, last = axes.get_xlim()
    axes.set_xlim(first, last * (last / first) ** 0.16)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"milliseconds, {_rounds(question, 'fastest to slowest')}; less is better")
    _names(axes, ranked)
    return _svg(figure)


@_styled
def memory(question: Question) -> str:
    """A bar for each rival, the smallest first."""
    figure, axes = _figure(_bars_height(question.standings))
    ranked = sorted(question.standings, key=lambda one: one.peak_mb)
    _bars(axes, [(one, one.peak_mb, one.peak_mb, one.peak_mb, thousands(one.peak_mb)) for one in ranked], "MB")
    axes.set_xlabel("MB at the peak, of all its processes, without the page cache; less is better")
    return _svg(figure)


@_styled
def ratios(comparisons: Sequence[Question]) -> str:
    """Each side's speed by its yardstick's in the same round."""
    rows = [(comparison, one) for comparison in comparisons for one in comparison.standings[1:]]
    figure, axes = _figure(0.55 + 0.26 * (len(rows) + len(comparisons)))
    place, places, names = 0.0, [], []
    for comparison in comparisons:
        yardstick = comparison.standings[0]
        axes.text(0.0, place, f"{comparison.title}  (1 is {yardstick.name})", va="center", fontsize=8.5, fontweight="bold")
        for one in comparison.standings[1:]:
            place += 1
            _ratio(axes, place, one, one.ratios(yardstick))
            places.append(place)
            names.append(one.name)
        place += 1
    axes.axvline(1, color=COLOURS["yardstick"], linewidth=1.5)
    axes.set_yticks(places, names, color=COLOURS["ink"])
    axes.set_ylim(place - 0.4, -0.7)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.1)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("times the yardstick's speed, median of the rounds (line: least to most); more is better")
    return _svg(figure)


def _ratio(axes: Axes, place: float, one: Standing, found: list[float]) -> None:
    colour = COLOURS["ours" if one.name.startswith(("fastpack", "Reader", "Loader")) else "other"]
    axes.plot([min(found), max(found)], [place, place], color=colour, linewidth=2.5, alpha=0.45, solid_capstyle="round")
    (dot,) = axes.plot([statistics.median(found)], [place], "o", color=colour, markersize=6.5)
    _tip(dot, f"{one.name}: {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})")
    axes.annotate(f"{statistics.median(found):.2f}", (max(found), place), (7, 0), textcoords="offset points", va="center", fontsize=8.5)


@_styled
def speedup(curve: Curve) -> str:
    """Rates by that of one thread, so that reading and decoding stand on one axis."""
    figure, axes = _figure(3.1)
    lines = {name: _divided(points, statistics.median(points[min(points)])) for name, points in curve.lines.items()}
    most = max(float(position) for points in lines.values() for position in points)
    axes.plot([1, most], [1, most], color=COLOURS["soft"], linewidth=1, linestyle=(0, (2, 3)))
    axes.annotate(
        "as many times as threads",
        (most, most),
        (-50, 0),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8,
        color=COLOURS["soft"],
    )
    _lines(axes, lines, "times one thread")
    axes.set_xscale("log", base=2)
    _number_ticks(axes, sorted({float(position) for points in lines.values() for position in points}))
    axes.set(xlabel=curve.x_axis, ylabel="times one thread", ylim=(0, None))
    return _svg(figure)


@_styled
def along(curve: Curve, *, from_zero: bool = True, of_best: bool = False, evenly: bool = False) -> str:
    """Figures along a logarithmic axis, or `evenly`; `of_best` divides each line by its best point, where lines differ too much."""
    figure, axes = _figure(3.1)
    lines = curve.lines
    if of_best:
        lines = {name: _divided(points, max(curve.medians(name).values())) for name, points in lines.items()}
    unit = "of its best" if of_best else curve.y_axis
    _lines(axes, lines, unit)
    if evenly:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    else:
        axes.set_xscale("log")
        _number_ticks(axes, sorted({float(position) for points in lines.values() for position in points}))
    axes.set(xlabel=curve.x_axis, ylabel=unit)
    if from_zero:
        axes.set_ylim(0, None)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    return _svg(figure)


@_styled
def pairs(curve: Curve) -> str:
    """Bars side by side for each kind, as a share of the first line's."""
    first, *others = curve.lines
    kinds = list(curve.lines[first])
    figure, axes = _figure(0.6 + 0.5 * len(kinds))
    height = 0.76 / (1 + len(others))
    for number, line in enumerate([first, *others]):
        for place, kind in enumerate(kinds):
            whole = statistics.median(curve.lines[first][kind])
            found = [each / whole for each in curve.lines[line][kind]]
            y = place + (number - len(others) / 2) * height
            colour = COLOURS[("ours", "other")[number % 2]]
            (bar,) = axes.barh([y], [statistics.median(found)], height=height * 0.9, color=colour, label=line if place == 0 else None)
            axes.plot([min(found), max(found)], [y, y], color=COLOURS["ink"], linewidth=0.9)
            rate = statistics.median(curve.lines[line][kind])
            axes.annotate(f"{thousands(rate)}/s", (max(found), y), (6, 0), textcoords="offset points", va="center", fontsize=8.5)
            _tip(bar, f"{kind}, {line}: {thousands(rate)} {curve.y_axis}")
    axes.set_yticks(range(len(kinds)), kinds, color=COLOURS["ink"])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, axes.get_xlim()[1] * 1.12)
    axes.set_xlabel(f"share of the speed when {first}; more is better")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=1 + len(others), borderaxespad=0, handlelength=1, handleheight=1)
    return _svg(figure)


@_styled
def stages(profiles: Sequence[Profile]) -> str:
    """A bar for each piece of work, cut into its stages; those that are small everywhere are one."""
    shares = {profile.name: _large_stages(profile, profiles) for profile in profiles}
    figure, axes = _figure(0.95 + 0.5 * len(shares))
    names = [*dict.fromkeys(stage for found in shares.values() for stage in found if stage != _REST), _REST]
    colours = dict(zip(names, _SERIES, strict=False)) | {_REST: "other"}
    for place, (name, found) in enumerate(shares.items()):
        start = 0.0
        for stage in (stage for stage in names if found.get(stage, 0) > 0):
            (bar,) = axes.barh([place], [found[stage]], left=start, height=0.62, color=COLOURS[colours[stage]], edgecolor="none")
            _tip(bar, f"{name}, {stage}: {found[stage]:.1f} %")
            if found[stage] >= 4:
                axes.text(
                    start + found[stage] / 2, place, f"{found[stage]:.0f}", ha="center", va="center", fontsize=8.5, color=COLOURS["paper"]
                )
            start += found[stage]
    axes.set_yticks(range(len(shares)), list(shares), color=COLOURS["ink"])
    axes.invert_yaxis()
    axes.set(xlabel="percent of the processor's time", xlim=(0, 100))
    axes.grid(visible=False)
    shown = [mpl.patches.Patch(color=COLOURS[colours[stage]], label=stage) for stage in names]
    axes.legend(handles=shown, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0, handlelength=1, handleheight=1)
    return _svg(figure)


def _large_stages(profile: Profile, profiles: Sequence[Profile]) -> dict[str, float]:
    largest: dict[str, float] = {}
    for each in profiles:
        for stage, share in each.shares.items():
            largest[stage] = max(share, largest.get(stage, 0.0))
    kept = sorted(largest, key=lambda stage: -largest[stage])[: len(_SERIES)]
    found = {stage: share for stage, share in profile.shares.items() if stage in kept and largest[stage] >= _SMALL_SHARE}
    return found | {_REST: 100 - sum(found.values())}


@_styled
def poster(questions: Sequence[tuple[str, Question]]) -> str:
    """The chart of the README: some questions, two in a row, on a card of its own, which follows the reader's light or dark."""
    rows = [questions[first : first + 2] for first in range(0, len(questions), 2)]
    heights = [max(_bars_height(question.standings) for _, question in row) for row in rows]
    figure = Figure(figsize=(11, sum(heights) + 0.35 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), 2, squeeze=False, height_ratios=heights)
    for row, cells in zip(rows, grid, strict=True):
        for axes, (title, question) in zip(cells, row, strict=False):
            _rate_bars(axes, question)
            axes.set_title(title)
        for axes in cells[len(row) :]:
            axes.set_visible(False)
    return _on_card(_svg(figure))


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _bars_height(standings: Sequence[Standing]) -> float:
    return 0.6 + 0.33 * len(standings)


def _bars(axes: Axes, rows: Sequence[tuple[Standing, float, float, float, str]], unit: str) -> None:
    """Rows: who, how much, at least, at most, and what is written behind the bar."""
    for place, (one, value, low, high, written) in enumerate(rows):
        (bar,) = axes.barh([place], [value], height=0.66, color=COLOURS[one.kind])
        spread = f" ({thousands(low)} to {thousands(high)})" if high > low else ""
        _tip(bar, f"{one.name} {one.version}: {thousands(value)} {unit}{spread}")
        if high > low:
            axes.plot([low, high], [place, place], color=COLOURS["ink"], linewidth=0.9)
        weight = "bold" if one.kind == "ours" else "normal"
        axes.annotate(written, (max(value, high), place), (6, 0), textcoords="offset points", va="center", fontsize=8.5, fontweight=weight)
    axes.set_xlim(0, 1.14 * max(high for _, _, _, high, _ in rows))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    _names(axes, [one for one, *_ in rows])


def _names(axes: Axes, standings: Sequence[Standing]) -> None:
    names = ["\n".join(textwrap.wrap(one.name, _NAME_LETTERS)) for one in standings]
    axes.set_yticks(range(len(names)), names, color=COLOURS["ink"], fontsize=8.5, linespacing=1.15, multialignment="right")
    for label, one in zip(axes.get_yticklabels(), standings, strict=True):
        label.set_fontweight("bold" if one.kind == "ours" else "normal")
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")


def _lines(axes: Axes, lines: dict[str, dict[Position, list[float]]], unit: str) -> None:
    for colour, marker, (name, points) in zip(_SERIES, "os^DvpXh", lines.items(), strict=False):
        positions = sorted(points, key=float)
        medians = [statistics.median(points[position]) for position in positions]
        low, high = [min(points[position]) for position in positions], [max(points[position]) for position in positions]
        axes.fill_between([float(p) for p in positions], low, high, color=COLOURS[colour], alpha=0.14, linewidth=0)
        (line,) = axes.plot(positions, medians, color=COLOURS[colour], marker=marker, markersize=4.5, linewidth=1.6, label=name)
        told = ", ".join(f"{position:,g}: {readable(median)}" for position, median in zip(positions, medians, strict=True))
        _tip(line, f"{name}, {unit}: {told}")
    if len(lines) > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=min(3, len(lines)), borderaxespad=0, handlelength=1.6)


def _divided(points: dict[Position, list[float]], whole: float) -> dict[Position, list[float]]:
    return {position: [each / whole for each in found] for position, found in points.items()}


def _number_ticks(axes: Axes, positions: Sequence[float]) -> None:
    axes.set_xticks(positions, [_short(position) for position in positions])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=False, axis="x")


def _short(number: float) -> str:
    return f"{number / 1e6:g} M" if number >= 1e6 else f"{number / 1e3:g} k" if number >= 10_000 else f"{number:,g}"


def _tip(artist: mpl.artist.Artist, text: str) -> None:
    """What a browser shows when the mouse rests there."""
    artist.set_gid(f"tip:{text}")


def _svg(figure: Figure) -> str:
    """Markup to stand in a page: no declaration, no fonts, colours by name, no identifiers but those that are referred to."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = drawn.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r"<g id=\"tip:(.*?)\">", lambda match: f"<g><title>{html.escape(html.unescape(match[1]))}</title>", svg)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = re.sub(r"(<(?:g|svg)[^>]*?) id=\"[\w.]+\"", r"\1", svg)
    svg = re.sub(r"font: ([^;\"]*?)'DejaVu Sans'[^;\"]*", r"font: \1system-ui, sans-serif", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return re.sub(r">\s+<", "><", svg)


def _on_card(svg: str) -> str:
    light = "".join(f"--{name}:{colour};" for name, colour in (COLOURS | {"card": "#ffffff"}).items())
    dark = "".join(f"--{name}:{colour};" for name, colour in (DARK | {"card": "#1b1e21"}).items())
    style = f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())  # type: ignore[union-attr]
    inside = svg[svg.index(">") + 1 : svg.rindex("</svg>")]
    box = f"{-_MARGIN} {-_MARGIN} {width + 2 * _MARGIN:g} {height + 2 * _MARGIN:g}"
    card = f'<rect x="{-_MARGIN}" y="{-_MARGIN}" width="100%" height="100%" rx="10" style="fill: var(--card)"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{style}{card}{inside}</svg>\n'
