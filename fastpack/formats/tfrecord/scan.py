"""Windows: reads a TFRecord in pieces of whole records."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c_rows
from fastpack._native.features import Features
from fastpack._native.tfrecord import scan
from fastpack.core.limits import Limits
from fastpack.errors import Location, Status, os_errors_at, raise_status

# Bytes of a record before its data, and around them.
HEADER_BYTES, FRAME_BYTES = 12, 16
_PARSED_RECORDS = 256
_WINDOW_BYTES = 8 * 2**20  # large enough that Python's work for a window does not matter


@dataclass
class Window:
    """Whole records in `data`, which begins at byte `base` of the file."""

    data: npt.NDArray[np.uint8]
    base: int
    record_numbers: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.uint64]
    crcs: npt.NDArray[np.uint32]

    def take(self, rows: npt.NDArray[np.bool_]) -> "Window":
        """Return the window with these records only."""
        return Window(
            self.data,
            self.base,
            self.record_numbers[rows],
            self.offsets[rows],
            self.lengths[rows],
            self.crcs[rows],
        )

    def statuses(self) -> npt.NDArray[np.uint8]:
        """Return a status for each record.

        It is 0 for a whole record, BAD_DATA_CRC for one that differs from its checksum, and
        BAD_PROTO for one that is not an Example.
        """
        bounds = np.zeros(2 * len(self.offsets) + 1, np.int64)
        bounds[1::2], bounds[2::2] = self.offsets, self.offsets + self.lengths
        is_whole = crc32c_rows(self.data, bounds)[1::2] == self.crcs
        statuses = np.where(is_whole, 0, Status.BAD_DATA_CRC).astype(np.uint8)
        whole = np.flatnonzero(is_whole)
        is_example = are_examples(self.data, self.offsets[whole], self.lengths[whole])
        statuses[whole[~is_example]] = Status.BAD_PROTO
        return statuses


def are_examples(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.uint64], lengths: npt.NDArray[np.uint64]
) -> npt.NDArray[np.bool_]:
    """Return which of these records of `data` are a tf.train.Example, (n,)."""
    sound = np.ones(len(offsets), np.bool_)
    # A pass ends at the first bad record, and its cost grows with the rest: so it is short.
    for first in range(0, len(offsets), _PARSED_RECORDS):
        end = first + _PARSED_RECORDS
        while failure := Features(len(data)).add(data, offsets[first:end], lengths[first:end]):
            first += failure[2] + 1
            sound[first - 1] = failure[0] != Status.BAD_PROTO
    return sound


def windows(path: Path, check: bool, limits: Limits) -> Iterator[Window]:
    """Yield all records of a file, as `windows_of` does."""
    with os_errors_at(path, "read"), open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        yield from windows_of(file, size, path, check, limits)


def windows_of(
    file: FileIO, size: int, path: Path, check: bool, limits: Limits
) -> Iterator[Window]:
    """Yield all records of an open file.

    Raises an error for a damaged frame and, with `check`, for the first record that differs from
    its checksum.
    """
    base, num_records, window_bytes = 0, 0, min(_WINDOW_BYTES, size)
    memory = np.empty(0, np.uint8)  # all windows share it: columns copy what they keep
    while base < size:
        if len(memory) < window_bytes:
            memory = np.empty(window_bytes, np.uint8)
        data = memory[: min(window_bytes, size - base)]
        with os_errors_at(path, "read"):
            _read_into(file, data, base, path)
        offsets, lengths, crcs, consumed, wanted, failure = scan(
            data, size - base, record_limit=limits.max_record_bytes, check=check
        )
        if failure:
            status, _, row, offset, message = failure
            raise_status(status, message, Location(path, num_records + row, base + offset))
        yield Window(data, base, num_records + np.arange(len(offsets)), offsets, lengths, crcs)
        base, num_records = base + consumed, num_records + len(offsets)
        window_bytes = max(_WINDOW_BYTES, wanted)


def _read_into(file: FileIO, data: npt.NDArray[np.uint8], offset: int, path: Path) -> None:
    file.seek(offset)
    left = data.data
    while left:
        got = file.readinto(left)
        if not got:
            raise_status(
                Status.TRUNCATED,
                "the file became shorter while it was read",
                Location(path, offset=offset),
            )
        left = left[got:]
