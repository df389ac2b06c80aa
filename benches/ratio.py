"""Comparison of rivals with a baseline in interleaved rounds, so that load affects all."""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

import fastpack


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Rival:
    """One way to do the work. `before` and `after` surround each run and are not timed.

    - share: fraction of the work that a run of a slow rival does; its seconds are scaled up.
    """

    name: str
    run: Callable[[], object]
    before: Callable[[], object] = _nothing
    after: Callable[[], object] = _nothing
    share: float = 1.0

    def seconds(self) -> float:
        self.before()
        started = time.perf_counter()
        self.run()
        took = time.perf_counter() - started
        self.after()
        return took / self.share


@dataclass(frozen=True)
class Comparison:
    """Seconds by rival and round. The first rival is the baseline.

    >>> seconds = {"C loop": [2.0, 3.0], "fastpack": [4.0, 3.0]}
    >>> print(Comparison("decode", "images", 6, seconds).table())
    decode (6 images, 2 rounds)
                  seconds    images/s   of C loop   min..max
    C loop         2.5000           2       1.000   1.000..1.000
    fastpack       3.5000           2       0.750   0.500..1.000
    """

    title: str
    unit: str
    num_units: int
    seconds: dict[str, list[float]]

    def ratios(self, name: str) -> list[float]:
        """Return speeds as multiples of the baseline's, round by round."""
        baseline = next(iter(self.seconds.values()))
        return [whole / part for whole, part in zip(baseline, self.seconds[name], strict=True)]

    def table(self) -> str:
        baseline = next(iter(self.seconds))
        width = max(map(len, self.seconds))
        rounds = len(self.seconds[baseline])
        lines = [f"{self.title} ({self.num_units} {self.unit}, {rounds} rounds)"]
        lines.append(
            f"{'':{width}} {'seconds':>12} {self.unit + '/s':>11} {'of ' + baseline:>11}   min..max"
        )
        for name, seconds in self.seconds.items():
            median, ratios = statistics.median(seconds), self.ratios(name)
            lines.append(
                f"{name:{width}} {median:12.4f} {self.num_units / median:11.0f} "
                f"{statistics.median(ratios):11.3f}   {min(ratios):.3f}..{max(ratios):.3f}"
            )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        ratios = {name: statistics.median(self.ratios(name)) for name in self.seconds}
        return {
            "title": self.title,
            "unit": self.unit,
            "num_units": self.num_units,
            "seconds": self.seconds,
            "ratios": ratios,
        }


def compare(
    title: str, rivals: Sequence[Rival], *, unit: str, num_units: int, rounds: int
) -> Comparison:
    """Run all rivals once to warm up, then A B A B ... for `rounds` rounds."""
    for rival in rivals:
        rival.seconds()
    by_round = [[rival.seconds() for rival in rivals] for _ in range(rounds)]
    seconds = dict(
        zip([rival.name for rival in rivals], map(list, zip(*by_round, strict=True)), strict=True)
    )
    return Comparison(title, unit, num_units, seconds)


def machine() -> dict[str, Any]:
    """Return facts about this machine and its load: figures of a busy machine are not reliable."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "h5py": h5py.__version__,
        "libjpeg": subprocess.run(
            ["pkg-config", "--modversion", "libjpeg"], capture_output=True, text=True
        ).stdout.strip(),
        "fastpack": fastpack.__version__,
    }


def _processor() -> str:
    with open("/proc/cpuinfo") as lines:
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
