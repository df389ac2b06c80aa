"""Staging: what stands where, whatever moment a pack ends at, and what a later one keeps of it."""

import gc
import os
import signal
import subprocess
import sys

import pytest

from fastpack import pack
from fastpack.errors import OutputExistsError, PlanChangedError, StagingBusyError
from fastpack.files.companions import index_path
from fastpack.files.locked_folder import LOCK_NAME
from fastpack.formats import registry
from fastpack.formats.file_index import FileIndex
from fastpack.packing.staging import Staging
from fastpack.sources import ImageFiles
from tests.support.images import jpeg

PLAN = {"samples": 4, "layout": "encoded"}
NAMES = ["set-00000-of-00002.tfrecord", "set-00001-of-00002.tfrecord"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """The bytes of two TFRecords."""
    folder = tmp_path_factory.mktemp("made")
    paths = []
    for i in range(2):
        (folder / f"{i}.jpg").write_bytes(jpeg(8 + i, 8))
        paths += pack(ImageFiles([folder / f"{i}.jpg"], [i]), folder / f"{i}.tfrecord").paths
    return [path.read_bytes() for path in paths]


@pytest.fixture
def output(tmp_path):
    return [tmp_path / name for name in NAMES]


def make(staging, number, data):
    staging.path(number).write_bytes(data)
    staging.finish(number, registry.of_file(staging.path(number)).index(staging.path(number)))


def staged(paths, plan, **options):
    return Staging(paths[0].with_name("set.tfrecord"), paths, plan, **options)


class StoppedError(Exception):
    pass


def stop_after(output, shards, count, **options):
    """A pack that fails when `count` of its shards are finished."""
    with pytest.raises(StoppedError) as caught, staged(output, PLAN, **options) as staging:
        for number in range(count):
            make(staging, number, shards[number])
        raise StoppedError
    return caught.value


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_nothing_is_seen_before_everything_is(output, shards, tmp_path):
    with staged(output, PLAN) as staging:
        for number in range(2):
            make(staging, number, shards[number])
        assert names(tmp_path) == [".set.tfrecord.packing"]
        staging.publish()
    assert names(tmp_path) == sorted([*NAMES, *(index_path(path).name for path in output)])
    assert [path.read_bytes() for path in output] == shards
    assert all(FileIndex(path).saved() is not None for path in output)


def test_a_failure_before_the_first_shard_leaves_nothing(output, shards, tmp_path):
    stop_after(output, shards, 0)
    assert names(tmp_path) == []


def test_an_interruption_reports_that_nothing_is_kept(output):
    with pytest.raises(KeyboardInterrupt) as caught, staged(output, PLAN):
        raise KeyboardInterrupt
    assert "nothing is kept; with shards=..., resume=True" in caught.value.__notes__[0]


def test_finished_shards_are_kept_and_noted(output, shards, tmp_path):
    error = stop_after(output, shards, 1)
    assert names(tmp_path) == [".set.tfrecord.packing"]
    assert "1 of 2 shards are kept" in error.__notes__[0]
    with staged(output, PLAN, resume=True) as staging:
        assert [staging.is_finished(number) for number in range(2)] == [True, False]
        make(staging, 1, shards[1])
        staging.publish()
    assert [path.read_bytes() for path in output] == shards


def test_what_was_begun_and_not_finished_is_removed(output, shards):
    stop_after(output, shards, 1)
    folder = output[0].with_name(".set.tfrecord.packing")
    for name in (NAMES[1], f"{NAMES[1]}.fpindex", f".{NAMES[1]}.fpindex.123.tmp"):
        (folder / name).write_bytes(b"half")
    with staged(output, PLAN, resume=True):
        assert names(folder) == sorted(
            ["journal.jsonl", LOCK_NAME, "plan.json", NAMES[0], f"{NAMES[0]}.fpindex"]
        )


def test_without_resume_or_overwrite_they_are_an_error(output, shards):
    stop_after(output, shards, 1)
    with (
        pytest.raises(OutputExistsError, match="after 1 shard; pack the same with resume=True"),
        staged(output, PLAN),
    ):
        pass
    with staged(output, PLAN, resume=True) as staging:
        assert staging.is_finished(0)


def test_overwrite_starts_over(output, shards):
    stop_after(output, shards, 1)
    with staged(output, PLAN, overwrite=True) as staging:
        assert not staging.is_finished(0)
        assert not staging.path(0).exists()


@pytest.mark.parametrize("change", [{"samples": 5}, {"layout": "pixels"}, {"color": "BGR"}])
def test_another_plan_is_not_continued(output, shards, change):
    stop_after(output, shards, 1)
    with (
        pytest.raises(PlanChangedError, match=next(iter(change))),
        staged(output, PLAN | change, resume=True),
    ):
        pass


def test_other_shards_are_another_plan(output, shards):
    stop_after(output, shards, 1)
    with pytest.raises(PlanChangedError, match="shards"), staged(output[:1], PLAN, resume=True):
        pass


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-1], lambda data: bytes([data[0] ^ 1]) + data[1:], lambda data: b""],
)
def test_a_shard_that_is_not_what_was_finished_is_made_again(output, shards, damage):
    stop_after(output, shards, 1)
    with staged(output, PLAN, resume=True) as staging:
        path = staging.path(0)
    path.write_bytes(damage(path.read_bytes()))
    with staged(output, PLAN, resume=True) as staging:
        assert not staging.is_finished(0)


