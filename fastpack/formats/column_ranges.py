"""Column ranges: the least and the greatest value of a column of numbers in each shard."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_NO_INT = (0, -1)  # of a shard without a value; NaN for floats


class ColumnRanges:
    """Collects the ranges of one column of `num_shards` shards."""

    def __init__(self, num_shards: int) -> None:
        self._num_shards = num_shards
        self._ints: npt.NDArray[np.int64] | None = None
        self._floats: npt.NDArray[np.float64] | None = None
        self._fits = True  # into int64 or float64

    def set(self, number: int, least: Any, greatest: Any) -> None:
        """Set the range of a shard."""
        if isinstance(least, int) and isinstance(greatest, int):
            if self._ints is None:
                self._ints = np.full((self._num_shards, 2), _NO_INT, np.int64)
            try:
                self._ints[number] = least, greatest
            except OverflowError:  # of uint64
                self._fits = False
        else:
            if self._floats is None:
                self._floats = np.full((self._num_shards, 2), np.nan)
            self._floats[number] = least, greatest

    def columns(self, rows: Sequence[int] | slice) -> dict[str, npt.NDArray[Any]] | None:
        """Return the table of some shards: min and max, (k,) int64 or float64.

        Returns None if these types cannot hold all values.
        """
        values = self._joined() if self._fits else None
        if values is None:
            return None
        return {"min": values[rows, 0], "max": values[rows, 1]}

    def _joined(self) -> npt.NDArray[Any] | None:
        if self._floats is None or self._ints is None:
            return self._ints if self._floats is None else self._floats
        has_ints = self._ints[:, 0] <= self._ints[:, 1]
        ints = self._ints[has_ints]
        if (ints.astype(np.float64).astype(np.int64) != ints).any():
            return None
        joined = self._floats.copy()
        joined[has_ints] = ints
        return joined
