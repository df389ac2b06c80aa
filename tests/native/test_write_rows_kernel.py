"""Rows of bytes are written where they belong, and compared with what then stands there."""

import errno
import os

import numpy as np
import pytest

from fastpack._native.crc32c import crc32c_rows
from fastpack._native.write_rows import write_rows
from fastpack.core.ragged import Ragged, offsets_of

IO_ERROR, TRUNCATED, BAD_DATA_CRC = 1, 3, 5
DATA = np.random.default_rng(0).bytes(400_000)
SIZES = {
    "none": [],
    "an empty one": [0],
    "empty ones between": [0, 3, 0, 0, 5, 0],
    "as much as a call takes": [131072],
    "more than a call takes": [131073, 1, 200_000, 65_536],
    "as much as is read back at once": [65_536, 65_536, 65_536],
}


def rows_of(sizes):
    offsets = offsets_of(sizes)
    return Ragged(np.frombuffer(DATA, np.uint8, offsets[-1]), offsets)


def write(descriptor, rows, offset=0):
    return write_rows(
        descriptor, offset, rows.values, rows.offsets, crc32c_rows(rows.values, rows.offsets)
    )


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("offset", [0, 1000])
def test_rows_stand_one_after_the_other(tmp_path, sizes, offset):
    with open(tmp_path / "x", "w+b") as file:
        assert write(file.fileno(), rows_of(sizes), offset) is None
    assert (tmp_path / "x").read_bytes()[offset:] == DATA[: sum(sizes)]


@pytest.mark.parametrize("bad", range(4))
def test_a_row_that_differs_is_reported(tmp_path, bad):
    rows = rows_of(SIZES["more than a call takes"])
    crcs = crc32c_rows(rows.values, rows.offsets)
    crcs[bad] ^= 1 << 7
    with open(tmp_path / "x", "w+b") as file:
        status, _, row, offset, _ = write_rows(file.fileno(), 50, rows.values, rows.offsets, crcs)
    assert (status, row, offset) == (BAD_DATA_CRC, bad, 50 + rows.offsets[bad])


def test_a_file_that_keeps_nothing():
    with open(os.devnull, "r+b") as nothing:
        assert write(nothing.fileno(), rows_of([9, 9]))[:3] == (TRUNCATED, 0, 0)


def test_a_full_disk():
    with open("/dev/full", "r+b") as full:
        assert write(full.fileno(), rows_of([9, 9]))[:3] == (IO_ERROR, errno.ENOSPC, 0)


@pytest.mark.parametrize("offsets", [[0, 5, 9], [1, 5, 10], [0, 11, 10], [0, 10], []])
def test_offsets_that_do_not_fit_are_a_mistake(tmp_path, offsets):
    with pytest.raises(ValueError, match="offsets"):
        write_rows(
            -1, 0, np.zeros(10, np.uint8), np.array(offsets, np.int64), np.zeros(2, np.uint32)
        )