@pytest.mark.parametrize("line", ['{"shard": 1, "si', "null\n", '{"shard": 1}\n'])
def test_a_torn_line_of_the_journal_is_no_shard(output, shards, line):
    stop_after(output, shards, 1)
    folder = output[0].with_name(".set.tfrecord.packing")
    with open(folder / "journal.jsonl", "a") as journal:
        journal.write(line)
    with staged(output, PLAN, resume=True) as staging:
        assert [staging.is_finished(number) for number in range(2)] == [True, False]
        make(staging, 1, shards[1])
    with staged(output, PLAN, resume=True) as staging:
        assert [staging.is_finished(number) for number in range(2)] == [True, True]


def test_an_existing_output_is_left_alone(output, tmp_path):
    output[1].write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="ask for overwrite"), staged(output, PLAN):
        pass
    assert names(tmp_path) == [NAMES[1]]
    assert output[1].read_bytes() == b"precious"


def test_two_packers_of_one_output(output, shards):
    with staged(output, PLAN) as staging:
        make(staging, 0, shards[0])
        with (
            pytest.raises(StagingBusyError, match="another pack"),
            staged(output, PLAN, overwrite=True),
        ):
            pass
        assert staging.path(0).read_bytes() == shards[0]
    with staged(output, PLAN, resume=True) as staging:
        assert staging.is_finished(0)


@pytest.mark.parametrize("renames", range(4))
def test_stopped_between_two_renames(output, shards, tmp_path, monkeypatch, renames):
    replace, left = os.replace, iter(range(renames))

    def failing(source, target):
        if next(left, None) is None:
            raise StoppedError
        replace(source, target)

    with pytest.raises(StoppedError), staged(output, PLAN) as staging:
        for number in range(2):
            make(staging, number, shards[number])
        monkeypatch.setattr(os, "replace", failing)
        staging.publish()
    monkeypatch.undo()
    with staged(output, PLAN, resume=True) as staging:
        assert all(staging.is_finished(number) for number in range(2))
        staging.publish()
    assert [path.read_bytes() for path in output] == shards
    assert names(tmp_path) == sorted([*NAMES, *(index_path(path).name for path in output)])


