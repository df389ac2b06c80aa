"""Ratios of processor time. Each round starts new processes and alternates two sides."""

import contextlib
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_NUM_PAIRS = 8

Seconds = Callable[[str], float]


class CaseFailedError(Exception):
    """A case that cannot be measured with this fastpack, with the reason."""


class Measurer:
    """A process with one tree's fastpack. The benchmarks are always this project's."""

    def __init__(self, tree: Path, inputs: Path) -> None:
        paths = os.pathsep.join([str(tree), str(ROOT)])
        # -P: else the current folder would come before the tree.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "benches.guard.worker", str(inputs)],
            env=os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, name: str, side: str) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{name}\t{side}\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer or answer.startswith("failed"):
            raise CaseFailedError(answer.removeprefix("failed ") or "the measuring process ended")
        return float(answer)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


@contextlib.contextmanager
def measurers(*trees: Path, inputs: Path) -> Iterator[list[Measurer]]:
    started = [Measurer(tree, inputs) for tree in trees]
    try:
        yield started
    finally:
        for measurer in started:
            measurer.close()


def measure_round(
    tree: Path, base: Path | None, inputs: Path, names: Collection[str]
) -> dict[str, float | str]:
    """Return each case's ratio, or the reason why it has none.

    The divisor is the time of the base's kernel or, without a base, of the reference.
    """
    found: dict[str, float | str] = {}
    with measurers(*([tree] if base is None else [tree, base]), inputs=inputs) as started:
        for name in names:
            try:
                found[name] = _ratio(*_sides(started, name))
            except CaseFailedError as error:
                found[name] = str(error)
    return found


def _sides(started: list[Measurer], name: str) -> tuple[Callable[[], float], Callable[[], float]]:
    other, side = started[-1], "kernel" if len(started) == 2 else "reference"
    return lambda: started[0].seconds(name, "kernel"), lambda: other.seconds(name, side)


def _ratio(one: Callable[[], float], other: Callable[[], float]) -> float:
    """Return the median over pairs A B B A, so that drift affects both sides alike.

    The first of a pair ran just before, so its data is cached. The warm-up ends with `one`: then
    each side is first in four of eight pairs.
    """
    other(), one()
    logarithms = []
    for number in range(_NUM_PAIRS):
        if number % 2:
            below, above = other(), one()
        else:
            above, below = one(), other()
        logarithms.append(math.log(above / below))
    return math.exp(statistics.median(logarithms))
