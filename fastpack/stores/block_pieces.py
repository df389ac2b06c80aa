"""BlockPieces: ranges of objects, divided where blocks end."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpack.core.cached import cached_property
from fastpack.stores.block_file import BLOCK_BYTES
from fastpack.stores.ranges import Ranges

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BlockPieces:
    """The parts of ranges that lie in one block each, in order; all are (n,) int64.

    - rows: the range of each.
    - files, numbers: its block.
    - starts, ends: in the block.
    """

    rows: Rows
    files: Rows
    numbers: Rows
    starts: Rows
    ends: Rows

    @classmethod
    def of(cls, ranges: Ranges) -> "BlockPieces":
        firsts, ends = ranges.starts // BLOCK_BYTES, -(-ranges.ends // BLOCK_BYTES)
        counts = ends - firsts
        rows = np.repeat(np.arange(len(ranges)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        numbers = firsts[rows] + within
        bases = numbers * BLOCK_BYTES
        return cls(
            rows,
            ranges.files[rows],
            numbers,
            np.maximum(ranges.starts[rows] - bases, 0),
            np.minimum(ranges.ends[rows] - bases, BLOCK_BYTES),
        )

    def places(self) -> list[tuple[int, int]]:
        """Return file and number of the block of each piece."""
        return list(zip(self.files.tolist(), self.numbers.tolist(), strict=True))

    @cached_property
    def num_bytes_of(self) -> dict[tuple[int, int], int]:
        """Needed bytes of each block, by file and number."""
        needed: dict[tuple[int, int], int] = {}
        for place, length in zip(self.places(), (self.ends - self.starts).tolist(), strict=True):
            needed[place] = needed.get(place, 0) + length
        return needed

    def ranges_with(self, blocks: set[tuple[int, int]]) -> Rows:
        """Return the ranges that touch one of these blocks."""
        rows = zip(self.places(), self.rows.tolist(), strict=True)
        return np.array(sorted({row for place, row in rows if place in blocks}), np.int64)

    def take(self, places: Rows) -> "BlockPieces":
        """Return the given pieces."""
        columns = (self.rows, self.files, self.numbers, self.starts, self.ends)
        return BlockPieces(*(column[places] for column in columns))

    def without_ranges(self, rows: Rows) -> "BlockPieces":
        """Return the pieces of all other ranges."""
        return self.take(np.flatnonzero(~np.isin(self.rows, rows)))

    def groups(self, num_blocks: int) -> list[Rows]:
        """Divide the pieces into groups that lie in at most so many blocks each."""
        order = np.lexsort((self.numbers, self.files))
        files, numbers = self.files[order], self.numbers[order]
        is_new = (np.diff(files, prepend=-1) != 0) | (np.diff(numbers, prepend=-1) != 0)
        group = (np.cumsum(is_new) - 1) // num_blocks
        return np.split(order, np.flatnonzero(np.diff(group)) + 1) if len(order) else []
