"""Tests of rival processes: rounds, and rivals that fail or do not exist."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benches.rival_process import RivalBenchmark, RivalProcess, RivalSpec, RivalUnavailableError
from benches.rivals.protocol import Amount, Task, Workload

PYTHON = Path(sys.executable)
FASTPACK = RivalSpec("fastpack", "fastpack", variant="photos.tfrecord")


@pytest.fixture
def task(photos: list[Path], tmp_path: Path) -> Task:
    paths = [str(path) for path in photos[:6]]
    return Task("records", str(tmp_path), paths, labels=[0] * 6, batch=4, num_threads=1, size=32)


def test_a_run_delivers_every_byte(task: Task) -> None:
    process = RivalProcess(FASTPACK, PYTHON, task)
    try:
        process.run_round()
        process.measure_memory()
    finally:
        process.close()
    result = process.result
    assert (result.num_samples, result.num_bytes) == (
        6,
        sum(Path(path).stat().st_size for path in task.paths),
    )
    assert len(result.seconds) == 1
    assert result.peak_mb > 1
    assert not process.folder.exists()


@pytest.mark.parametrize(
    ("spec", "python", "reason"),
    [
        (
            RivalSpec("away", "fastpack", "elsewhere"),
            Path("elsewhere/bin/python"),
            "no environment 'elsewhere'",
        ),
        (RivalSpec("unknown", "no_such_module"), PYTHON, "no_such_module"),
        (RivalSpec("fails", "fastpack", variant="photos.jpeg"), PYTHON, "photos.jpeg"),
    ],
)
def test_a_failing_rival_is_missing_and_others_continue(
    task: Task, spec: RivalSpec, python: Path, reason: str
) -> None:
    benchmark = RivalBenchmark()
    try:
        benchmark.add(spec, python, task)
        benchmark.add(FASTPACK, PYTHON, task)
        results = benchmark.run(rounds=2)
    finally:
        benchmark.close()
    assert reason in benchmark.missing[spec.name]
    assert [(result.name, len(result.seconds)) for result in results] == [("fastpack", 2)]


def test_each_fresh_run_has_a_new_process(task: Task) -> None:
    process = RivalProcess(replace(FASTPACK, is_fresh=True), PYTHON, replace(task, subject="train"))
    try:
        used = process.cpu_seconds()
        pids = []
        for _ in range(2):
            process.run_round()
            pids.append(process._rival.pid)
        assert len(set(pids)) == 2
        assert used > 0
        assert len(process.result.seconds) == 2
    finally:
        process.close()


def test_delivering_too_little_is_an_error(task: Task) -> None:
    process = RivalProcess(FASTPACK, PYTHON, task)
    process._least = Amount(7, 0)
    try:
        with pytest.raises(RivalUnavailableError, match="delivered"):
            process.run_round()
    finally:
        process.close()


def test_only_run_is_timed() -> None:
    order: list[str] = []

    def run() -> Amount:
        order.append("run")
        return Amount(1, 2)

    seconds, amount = Workload(
        run, lambda: order.append("before"), lambda: order.append("after")
    ).timed()
    assert order == ["before", "run", "after"]
    assert amount + Amount(1, 1) == Amount(2, 3)
    assert seconds >= 0


def test_small_images_have_their_size(task: Task) -> None:
    small = Task("open", task.folder, [], [], batch=2, num_threads=1, size=1, num_small=3)
    images = [image for image, _ in small.samples()]
    assert len(set(images)) == 3
    assert {len(image) for image in images} == {100}


def test_progress_and_time_limit(task: Task) -> None:
    lines: list[str] = []
    benchmark = RivalBenchmark(log=lines.append)
    try:
        benchmark.add(FASTPACK, PYTHON, task)
        (result,) = benchmark.run(rounds=3, until=0.0)
    finally:
        benchmark.close()
    assert len(result.seconds) == 1
    assert [line.partition(":")[0] for line in lines] == [
        "fastpack",
        "round 1 of 3",
        "no time for round 2 of 3",
    ]


def test_a_silent_rival_is_missing(task: Task) -> None:
    benchmark = RivalBenchmark(timeout_seconds=0.0)
    benchmark.add(FASTPACK, PYTHON, task)
    benchmark.close()
    assert benchmark.missing == {"fastpack": "no answer within 0 seconds"}