KILLED = """
import os, signal, sys
from pathlib import Path
from fastpack.files.locked_folder import LOCK_NAME
from fastpack.packing.staging import Staging
with Staging(Path(sys.argv[1]), [Path(sys.argv[1])], {}) as staging:
    staging.path(0).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_packer_lets_go_of_the_lock(tmp_path):
    output = tmp_path / "set.tfrecord"
    killed = subprocess.run([sys.executable, "-c", KILLED, output], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert names(tmp_path) == [".set.tfrecord.packing"]
    with Staging(output, [output], {}) as staging:
        assert not staging.path(0).exists()
    assert names(tmp_path) == []


interrupted = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning"
)  # where `open` itself was


@pytest.fixture
def no_garbage():
    """Collects garbage before and after: an interruption inside a `__del__` would get lost."""
    gc.collect()
    gc.disable()
    yield
    gc.collect()
    gc.enable()


def chances(staging):
    """Enters `staging` repeatedly, interrupts each at its next chance, and counts the chances.

    The interpreter checks for signals where a function begins and where a call returns.
    """
    count, left = 0, 0

    def interrupt(frame, event, argument):
        nonlocal left
        if event in ("call", "c_return", "c_exception"):
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

    while True:
        left = count
        try:
            sys.setprofile(interrupt)
            with staging():
                sys.setprofile(None)
                return
        except KeyboardInterrupt:
            count += 1
            yield count
        finally:
            sys.setprofile(None)


@interrupted
@pytest.mark.parametrize("crowd", [[], [NAMES[1]]], ids=["alone", "beside an output"])
def test_ctrl_c_while_a_pack_begins_leaves_nothing(output, tmp_path, no_garbage, crowd):
    for name in crowd:
        (tmp_path / name).write_bytes(b"precious")
    for count in chances(lambda: staged(output, PLAN, overwrite=True)):
        assert names(tmp_path) == crowd, count
    assert count > 50


@interrupted
def test_ctrl_c_while_a_pack_goes_on_keeps_finished_shards(output, shards, no_garbage):
    stop_after(output, shards, 1)
    folder = output[0].with_name(".set.tfrecord.packing")
    for count in chances(lambda: staged(output, PLAN, resume=True)):
        assert {"journal.jsonl", "plan.json", *NAMES[:1]} <= set(names(folder)), count
    assert count > 50
    with staged(output, PLAN, resume=True) as staging:
        assert staging.is_finished(0)


@interrupted
def test_ctrl_c_leaves_the_folder_to_the_packer_that_has_it(output, tmp_path, no_garbage):
    with staged(output, PLAN) as staging:
        staging.path(0).write_bytes(b"half")
        with pytest.raises(StagingBusyError):
            for _ in chances(lambda: staged(output, PLAN)):
                assert names(tmp_path / ".set.tfrecord.packing") == sorted(
                    [LOCK_NAME, "plan.json", NAMES[0]]
                )
        assert staging.path(0).read_bytes() == b"half"
    assert names(tmp_path) == []


@pytest.mark.parametrize("call", ["open", "stat"])
def test_a_folder_that_its_packer_removes_is_made_again(output, tmp_path, monkeypatch, call):
    """The packer before us ends between our mkdir, open and stat."""
    real, folder, is_first = getattr(os, call), tmp_path / ".set.tfrecord.packing", True

    def after_its_end(path, *arguments, **options):
        nonlocal is_first
        if is_first and path == folder / LOCK_NAME:
            is_first = False
            (folder / LOCK_NAME).unlink(missing_ok=True)
            folder.rmdir()
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, call, after_its_end)
    with staged(output, PLAN) as staging:
        assert not is_first
        assert names(folder) == [LOCK_NAME, "plan.json"]
        with pytest.raises(StagingBusyError), staged(output, PLAN):
            pass
        assert staging.path(0).parent.is_dir()


def test_a_folder_that_another_packer_takes_up_is_left_to_it(output, tmp_path, monkeypatch):
    """It locks the folder between the last file that we remove and the folder itself."""
    rmdir, folder, others = os.rmdir, tmp_path / ".set.tfrecord.packing", []

    def after_it_came(path, **options):
        others.append(staged(output, PLAN).__enter__())
        rmdir(path, **options)

    monkeypatch.setattr(os, "rmdir", after_it_came)
    stop_after(output, [], 0)
    assert names(folder) == [LOCK_NAME, "plan.json"]
    monkeypatch.undo()
    others[0].__exit__(None, None, None)
    assert names(tmp_path) == []


def test_ctrl_c_while_a_pack_ends_lets_go_of_the_lock(output, tmp_path, monkeypatch):
    """Also where the interruption leaves its folder: the next pack of the same program takes it."""

    def interrupt(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), staged(output, PLAN):
        monkeypatch.setattr(os, "unlink", interrupt)
    monkeypatch.undo()
    with staged(output, PLAN, overwrite=True):
        pass
    assert names(tmp_path) == []
