"""Plots of speeds relative to a baseline in the same interpreter; 1 is equal."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from benches.report.canvas import COLORS, SERIES, figure_of, styled, svg_of, tip
from benches.report.findings import Question, RivalResult

_TITLE = re.compile(r"(?P<subject>[\w-]+)(?:,? (?P<case>.*?))??(?:, (?P<threads>threads: \d+))?")
_OURS = "fastpack"
# With more cases, each case is a row of dots, colored by rival.
_MAX_NAMED = 3
_MARKERS = "os^DvpXh"


@dataclass(frozen=True)
class Family:
    """Comparisons of one subject and number of threads.

    - cases: case name -> comparison.
    """

    title: str
    cases: dict[str, Question]

    def baseline(self, case: Question) -> RivalResult:
        """Return fastpack's result if all comparisons have one, else the comparison's first."""
        results = {one.name: one for one in case.results}
        return results[_OURS] if self._is_ours else case.results[0]

    @property
    def _is_ours(self) -> bool:
        return all(_OURS in (one.name for one in case.results) for case in self.cases.values())

    @property
    def axis(self) -> str:
        baselines = dict.fromkeys(self.baseline(case).name for case in self.cases.values())
        names = " or ".join(baselines)
        return f"times the speed of {names}, median (line: minimum to maximum); more is better"

    def rivals(self, case: Question) -> list[RivalResult]:
        return [one for one in case.results if one is not self.baseline(case)]


def families(comparisons: Sequence[Question]) -> list[Family]:
    """Group comparisons by their titles from `benches.compare`.

    >>> photos = "train, quality 90, 4:2:0, threads: 2"
    >>> for title in ("decode, threads: 1", photos, "pack pixels", "crops"):
    ...     print(_TITLE.fullmatch(title).groups())
    ('decode', None, 'threads: 1')
    ('train', 'quality 90, 4:2:0', 'threads: 2')
    ('pack', 'pixels', None)
    ('crops', None, None)
    """
    found: dict[str, dict[str, Question]] = {}
    for comparison in comparisons:
        match = _TITLE.fullmatch(comparison.title)
        subject, case, threads = match.groups() if match else (comparison.title, None, None)
        title = ", ".join(part for part in (subject, threads) if part)
        found.setdefault(title, {})[case or ""] = comparison
    return [Family(title, cases) for title, cases in found.items()]


def plot(family: Family) -> str:
    return _named(family) if len(family.cases) <= _MAX_NAMED else _matrix(family)


@styled
def _named(family: Family) -> str:
    """Draw a row for each rival, below its case."""
    num_rows = sum(
        bool(case) + len(family.rivals(comparison)) for case, comparison in family.cases.items()
    )
    figure, axes = figure_of(0.65 + 0.28 * num_rows)
    place, rows = 0.0, {}
    for case, comparison in family.cases.items():
        if case:
            axes.text(0.0, place, case, va="center", fontsize=8.5, fontweight="bold")
            place += 1
        for one in family.rivals(comparison):
            found = one.ratios(family.baseline(comparison))
            color = COLORS["ours" if one.name.startswith((_OURS, "Reader", "Loader")) else "other"]
            _dot(axes, (place, one.name, found), color)
            axes.annotate(
                f"{statistics.median(found):.2f}",
                (max(found), place),
                (7, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
            )
            rows[place] = one.name
            place += 1
    axes.axvline(1, color=COLORS["baseline"], linewidth=1.5, zorder=0)
    axes.set_yticks(list(rows), list(rows.values()), color=COLORS["ink"])
    axes.set_ylim(place - 0.4, -0.6)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.1)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(family.axis)
    return svg_of(figure)


@styled
def _matrix(family: Family) -> str:
    """Draw a row of dots for each case, logarithmic: ratios differ by powers of ten."""
    figure, axes = figure_of(0.95 + 0.27 * len(family.cases))
    names = list(
        dict.fromkeys(one.name for case in family.cases.values() for one in family.rivals(case))
    )
    for place, (case, comparison) in enumerate(family.cases.items()):
        for one in family.rivals(comparison):
            number = names.index(one.name)
            found = one.ratios(family.baseline(comparison))
            _dot(axes, (place, f"{case}: {one.name}", found), *_look(number))
    looks = {name: _look(number) for number, name in enumerate(names)}
    handles = [
        axes.plot([], [], marker, color=color, markersize=6, label=name)[0]
        for name, (color, marker) in looks.items()
    ]
    axes.axvline(1, color=COLORS["baseline"], linewidth=1.5, zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(family.cases)), list(family.cases), color=COLORS["ink"])
    axes.set_ylim(len(family.cases) - 0.4, -0.6)
    axes.set_xlabel(family.axis)
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        borderaxespad=0,
        handlelength=1,
    )
    return svg_of(figure)


def _look(number: int) -> tuple[str, str]:
    """Return color and marker; they repeat after eight rivals."""
    return COLORS[SERIES[number % len(SERIES)]], _MARKERS[number % len(_MARKERS)]


def _dot(axes: Axes, row: tuple[float, str, list[float]], color: str, marker: str = "o") -> None:
    place, name, found = row
    axes.plot(
        [min(found), max(found)],
        [place, place],
        color=color,
        linewidth=2.5,
        alpha=0.45,
        solid_capstyle="round",
    )
    (dot,) = axes.plot([statistics.median(found)], [place], marker, color=color, markersize=6.5)
    tip(dot, f"{name}: {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})")
