"""Detect kernels that became slower: python -m benches.guard

The guard runs each kernel in turn with a reference, or with the kernel of another revision. It
compares the ratio of processor times with the committed one. A slower case is confirmed against
the previous revision. Exit status: 1 if a kernel is slower, else 0 (also
if nothing can be measured).
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benches.guard import base
from benches.guard.baseline import Baselines, machine_name
from benches.guard.cases import CASES, Inputs
from benches.guard.measurement import ROOT, measure_round
from benches.guard.verdict import LOOKS, Verdict, judge

_RENEWING_ROUNDS = 24


@dataclass
class Trial:
    """Cases, measured until each is decided or rounds or time run out.

    - base: tree of another revision to compare with; None compares with the references.
    - expected: expected ratio of each case.
    - tolerance: allowed slowdown of a case.
    """

    tree: Path
    base: Path | None
    expected: Mapping[str, float]
    tolerance: Callable[[str], float]
    ratios: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def run(self, inputs: Path, *, minutes: float) -> None:
        deadline = time.monotonic() + 60 * minutes
        for num_rounds in range(1, LOOKS[-1] + 1):
            if len(self.failed) == len(self.expected):
                return
            self._measure(inputs)
            if time.monotonic() > deadline or (num_rounds in LOOKS and not self._undecided()):
                return

    def _undecided(self) -> list[str]:
        return [name for name, verdict in self.verdicts().items() if verdict.state == "undecided"]

    def _measure(self, inputs: Path) -> None:
        names = [name for name in self._undecided() or self.expected if name not in self.failed]
        for name, ratio in measure_round(self.tree, self.base, inputs, names).items():
            if isinstance(ratio, str):
                self.failed[name] = ratio
            else:
                self.ratios.setdefault(name, []).append(ratio)

    def verdicts(self) -> dict[str, Verdict]:
        """Judge each measured case by its rounds up to the last look."""
        return {
            name: judge(
                self._looked_at(name), expected=self.expected[name], tolerance=self.tolerance(name)
            )
            for name in self.ratios
            if name not in self.failed
        }

    def _looked_at(self, name: str) -> list[float]:
        ratios = self.ratios[name]
        return ratios[: max((look for look in LOOKS if look <= len(ratios)), default=None)]


def lines_of(trial: Trial) -> Iterator[str]:
    if not trial.expected:
        return
    yield f"{'':16} {'rounds':>6} {'slower by':>10}   between          tolerance"
    for name, verdict in trial.verdicts().items():
        bounds = f"{verdict.low:+7.1%} .. {verdict.high:+7.1%}"
        tolerance = f"{trial.tolerance(name):.0%}"
        num_rounds, slowdown = len(trial.ratios[name]), f"{verdict.slowdown:+10.1%}"
        yield f"{name:16} {num_rounds:6} {slowdown}   {bounds} {tolerance:>7}   {verdict.state}"
    for name, why in trial.failed.items():
        yield f"{name:16} not measured: {why}"


def renew(baselines: Baselines, inputs: Path, names: list[str]) -> None:
    rounds = [measure_round(ROOT, None, inputs, names) for _ in range(_RENEWING_ROUNDS)]
    failed = {name: ratio for name, ratio in rounds[0].items() if isinstance(ratio, str)}
    if failed:
        raise SystemExit(f"not measured, nothing written: {failed}")
    ratios = {name: statistics.median(float(found[name]) for found in rounds) for name in names}
    baselines.renew(machine_name(), ratios)
    print(
        "\n".join(
            f"{name:16} {ratio:.3f} of the reference's time" for name, ratio in ratios.items()
        )
    )


def against_baseline(arguments: argparse.Namespace, baselines: Baselines) -> Trial | None:
    """Return a trial against the committed ratios; None if this machine has none."""
    known = baselines.machines.get(machine_name(), {})
    expected = {name: known[name] for name in arguments.cases if name in known}
    if not expected:
        print(f"guard: no baseline for this machine ({machine_name()})")
        return None
    print(f"guard: against the committed ratios of {machine_name()}", flush=True)
    return Trial(arguments.tree, None, expected, baselines.tolerance)


def against_revision(
    arguments: argparse.Namespace, baselines: Baselines, names: list[str]
) -> Trial | None:
    """Return a trial against a revision; None if there is no revision or it cannot be built."""
    revision = arguments.base or base.default_revision()
    if revision is None:
        print("guard: no earlier revision; fetch the history, or name one: --base REVISION")
        return None
    if arguments.tree == ROOT and base.is_unchanged(revision):
        print(f"guard: no measured file differs from {revision[:12]}: nothing to compare")
        return Trial(ROOT, None, {}, baselines.tolerance)
    print(f"guard: against {revision[:12]}, built beside this tree", flush=True)
    try:
        built = base.build(revision)
    except base.BuildError as error:
        print(f"guard: {revision[:12]} is not compared, since it cannot be built: {error}")
        return None
    return Trial(arguments.tree, built, dict.fromkeys(names, 1.0), baselines.tolerance)


def find_slower(arguments: argparse.Namespace, inputs: Path) -> list[str]:
    """Return the slower cases.

    Confirmation: cases that are slower than the committed ratios are measured again, against the
    previous revision if there is one. That result decides: a busy machine slows both sides.
    """
    baselines = Baselines.load()
    trial = None if arguments.base else against_baseline(arguments, baselines)
    slower = arguments.cases if trial is None else _slower(trial, arguments, inputs)
    confirmation = against_revision(arguments, baselines, slower) if slower else None
    if confirmation is not None:
        return _slower(confirmation, arguments, inputs)
    return [] if trial is None else slower


def _slower(trial: Trial, arguments: argparse.Namespace, inputs: Path) -> list[str]:
    trial.run(inputs, minutes=arguments.minutes)
    print("\n".join(lines_of(trial)), flush=True)
    return [name for name, verdict in trial.verdicts().items() if verdict.state == "slower"]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benches.guard",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "--base",
        metavar="REVISION",
        help="compare with this revision instead of the committed ratios",
    )
    parser.add_argument(
        "--renew",
        action="store_true",
        help="measure this machine's ratios and write them to baseline.json",
    )
    parser.add_argument(
        "--cases",
        nargs="+",
        choices=CASES,
        default=list(CASES),
        metavar="CASE",
        help="cases to measure (default: all)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=2,
        help="begin no round after this time; undecided cases pass",
    )
    parser.add_argument(
        "--tree",
        type=Path,
        default=ROOT,
        help="folder of the fastpack to measure (default: this project)",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder:
        inputs = Inputs.make(Path(folder)).folder
        if arguments.renew:
            renew(Baselines.load(), inputs, arguments.cases)
        elif slower := find_slower(arguments, inputs):
            raise SystemExit(f"guard: slower: {', '.join(slower)}")


def _memory_folder() -> Path | None:
    """Return a folder in memory, or None for the system's temporary folder."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() else None


if __name__ == "__main__":
    main()
