"""Figures along an axis, measured in interleaved rounds."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# A position on the axis: a number, or the name of a kind.
Position = float | str


@dataclass(frozen=True)
class Curve:
    """A measurement along one axis.

    - name: of the question and the plot; x_axis, y_axis: labels with units.
    - lines: line -> position -> figures of all rounds.
    """

    name: str
    title: str
    x_axis: str
    y_axis: str
    lines: dict[str, dict[Position, list[float]]]

    def medians(self, line: str) -> dict[Position, float]:
        return {
            position: statistics.median(figures) for position, figures in self.lines[line].items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return JSON data. Positions are numbers, so they are pairs instead of keys."""
        lines = {
            line: [[position, figures] for position, figures in points.items()]
            for line, points in self.lines.items()
        }
        return {
            "name": self.name,
            "title": self.title,
            "x_axis": self.x_axis,
            "y_axis": self.y_axis,
            "lines": lines,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Curve":
        lines = {line: dict(points) for line, points in stored["lines"].items()}
        return cls(stored["name"], stored["title"], stored["x_axis"], stored["y_axis"], lines)

    def table(self) -> str:
        """Format medians, a row for each position.

        >>> lines = {"a": {1: [3.0, 5.0, 4.0]}, "b": {1: [0.5], 2: [1500.0]}}
        >>> print(Curve("threads", "more threads", "threads", "images/s", lines).table())
        more threads: images/s
                threads             a             b
                      1             4         0.500
                      2             -          1500
        """
        positions = list(
            dict.fromkeys(position for points in self.lines.values() for position in points)
        )
        width = max(13, *map(len, self.lines))
        lines = [
            f"{self.title}: {self.y_axis}",
            " ".join([f"{self.x_axis:>15}", *(f"{line:>{width}}" for line in self.lines)]),
        ]
        for position in positions:
            cells = [
                readable(medians[position]) if position in medians else "-"
                for medians in map(self.medians, self.lines)
            ]
            written = position if isinstance(position, str) else f"{position:,g}"
            lines.append(" ".join([f"{written:>15}", *(f"{cell:>{width}}" for cell in cells)]))
        return "\n".join(lines)


def readable(figure: float) -> str:
    """Format three significant digits."""
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.3g}" if figure >= 1 else f"{figure:.3f}"


@dataclass(frozen=True)
class Point:
    """A position of a line; `measure` returns a new figure at each call."""

    line: str
    position: Position
    measure: Callable[[], float]


def measured(points: Sequence[Point], rounds: int) -> dict[str, dict[Position, list[float]]]:
    """Measure all points once to warm up, then A B C A B C ..., so that load affects all alike."""
    for point in points:
        point.measure()
    lines: dict[str, dict[Position, list[float]]] = {}
    for _ in range(rounds):
        for point in points:
            lines.setdefault(point.line, {}).setdefault(point.position, []).append(point.measure())
    return lines
