"""Has a kernel become slower? python -m benches.guard

Each kernel takes turns with a yardstick, or with the same kernel of another revision, and the ratio of their processor times is compared
with what it was. Ends with status 1 when a kernel is slower, with 0 when none is or nothing can be said.
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
from benches.guard.measuring import ROOT, measure_round
from benches.guard.verdict import LOOKS, Verdict, judge

_RENEWING_ROUNDS = 24


@dataclass
class Trial:
    """Cases that are measured until each is decided, or neither rounds nor time are left.

    - base: the tree of another revision to compare with; None compares with the yardsticks.
    - expected: the ratio of each case as it should be.
    - tolerance: how much slower each case may be.
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
        """Of cases that were measured; judged by the rounds up to the last look."""
        return {
            name: judge(
                self._looked_at(name), expected=self.expected[name], tolerance=self.tolerance(name)
            )
            for name in self.ratios
            if name not in self.failed
        }

    def _looked_at(self, name: str) -> list[float]:
        return (
            self.ratios[name][
                : max((look for look in LOOKS if look <= len(self.ratios[name])), default=0)
            ]
            or self.ratios[name]
        )


def lines_of(trial: Trial) -> Iterator[str]:
    if not trial.expected:
        return
    yield f"{'':16} {'rounds':>6} {'slower by':>10}   between          tolerance"
    for name, verdict in trial.verdicts().items():
        bounds = f"{verdict.least:+7.1%} .. {verdict.most:+7.1%}"
        tolerance = f"{trial.tolerance(name):.0%}"
        yield f"{name:16} {len(trial.ratios[name]):6} {verdict.slowdown:+10.1%}   {bounds} {tolerance:>7}   {verdict.state}"
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
            f"{name:16} {ratio:.3f} of its yardstick's time" for name, ratio in ratios.items()
        )
    )


def against_baseline(arguments: argparse.Namespace, baselines: Baselines) -> Trial | None:
    """None when there are no ratios of this machine."""
    known = baselines.machines.get(machine_name(), {})
    expected = {name: known[name] for name in arguments.cases if name in known}
    if not expected:
        print(f"guard: there is no baseline for this machine ({machine_name()})")
        return None
    print(f"guard: against the committed ratios of {machine_name()}", flush=True)
    return Trial(arguments.tree, None, expected, baselines.tolerance)


def against_revision(
    arguments: argparse.Namespace, baselines: Baselines, names: list[str]
) -> Trial | None:
    """None when there is no revision to compare with, or no difference to it."""
    revision = arguments.base or base.default_revision()
    if revision is None:
        print(
            "guard: there is no earlier revision to build; fetch the history, or name one with --base"
        )
        return None
    if arguments.tree == ROOT and base.is_unchanged(revision):
        print(
            f"guard: nothing that is measured has changed since {revision[:12]}, so nothing can have become slower since"
        )
        return Trial(ROOT, None, {}, baselines.tolerance)
    print(f"guard: against {revision[:12]}, built beside this tree", flush=True)
    try:
        built = base.build(revision)
    except base.BuildError as error:
        print(f"guard: {revision[:12]} cannot be built, so it is not compared: {error}")
        return None
    return Trial(arguments.tree, built, dict.fromkeys(names, 1.0), baselines.tolerance)


def find_slower(arguments: argparse.Namespace, inputs: Path) -> list[str]:
    """The cases that are slower. Who is slower than the committed ratios say has a second hearing beside the revision before, where there
    is one: what a busy machine does to a kernel and not to its yardstick, it does to both of these."""
    baselines = Baselines.load()
    trial = None if arguments.base else against_baseline(arguments, baselines)
    slower = arguments.cases if trial is None else _slower(trial, arguments, inputs)
    again = against_revision(arguments, baselines, slower) if slower else None
    if again is not None:
        return _slower(again, arguments, inputs)
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
        help="compare with this revision, built beside, whatever is committed",
    )
    parser.add_argument(
        "--renew",
        action="store_true",
        help="measure this machine's ratios anew and write them to baseline.json",
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument(
        "--minutes",
        type=float,
        default=2,
        help="no new round begins after that; what is undecided then, passes",
    )
    parser.add_argument(
        "--tree",
        type=Path,
        default=ROOT,
        help="measure the fastpack of this folder (default: the project's)",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder:
        inputs = Inputs.make(Path(folder)).folder
        if arguments.renew:
            renew(Baselines.load(), inputs, arguments.cases)
        elif slower := find_slower(arguments, inputs):
            raise SystemExit(f"guard: slower: {', '.join(slower)}")


def _memory_folder() -> Path | None:
    """Files in memory, so that no disk is measured; None is the system's temporary folder."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() else None


if __name__ == "__main__":
    main()
