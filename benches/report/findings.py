"""Results of measurements, read from JSON files."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benches.curves import Curve

# Programs that do the same work without a library: they show what is possible.
_BASELINES = ("C loop", "C preads", "C crop loop", "cat", "tar")
# Questions in which the time counts, not the rate.
_TIMED = ("open",)


@dataclass(frozen=True)
class Run:
    """One file: machine, revision, command and photos."""

    name: str
    machine: dict[str, Any]
    revision: str = ""
    command: str = ""
    data: str = ""

    @property
    def was_busy(self) -> bool:
        """Return whether more threads were runnable than a measurement has, at its end."""
        return float(self.machine.get("load_average", 0)) > 2 * int(self.machine.get("cores", 1))


@dataclass(frozen=True)
class RivalResult:
    """One rival's seconds by round, for a number of samples."""

    name: str
    version: str
    seconds: tuple[float, ...]
    num_samples: int
    peak_mb: float = 0.0

    @property
    def kind(self) -> str:
        """Return "ours", "baseline" or "other"."""
        if self.name.startswith("fastpack"):
            return "ours"
        return "baseline" if self.name.startswith(_BASELINES) else "other"

    @property
    def rates(self) -> list[float]:
        return [self.num_samples / seconds for seconds in self.seconds]

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def time(self) -> float:
        return statistics.median(self.seconds)

    def ratios(self, other: "RivalResult") -> list[float]:
        """Return speeds as multiples of the other's, round by round."""
        return [mine / its for mine, its in zip(self.rates, other.rates, strict=True)]


@dataclass(frozen=True)
class Question:
    """A question with the rivals' results and the missing rivals with reasons."""

    name: str
    title: str
    unit: str
    results: tuple[RivalResult, ...]
    missing: dict[str, str]
    run: Run

    @property
    def is_timed(self) -> bool:
        return self.name in _TIMED

    @property
    def num_rounds(self) -> int:
        return len(self.results[0].seconds)

    @property
    def ranked(self) -> list[RivalResult]:
        """Return the results, fastest first."""
        return sorted(self.results, key=lambda result: -result.rate)

    def fastest(self, kind: str) -> RivalResult | None:
        return next((result for result in self.ranked if result.kind == kind), None)

    @property
    def weight(self) -> tuple[int, int]:
        """Return rounds and samples: of two answers, the heavier one counts."""
        return self.num_rounds, max(result.num_samples for result in self.results)


@dataclass(frozen=True)
class Profile:
    """Shares of processor time: stage -> percentage, and its hottest functions."""

    name: str
    title: str
    shares: dict[str, float]
    functions: dict[str, list[tuple[str, float]]]
    run: Run


@dataclass
class Findings:
    """All results by question. The answer with most rounds, then samples, counts."""

    runs: list[Run] = field(default_factory=list)
    questions: dict[str, Question] = field(default_factory=dict)
    comparisons: dict[str, Question] = field(default_factory=dict)
    curves: dict[str, tuple[Curve, Run]] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)

    @property
    def missing(self) -> dict[str, str]:
        """Return the rivals that could not run, of all questions, with reasons."""
        return {
            name: reason
            for question in self.questions.values()
            for name, reason in question.missing.items()
        }

    def add(self, name: str, stored: dict[str, Any]) -> None:
        about = {key: stored.get(key, "") for key in ("revision", "command", "data")}
        run = Run(name, stored["machine"], **about)
        self.runs.append(run)
        for question in _questions(stored.get("subjects", ()), run):
            _keep(self.questions, question)
        for comparison in stored.get("comparisons", ()):
            _keep(self.comparisons, _comparison(comparison, run))
        for curve in map(Curve.from_json, stored.get("curves", ())):
            self.curves[curve.name] = (curve, run)
        for each in stored.get("profiles", ()):
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
    for stored in subjects:
        results = tuple(
            RivalResult(
                one["name"],
                one["version"],
                tuple(one["seconds"]),
                one["num_samples"],
                one["peak_mb"],
            )
            for one in stored["results"]
        )
        if results:
            yield Question(
                stored["subject"], stored["title"], stored["unit"], results, stored["missing"], run
            )


def _comparison(stored: dict[str, Any], run: Run) -> Question:
    """Return a comparison of `benches.compare`, which its title identifies."""
    results = tuple(
        RivalResult(name, "", tuple(seconds), stored["num_units"])
        for name, seconds in stored["seconds"].items()
    )
    return Question(stored["title"], stored["title"], stored["unit"], results, {}, run)
