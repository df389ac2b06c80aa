"""Counts of values that come in blocks."""

from typing import Any

import numpy as np
import numpy.typing as npt

# Distinct values of blocks are merged when this many wait.
_WAITING = 2**20


class ValueCounts:
    """How often each number occurs. Memory grows with the distinct numbers only.

    >>> counts = ValueCounts(); counts.add(np.array([3, 1])); counts.add(np.array([3]))
    >>> counts.found(), counts.median()
    ((array([1, 3]), array([1, 2])), 3)
    """

    def __init__(self) -> None:
        self._parts: list[tuple[npt.NDArray[Any], npt.NDArray[np.int64]]] = []
        self._num_waiting = 0

    def add(self, values: npt.NDArray[Any]) -> None:
        """Count a block of values (k,)."""
        distinct, counts = np.unique(values, return_counts=True)
        self._parts.append((distinct, counts.astype(np.int64)))
        self._num_waiting += len(distinct)
        if self._num_waiting > max(_WAITING, 2 * len(self._parts[0][0])):
            self._merge()

    def found(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """Return the distinct values, rising, and the count of each."""
        self._merge()
        return self._parts[0] if self._parts else (np.zeros(0, np.int64), np.zeros(0, np.int64))

    def median(self) -> int:
        """Return the median, rounded down, of at least one value."""
        values, counts = self.found()
        ends = np.cumsum(counts)
        middle = [(int(ends[-1]) - 1) // 2, int(ends[-1]) // 2]
        lower, upper = values[np.searchsorted(ends, middle, side="right")].tolist()
        return int((lower + upper) // 2)

    def _merge(self) -> None:
        if len(self._parts) > 1:
            values, counts = map(np.concatenate, zip(*self._parts, strict=True))
            distinct, places = np.unique(values, return_inverse=True)
            totals = np.zeros(len(distinct), np.int64)
            np.add.at(totals, places, counts)
            self._parts = [(distinct, totals)]
        self._num_waiting = len(self._parts[0][0]) if self._parts else 0
