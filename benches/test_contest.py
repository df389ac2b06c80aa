"""Do rivals take their turns, and is a rival missed that fails or is not there?"""

import sys
from pathlib import Path

import pytest

from benches.contest import Contest, Contestant, Entry, MissingError
from benches.rivals.turns import Amount, Task, Turn

PYTHON = Path(sys.executable)
FASTPACK = Entry("fastpack", "fastpack", variant="photos.tfrecord")


@pytest.fixture
def task(photos: list[Path], tmp_path: Path) -> Task:
    paths = [str(path) for path in photos[:6]]
    return Task("records", str(tmp_path), paths, labels=[0] * 6, batch=4, num_threads=1, size=32)


def test_a_turn_delivers_every_byte(task: Task) -> None:
    contestant = Contestant(FASTPACK, PYTHON, task)
    try:
        contestant.turn()
        contestant.turn_for_memory()
    finally:
        contestant.close()
    standing = contestant.standing
    assert (standing.num_samples, standing.num_bytes) == (
        6,
        sum(Path(path).stat().st_size for path in task.paths),
    )
    assert len(standing.seconds) == 1
    assert standing.peak_mb > 1
    assert not contestant.folder.exists()


@pytest.mark.parametrize(
    ("entry", "python", "reason"),
    [
        (
            Entry("away", "fastpack", "elsewhere"),
            Path("elsewhere/bin/python"),
            "no environment 'elsewhere'",
        ),
        (Entry("unknown", "no_such_module"), PYTHON, "no_such_module"),
        (Entry("fails", "fastpack", variant="photos.jpeg"), PYTHON, "photos.jpeg"),
    ],
)
def test_who_fails_is_missing_and_the_others_go_on(
    task: Task, entry: Entry, python: Path, reason: str
) -> None:
    contest = Contest()
    try:
        contest.enter(entry, python, task)
        contest.enter(FASTPACK, PYTHON, task)
        standings = contest.go(rounds=2)
    finally:
        contest.close()
    assert reason in contest.missing[entry.name]
    assert [(standing.name, len(standing.seconds)) for standing in standings] == [("fastpack", 2)]


def test_delivering_less_is_no_way_to_win(task: Task) -> None:
    contestant = Contestant(FASTPACK, PYTHON, task)
    contestant._least = Amount(7, 0)
    try:
        with pytest.raises(MissingError, match="delivered"):
            contestant.turn()
    finally:
        contestant.close()


def test_only_run_is_timed() -> None:
    order: list[str] = []

    def run() -> Amount:
        order.append("run")
        return Amount(1, 2)

    seconds, amount = Turn(
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


def test_a_contest_tells_how_far_it_is_and_ends_in_time(task: Task) -> None:
    said: list[str] = []
    contest = Contest(tell=said.append)
    try:
        contest.enter(FASTPACK, PYTHON, task)
        (standing,) = contest.go(rounds=3, until=0.0)
    finally:
        contest.close()
    assert len(standing.seconds) == 1
    assert [line.partition(":")[0] for line in said] == [
        "fastpack",
        "round 1 of 3",
        "no time for round 2 of 3",
    ]


def test_who_says_nothing_is_missing(task: Task) -> None:
    contest = Contest(patience_seconds=0.0)
    contest.enter(FASTPACK, PYTHON, task)
    contest.close()
    assert contest.missing == {"fastpack": "no answer within 0 seconds"}
