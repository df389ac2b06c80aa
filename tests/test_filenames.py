"""FileNames: any name a file can have goes in and comes out; what the system says of the files is told by file."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack import encode
from fastpack._native.crc32c import crc32c
from fastpack.errors import MissingFileError, SourceError, UnreadableFileError
from fastpack.filenames import FileNames
from fastpack.headers import ImageFiles
from fastpack.ragged import Ragged, offsets_of

NAMES = st.binary(max_size=20).map(lambda name: os.fsdecode(name.replace(b"\0", b"?")))


@given(names=st.lists(NAMES, max_size=8))
def test_names_come_out_as_they_went_in(names):
    found = FileNames(names)
    assert list(found) == names
    assert [found[i] for i in range(len(found))] == names
    assert found[::2] == names[::2]


def test_a_name_that_no_file_has():
    with pytest.raises(SourceError, match="NUL"):
        FileNames(["a", "b\0c"])


def test_the_order_and_the_ends_of_names_count():
    assert len({FileNames(names).digest() for names in (["a", "bc"], ["ab", "c"], ["bc", "a"])}) == 3


@pytest.mark.parametrize("count", [1, 300])  # with one thread and with several
def test_what_is_wrong_is_told_by_file(tmp_path, count):
    for i in range(count):
        (tmp_path / str(i)).write_bytes(b"x" * i)
    names = FileNames([*(tmp_path / str(i) for i in range(count)), tmp_path, tmp_path / "gone"])
    sizes, times, faults = names.look()
    assert sizes.tolist() == [*range(count), 0, 0]
    assert times[:count].tolist() == [(tmp_path / str(i)).stat().st_mtime_ns for i in range(count)]
    assert {row: type(fault) for row, fault in faults.items()} == {count: UnreadableFileError, count + 1: MissingFileError}
    assert str(tmp_path / "gone") in str(faults[count + 1])


def test_files_are_read_in_the_order_that_is_asked_for(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name * 3)
    out = np.zeros(9, np.uint8)
    assert FileNames(tmp_path / name for name in "abc").read(np.array([2, 0, 2]), out, np.array([0, 3, 6, 9])) == Ragged.of_bytes(
        [b"ccc", b"aaa", b"ccc"]
    )
    assert out.tobytes() == b"cccaaaccc"


def test_what_is_found_while_reading_is_what_would_be_found_later(tmp_path):
    contents = [encode(np.zeros((3, 5, 3), np.uint8), "png"), b"", b"no image"]
    for i, content in enumerate(contents):
        (tmp_path / str(i)).write_bytes(content)
    offsets = offsets_of([len(content) for content in contents])
    found = FileNames(tmp_path / str(i) for i in range(3)).read(np.arange(3), np.zeros(int(offsets[-1]), np.uint8), offsets)
    later = ImageFiles.of(Ragged.of_bytes(contents))
    assert found.crcs.tolist() == later.crcs.tolist() == [crc32c(content) for content in contents]
    assert [each.tolist() for each in found.probed] == [each.tolist() for each in later.probed]
    assert found.take(np.array([2, 0])).crcs.tolist() == [crc32c(contents[2]), crc32c(contents[0])]


def test_the_first_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(UnreadableFileError, match="gone"):
        FileNames([tmp_path / "a", tmp_path / "gone"]).read(np.array([0, 1]), np.zeros(2, np.uint8), np.array([0, 1, 2]))
