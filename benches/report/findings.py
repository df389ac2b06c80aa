"""What the files of measurements say."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benches.curves import Curve

# Programs that do the same work with nothing around it: what is possible, rather than somebody's library.
_YARDSTICKS = ("C loop", "C preads", "C crop loop", "cat", "tar")
# Of these the time counts, not the rate.
_TIMED = ("open",)


@dataclass(frozen=True)
class Run:
    """One file: which machine, which revision, which command, which photographs."""

    name: str
    machine: dict[str, Any]
    revision: str = ""
    command: str = ""
    data: str = ""

    @property
    def was_busy(self) -> bool:
        """Others were at work too when it ended: threads were ready that a measurement alone does not have."""
        return float(self.machine.get("load_average", 0)) > 2 * int(self.machine.get("cores", 1))


@dataclass(frozen=True)
class Standing:
    """What one of the rivals did: seconds by round, for so many samples."""

    name: str
    version: str
    seconds: tuple[float, ...]
    num_samples: int
    peak_mb: float = 0.0

    @property
    def kind(self) -> str:
        """ "ours", "yardstick" or "other"."""
        return (
            "ours"
            if self.name.startswith("fastpack")
            else "yardstick"
            if self.name.startswith(_YARDSTICKS)
            else "other"
        )

    @property
    def rates(self) -> list[float]:
        return [self.num_samples / seconds for seconds in self.seconds]

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def time(self) -> float:
        return statistics.median(self.seconds)

    def ratios(self, other: "Standing") -> list[float]:
        """How many times the other's speed, round by round: what else the machine did in a round met both."""
        return [mine / its for mine, its in zip(self.rates, other.rates, strict=True)]


@dataclass(frozen=True)
class Question:
    """What rivals were asked, how they stand, and who is missing, and why."""

    name: str
    title: str
    unit: str
    standings: tuple[Standing, ...]
    missing: dict[str, str]
    run: Run

    @property
    def is_timed(self) -> bool:
        return self.name in _TIMED

    @property
    def num_rounds(self) -> int:
        return len(self.standings[0].seconds)

    @property
    def ranked(self) -> list[Standing]:
        """The fastest first."""
        return sorted(self.standings, key=lambda standing: -standing.rate)

    def fastest(self, kind: str) -> Standing | None:
        return next((standing for standing in self.ranked if standing.kind == kind), None)

    @property
    def weight(self) -> tuple[int, int]:
        """The more rounds, the more samples, the more it says."""
        return self.num_rounds, max(standing.num_samples for standing in self.standings)


@dataclass(frozen=True)
class Profile:
    """Where the time of a piece of work goes: stage -> its percentage, and the functions at work there, hottest first."""

    name: str
    title: str
    shares: dict[str, float]
    functions: dict[str, list[tuple[str, float]]]
    run: Run


@dataclass
class Findings:
    """Everything that was measured, by question; of several answers the one with the most rounds and samples."""

    runs: list[Run] = field(default_factory=list)
    questions: dict[str, Question] = field(default_factory=dict)
    comparisons: dict[str, Question] = field(default_factory=dict)
    curves: dict[str, tuple[Curve, Run]] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)

    @property
    def missing(self) -> dict[str, str]:
        """Who could not take part, over all questions."""
        return {
            name: reason
            for question in self.questions.values()
            for name, reason in question.missing.items()
        }

    def add(self, name: str, told: dict[str, Any]) -> None:
        about = {key: told.get(key, "") for key in ("revision", "command", "data")}
        run = Run(name, told["machine"], **about)
        self.runs.append(run)
        for question in _questions(told.get("subjects", ()), run):
            _keep(self.questions, question)
        for comparison in told.get("comparisons", ()):
            _keep(self.comparisons, _comparison(comparison, run))
        for curve in map(Curve.from_json, told.get("curves", ())):
            self.curves[curve.name] = (curve, run)
        for each in told.get("profiles", ()):
            functions = {
                stage: [(name, share) for name, share in found]
                for stage, found in each["functions"].items()
            }
            self.profiles[each["name"]] = Profile(
                each["name"], each["title"], each["shares"], functions, run
            )


def read(paths: Iterable[Path]) -> Findings:
    findings = Findings()
    for path in sorted(paths):
        findings.add(path.name, json.loads(path.read_text()))
    return findings


def _keep(kept: dict[str, Question], question: Question) -> None:
    there = kept.get(question.name)
    if there is None or there.weight <= question.weight:
        kept[question.name] = question


def _questions(subjects: Sequence[dict[str, Any]], run: Run) -> Iterable[Question]:
    for told in subjects:
        standings = tuple(
            Standing(
                one["name"],
                one["version"],
                tuple(one["seconds"]),
                one["num_samples"],
                one["peak_mb"],
            )
            for one in told["standings"]
        )
        if standings:
            yield Question(
                told["subject"], told["title"], told["unit"], standings, told["missing"], run
            )


def _comparison(told: dict[str, Any], run: Run) -> Question:
    """Rivals in one interpreter: those of `benches.compare`. The title tells them apart."""
    standings = tuple(
        Standing(name, "", tuple(seconds), told["num_units"])
        for name, seconds in told["seconds"].items()
    )
    return Question(told["title"], told["title"], told["unit"], standings, {}, run)
