"""FileNames keeps any name that a file can have, and reports system errors by file."""

import os
import resource

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack import encode
from fastpack._native.crc32c import crc32c
from fastpack.core.ragged import Ragged, Text, offsets_of
from fastpack.core.threads import run_in_threads
from fastpack.errors import FastpackError, MissingFileError, SourceError, UnreadableFileError
from fastpack.files.file_names import FileNames
from fastpack.images.headers import ProbedFiles

NAMES = st.binary(max_size=20).map(lambda name: os.fsdecode(name.replace(b"\0", b"?")))


@given(names=st.lists(NAMES, max_size=8))
def test_names_come_out_as_they_went_in(names):
    found = FileNames(names)
    assert list(found) == names
    assert [found[i] for i in range(len(found))] == names
    assert found[::2] == names[::2]


@given(names=st.lists(NAMES, max_size=8), folder=NAMES.map(lambda name: name and name + "/"))
def test_names_below_their_folder(names, folder):
    """As a Text, whose memory they then are in, or not."""
    for found in (FileNames(names, folder), FileNames(Text.of(names), folder)):
        assert list(found) == found[:] == list(found.as_text()) == [folder + name for name in names]
        assert found.digest() == FileNames(names, folder).digest()
    assert FileNames(names).as_text() == Text.of(names)


def test_a_text_of_names_is_kept_once():
    names = Text.of(["a", "b"])
    assert FileNames(names).as_text() is names
    (folder,) = {FileNames(names, name).digest() for name in ("x/", "x/")}
    assert folder != FileNames(names, "y/").digest()


def test_where_the_system_writes_names_otherwise_than_text(tmp_path, monkeypatch):
    """They are written for the system once more."""
    monkeypatch.setattr("fastpack.files.file_names._TEXT_IS_NAMES", False)
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("latin-1"))
    monkeypatch.setattr(os, "fsdecode", lambda name: name.decode("latin-1"))
    names = FileNames(Text.of(["a", "ö"]), f"{tmp_path}/")
    assert list(names) == names[:] == list(names.as_text()) == [f"{tmp_path}/a", f"{tmp_path}/ö"]
    with open(str(tmp_path).encode() + b"/\xf6", "wb") as file:
        file.write(b"123")
    assert names.stat()[0].tolist() == [0, 3]


def test_a_name_that_no_file_has():
    with pytest.raises(SourceError, match="NUL"):
        FileNames(["a", "b\0c"])


def test_the_order_and_the_ends_of_names_count():
    assert (
        len({FileNames(names).digest() for names in (["a", "bc"], ["ab", "c"], ["bc", "a"])}) == 3
    )


@pytest.mark.parametrize("count", [1, 300])  # with one thread and with several
def test_what_is_wrong_is_reported_by_file(tmp_path, count):
    for i in range(count):
        (tmp_path / str(i)).write_bytes(b"x" * i)
    names = FileNames([*(tmp_path / str(i) for i in range(count)), tmp_path, tmp_path / "gone"])
    sizes, times, faults = names.stat()
    assert sizes.tolist() == [*range(count), 0, 0]
    assert times[:count].tolist() == [(tmp_path / str(i)).stat().st_mtime_ns for i in range(count)]
    assert {row: type(fault) for row, fault in faults.items()} == {
        count: UnreadableFileError,
        count + 1: MissingFileError,
    }
    assert str(tmp_path / "gone") in str(faults[count + 1])


def test_files_are_read_in_the_order_that_is_asked_for(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name * 3)
    out = np.zeros(9, np.uint8)
    assert FileNames(tmp_path / name for name in "abc").read(
        np.array([2, 0, 2]), out, np.array([0, 3, 6, 9])
    ) == Ragged.of_bytes([b"ccc", b"aaa", b"ccc"])
    assert out.tobytes() == b"cccaaaccc"


def test_what_is_found_while_reading_is_what_would_be_found_later(tmp_path):
    contents = [encode(np.zeros((3, 5, 3), np.uint8), "png"), b"", b"no image"]
    for i, content in enumerate(contents):
        (tmp_path / str(i)).write_bytes(content)
    offsets = offsets_of([len(content) for content in contents])
    found = FileNames(tmp_path / str(i) for i in range(3)).read(
        np.arange(3), np.zeros(int(offsets[-1]), np.uint8), offsets
    )
    later = ProbedFiles.of(Ragged.of_bytes(contents))
    assert found.crcs.tolist() == later.crcs.tolist() == [crc32c(content) for content in contents]
    assert [each.tolist() for each in found.probed] == [each.tolist() for each in later.probed]
    assert found.take(np.array([2, 0])).crcs.tolist() == [crc32c(contents[2]), crc32c(contents[0])]


def test_the_first_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(UnreadableFileError, match="gone"):
        FileNames([tmp_path / "a", tmp_path / "gone"]).read(
            np.array([0, 1]), np.zeros(2, np.uint8), np.array([0, 1, 2])
        )


@pytest.mark.isolated
def test_threads_that_read_ahead_leave_descriptors_to_others(tmp_path):
    for i in range(64):
        (tmp_path / f"{i:02}").write_bytes(bytes([i]) * 100)
    names, rows = FileNames(sorted(tmp_path.iterdir())), np.arange(64)
    offsets, before = np.arange(65) * 100, resource.getrlimit(resource.RLIMIT_NOFILE)
    failures = []

    def read():
        try:
            for _ in range(30):
                names.read(rows, np.empty(6400, np.uint8), offsets)
        except FastpackError as error:
            failures.append(error)

    run_in_threads(read, 4)  # the pool's threads are there
    spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 8, before[1]))
    try:
        run_in_threads(read, 4)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert failures == []
