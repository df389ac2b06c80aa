"""The samples of a column by class, sorted in blocks with the help of a file.

Three passes: count the classes; write the samples to buckets of classes; sort each bucket. All
writes are sequential within a bucket, so 10^6 classes cost no more system calls than ten.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Text
from fastpack.files.atomic import write_all
from fastpack.reading.evaluation import BLOCK_ROWS, RAGGED_BLOCK_ROWS
from fastpack.reading.expression import Lazy

# Samples that are sorted in memory at one time: 100 MB with the order and the copy.
_BUCKET_SAMPLES = 2**22
# Distinct values are merged when this many wait.
_MERGED_VALUES = 2**20

Counts = npt.NDArray[np.int64]


def blocks_of(column: Any) -> Iterator[npt.NDArray[Any]]:
    """Yield the values of a column as arrays, a block of rows at a time."""
    if isinstance(column, Lazy):
        pieces = column.pieces()
    else:
        size = RAGGED_BLOCK_ROWS if isinstance(column, Text) else BLOCK_ROWS
        pieces = (column[first : first + size] for first in range(0, max(len(column), 1), size))
    return map(as_array, pieces)


def as_array(values: Any) -> npt.NDArray[Any]:
    """Return a column as an array; Text as numpy's strings."""
    return np.array(list(values), np.str_) if isinstance(values, Text) else np.asarray(values)


def count_classes(blocks: Iterator[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], Counts]:
    """Return the sorted distinct values, and how often each occurs.

    >>> count_classes(iter([np.array([3, 1]), np.array([3])]))
    (array([1, 3]), array([1, 2]))
    """
    found: list[tuple[npt.NDArray[Any], Counts]] = []
    num_waiting = 0
    for block in blocks:
        values, counts = np.unique(block, return_counts=True)
        found.append((values, counts.astype(np.int64)))
        num_waiting += len(values)
        if num_waiting > max(_MERGED_VALUES, len(found[0][0])):
            found, num_waiting = [_merged(found)], 0
    return _merged(found)


def _merged(found: list[tuple[npt.NDArray[Any], Counts]]) -> tuple[npt.NDArray[Any], Counts]:
    values, places = np.unique(np.concatenate([values for values, _ in found]), return_inverse=True)
    totals = np.zeros(len(values), np.int64)
    np.add.at(totals, places, np.concatenate([counts for _, counts in found]))
    return values, totals


def class_numbers(values: npt.NDArray[Any], block: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the place of each value of a block among the sorted distinct values."""
    if values.dtype.kind in "iu" and int(values[-1]) - int(values[0]) == len(values) - 1:
        # Differences of signed numbers may wrap, and are right without the sign.
        return (block - values[0]).view(f"u{block.itemsize}").astype(np.int64)
    return np.searchsorted(values, block)


class SortedSamples:
    """Sample numbers by class, in a file; within a class they rise. Reads as an array (n,).

    - dtype: of the numbers, little-endian.
    """

    ndim = 1

    def __init__(self, path: Path, counts: Counts) -> None:
        self._path = path
        self._num_samples = int(counts.sum())
        self.dtype = np.dtype("<u4" if self._num_samples <= 2**32 else "<u8")
        self._record = np.dtype([("sample", self.dtype), ("part", "<u4")])
        self._buckets = _buckets(counts)
        bucket_sizes = np.bincount(self._buckets, counts).astype(np.int64)
        self._ends = np.cumsum(bucket_sizes)
        self._starts = self._ends - bucket_sizes
        self._first_classes = np.searchsorted(self._buckets, np.arange(len(bucket_sizes)))

    def fill(self, blocks: Callable[[], Iterator[npt.NDArray[Any]]]) -> None:
        """Write all samples. `blocks` yields the class numbers of all samples. Raises OSError."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._scatter(descriptor, blocks())
            for bucket in np.flatnonzero(np.bincount(self._buckets) > 1):
                self._sort(descriptor, int(bucket))
        finally:
            os.close(descriptor)

    def _scatter(self, descriptor: int, blocks: Iterator[npt.NDArray[Any]]) -> None:
        filled, first = self._starts.copy(), 0
        for classes in blocks:
            buckets = self._buckets[classes]
            order = np.argsort(buckets, kind="stable")
            records = np.empty(len(order), self._record)
            records["sample"] = order + first
            records["part"] = (classes - self._first_classes[buckets])[order]
            sizes = np.bincount(buckets, minlength=len(filled))
            begin = 0
            for bucket in np.flatnonzero(sizes):
                end = begin + int(sizes[bucket])
                self._write(descriptor, records[begin:end], int(filled[bucket]))
                begin = end
            filled += sizes
            first += len(classes)
        if not np.array_equal(filled, self._ends):
            raise RuntimeError("the column changed between two passes over it")

    def _sort(self, descriptor: int, bucket: int) -> None:
        first, end = int(self._starts[bucket]), int(self._ends[bucket])
        records = self._read(descriptor, first, end)
        order = np.argsort(records["part"], kind="stable")
        self._write(descriptor, records[order], first)

    def _write(self, descriptor: int, records: npt.NDArray[Any], first: int) -> None:
        write_all(descriptor, records.view(np.uint8).data, first * self._record.itemsize)

    def _read(self, descriptor: int, first: int, end: int) -> npt.NDArray[Any]:
        records = np.empty(end - first, self._record)
        left, at = memoryview(records.view(np.uint8)), first * self._record.itemsize
        while left:
            num_read = os.preadv(descriptor, [left], at)
            if not num_read:
                raise OSError("a temporary file was truncated")
            left, at = left[num_read:], at + num_read
        return records

    # The parts of an array that `save_tables` needs

    def __len__(self) -> int:
        return self._num_samples

    def __getitem__(self, rows: Any) -> npt.NDArray[Any]:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if isinstance(rows, slice):
                first, end, _ = rows.indices(len(self))
                return np.ascontiguousarray(self._read(descriptor, first, end)["sample"])
            single = [self._read(descriptor, int(row), int(row) + 1)["sample"] for row in rows]
            return np.concatenate(single)
        finally:
            os.close(descriptor)


def _buckets(counts: Counts) -> npt.NDArray[np.int64]:
    """Return the bucket of each class: consecutive classes, or one that is larger than a bucket."""
    size = _BUCKET_SAMPLES
    starts = np.cumsum(counts) - counts
    is_large = counts >= size
    # A bucket begins where a window of `size` samples begins, and at and after a large class.
    begins = np.zeros(len(counts), np.bool_)
    begins[1:] = (starts[1:] // size != starts[:-1] // size) | is_large[1:] | is_large[:-1]
    return np.cumsum(begins)
