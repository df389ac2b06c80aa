"""Tests of the guard's decisions, and of each case."""

import argparse
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import benches.guard.__main__ as guard
from benches.guard import base, baseline, self_test
from benches.guard.__main__ import Trial, lines_of
from benches.guard.baseline import Baselines
from benches.guard.cases import CASES, Inputs
from benches.guard.measurement import ROOT, measure_round
from benches.guard.verdict import LOOKS, judge

TOLERANCE = 0.07


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs.make(tmp_path_factory.mktemp("inputs"))


def noisy(slowdown: float, seed: int, num_rounds: int) -> list[float]:
    """Return ratios of a busy machine: most within a few percent, some far too slow."""
    rounds = random.Random(seed)
    return [
        (1 + slowdown) * rounds.lognormvariate(0, 0.03) * (1.3 if rounds.random() < 0.1 else 1)
        for _ in range(num_rounds)
    ]


def decided(slowdown: float, seed: int) -> str:
    rounds = noisy(slowdown, seed, LOOKS[-1])
    states = [judge(rounds[:look], expected=1, tolerance=TOLERANCE).state for look in LOOKS]
    return next((state for state in states if state != "undecided"), "undecided")


def test_noise_is_not_a_slowdown() -> None:
    assert [seed for seed in range(300) if decided(0.0, seed) == "slower"] == []
    assert sum(decided(0.0, seed) == "fine" for seed in range(300)) > 270


def test_a_slowdown_is_detected_in_noise() -> None:
    assert [seed for seed in range(300) if decided(0.15, seed) == "fine"] == []
    assert sum(decided(0.15, seed) == "slower" for seed in range(300)) > 270


@pytest.mark.parametrize(
    ("ratios", "state"),
    [
        ([2.0] * 10, "fine"),
        ([2.3] * 10, "slower"),
        ([2.3] * 9, "undecided"),
        ([2.3] * 9 + [2.0], "undecided"),
        ([2.3] * 13 + [2.0], "slower"),
        ([2.0] * 13 + [9.0], "fine"),
        ([1.0] * 10, "fine"),
        ([2.0, 2.3] * 16, "undecided"),
    ],
)
def test_verdict(ratios: list[float], state: str) -> None:
    assert judge(ratios, expected=2.0, tolerance=TOLERANCE).state == state


@pytest.mark.parametrize("name", CASES)
def test_case_has_work_on_both_sides(inputs: Inputs, name: str) -> None:
    case = CASES[name](inputs)
    case.kernel()
    case.reference()


def test_each_round_returns_a_ratio_or_a_reason(inputs: Inputs) -> None:
    found = measure_round(ROOT, None, inputs.folder, ["probe", "no such case"])
    assert isinstance(found["probe"], float)
    assert "KeyError" in str(found["no such case"])


def test_two_trees_are_compared(inputs: Inputs) -> None:
    found = measure_round(ROOT, ROOT, inputs.folder, ["order"])
    assert isinstance(found["order"], float)


def test_a_tree_that_cannot_be_measured_is_named(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "fastpack").mkdir()
    (tmp_path / "fastpack" / "__init__.py").write_text("raise ImportError('older')")
    assert measure_round(tmp_path, None, inputs.folder, ["probe"]) == {
        "probe": "the measuring process ended"
    }


