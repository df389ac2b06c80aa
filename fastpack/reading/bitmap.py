"""Bitmap: a set of rows in one bit for each row, with the row of each set bit by number."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.bitmap import BLOCK_WORDS, SUPER_WORDS, count, rows_from, select, set_rows
from fastpack.core.dtypes import Rows

Words = npt.NDArray[np.uint64]


class Bitmap:
    """Some of `num_rows` rows. Fill `words`, then call `number`; do not modify it afterwards.

    - words (w,): row r is bit r % 64 of words[r // 64]. Bits past the last row are 0.
    - memory: words and their ranks (src_cython/kernels/bitmap.c) in one array.
    - count: the number of rows in the set.

    >>> evens = Bitmap(100); evens.add(np.arange(0, 100, 2)); evens.number()
    >>> evens.count, evens.select(np.array([3, 49])).tolist()
    (50, [6, 98])
    """

    def __init__(self, num_rows: int, memory: Words | None = None, count: int = 0) -> None:
        """`memory` and `count` are those of an earlier bitmap of as many rows."""
        self.num_rows, self.count = num_rows, count
        num_words = -(-num_rows // 64)
        ranks = num_words + -(-num_words // SUPER_WORDS)
        size = ranks + -(-num_words // (BLOCK_WORDS * 4))  # a block's rank has 2 bytes
        self.memory: Words = np.zeros(size, np.uint64) if memory is None else memory
        self.words = self.memory[:num_words]
        self._supers: Rows = self.memory[num_words:ranks].view(np.int64)
        self._blocks: npt.NDArray[Any] = self.memory[ranks:size].view(np.uint16)

    def add(self, rows: Rows) -> None:
        """Set the bits of rows (k,) int64."""
        set_rows(self.words, self.num_rows, rows)

    def number(self) -> None:
        """Count the set bits, so that `select` finds them."""
        self.count = count(self.words, self._supers, self._blocks)

    def select(self, positions: Rows) -> Rows:
        """Return the rows (k,) of positions among the set bits, in any order."""
        rows = np.empty(len(positions), np.int64)
        numbers = np.ascontiguousarray(positions, np.int64)
        select(self.words, self._supers, self._blocks, self.count, numbers, rows)
        return rows

    def blocks(self, size: int) -> Iterator[Rows]:
        """Yield all rows of the set, rising, at most `size` at once."""
        row = 0
        for first in range(0, self.count, size):
            rows = np.empty(min(size, self.count - first), np.int64)
            rows_from(self.words, row, rows)
            row = int(rows[-1]) + 1
            yield rows