def test_only_undecided_cases_are_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def rounds(
        tree: Path, other: Path | None, inputs: Path, names: list[str]
    ) -> dict[str, float | str]:
        asked.append(list(names))
        return {
            name: {
                "same": 1.0,
                "slow": 1.2,
                "near": 1.07 + 0.01 * (-1) ** len(asked),
                "gone": "it ended",
            }[name]
            for name in names
        }

    monkeypatch.setattr("benches.guard.__main__.measure_round", rounds)
    trial = Trial(
        ROOT, None, dict.fromkeys(["same", "slow", "near", "gone"], 1.0), lambda name: TOLERANCE
    )
    trial.run(Path(), minutes=1)
    assert asked[0] == ["same", "slow", "near", "gone"]
    assert asked[9] == ["same", "slow", "near"]
    assert asked[LOOKS[0] :] == [["near"]] * (LOOKS[-1] - LOOKS[0])
    assert {name: verdict.state for name, verdict in trial.verdicts().items()} == {
        "same": "fine",
        "slow": "slower",
        "near": "undecided",
    }
    assert "gone             not measured: it ended" in lines_of(trial)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that runs the guard on given ratios and returns the slower cases.

    The ratios are to the reference and to the previous revision; None stands for no revision.
    """

    def ask(
        to_reference: float, to_base: float | None, *, known: bool, unchanged: bool = False
    ) -> list[str]:
        def rounds(
            tree: Path, other: Path | None, inputs: Path, names: list[str]
        ) -> dict[str, float | None]:
            return dict.fromkeys(names, to_reference if other is None else to_base)

        machines = {guard.machine_name(): {"crop": 1.0}} if known else {}
        monkeypatch.setattr(guard, "measure_round", rounds)
        monkeypatch.setattr(
            guard.Baselines, "load", lambda: Baselines(machines, {"default": TOLERANCE})
        )
        monkeypatch.setattr(base, "default_revision", lambda: None if to_base is None else "before")
        monkeypatch.setattr(base, "is_unchanged", lambda revision: unchanged)
        monkeypatch.setattr(base, "build", lambda revision: tmp_path)
        return guard.find_slower(
            argparse.Namespace(base=None, cases=["crop"], tree=ROOT, minutes=1), tmp_path
        )

    return ask


@pytest.mark.parametrize(
    ("to_reference", "to_base", "known", "slower"),
    [
        (1.0, 1.2, True, []),
        (1.2, 1.2, True, ["crop"]),
        (1.2, 1.0, True, []),
        (1.2, None, True, ["crop"]),
        (1.2, 1.0, False, []),
        (1.0, 1.2, False, ["crop"]),
        (1.2, None, False, []),
    ],
)
def test_slower_cases(
    asked: Callable[..., list[str]],
    to_reference: float,
    to_base: float | None,
    known: bool,
    slower: list[str],
) -> None:
    assert asked(to_reference, to_base, known=known) == slower


def test_a_revision_that_cannot_be_built_is_not_compared(
    history: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(base, "_BUILT", tmp_path / "built")
    monkeypatch.setattr(guard, "measure_round", lambda *given: {"crop": 1.2})
    (history / "src_cython").mkdir()
    for name in ("src_cython/kernel.pyx", "pyproject.toml", "README.md"):
        (history / name).write_text("")
    (history / "setup.py").write_text("raise SystemExit('no compiler')")
    git(history, "add", ".")
    commit(history, "broken")
    arguments = argparse.Namespace(base="HEAD", cases=["crop"], tree=tmp_path, minutes=1)
    assert guard.find_slower(arguments, tmp_path) == []
    assert (
        "is not compared, since it cannot be built: the kernels cannot be compiled: ['no compiler']"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("known", [True, False])
def test_an_unchanged_tree_is_not_slower(asked: Callable[..., list[str]], known: bool) -> None:
    assert asked(1.2, 1.2, known=known, unchanged=True) == []


def test_no_round_begins_after_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benches.guard.__main__.measure_round", lambda *given: {"slow": 1.2})
    trial = Trial(ROOT, None, {"slow": 1.0}, lambda name: TOLERANCE)
    trial.run(Path(), minutes=0)
    assert trial.verdicts()["slow"].state == "undecided"


def test_committed_ratios_are_of_existing_cases() -> None:
    for ratios in Baselines.load().machines.values():
        assert set(ratios) <= set(CASES)


def test_renewing_keeps_other_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(
        json.dumps(
            {
                "tolerances": {"default": 0.07, "pack": 0.1},
                "machines": {"a": {"crop": 1.5, "pack": 2.0}, "b": {"crop": 3.0}},
            }
        )
    )
    monkeypatch.setattr(baseline, "_FILE", path)
    Baselines.load().renew("a", {"crop": 1.25})
    renewed = Baselines.load()
    assert renewed.machines == {"a": {"crop": 1.25, "pack": 2.0}, "b": {"crop": 3.0}}
    assert (renewed.tolerance("crop"), renewed.tolerance("pack")) == (0.07, 0.1)


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with two commits on main."""
    monkeypatch.setattr(base, "ROOT", tmp_path)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "fastpack").mkdir()
    for text in ("one", "two"):
        (tmp_path / "fastpack" / "kernel.py").write_text(text)
        git(tmp_path, "add", ".")
        commit(tmp_path, text)
    return tmp_path


def commit(folder: Path, message: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    git(folder, *author, "commit", "--quiet", "--message", message)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_on_main_the_commit_before_is_the_base(history: Path) -> None:
    assert base.default_revision() == git(history, "rev-parse", "HEAD^")
    assert not base.is_unchanged("HEAD^")
    assert base.is_unchanged("HEAD")


def test_with_uncommitted_changes_the_last_commit_is_the_base(history: Path) -> None:
    (history / "fastpack" / "kernel.py").write_text("three")
    assert base.default_revision() == git(history, "rev-parse", "HEAD")
    assert not base.is_unchanged("HEAD")


def test_on_a_branch_the_base_is_where_it_left_main(history: Path) -> None:
    left = git(history, "rev-parse", "HEAD")
    git(history, "switch", "--quiet", "--create", "branch")
    (history / "README.md").write_text("not measured")
    git(history, "add", ".")
    commit(history, "three")
    assert base.default_revision() == left


def test_without_a_history_there_is_no_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert base.default_revision() is None


@pytest.mark.parametrize("title", self_test.SLOWDOWNS)
def test_slowdowns_name_existing_functions_and_cases(title: str) -> None:
    slowdown = self_test.SLOWDOWNS[title]
    assert set(slowdown.cases) <= set(CASES)
    for function in slowdown.functions:
        source = ROOT / "src_cython" / "kernels" / f"{function.file}.c"
        assert f"{function.name}(" in source.read_text()
        header = self_test._header_of(function)
        assert f"plain_{function.name}(" in self_test.slowed(
            "", header, function.name, every=function.every, percent=15
        )
