"""Fetched: bytes of files that were read from stores, by file and offset."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.memories import Memories
from fastpack.stores.ranges import Ranges
from fastpack.stores.store import Buffer

# A place is one number: the file, and the byte in it. Files may have 64 TiB.
_OFFSET_BITS = np.uint64(46)

Places = npt.NDArray[np.uint64]


class Fetched:
    """The bytes of some ranges of files. Immutable.

    Args:
        buffers: the bytes of each range, (k,).
        ranges: of files, (k,).

    >>> ranges = Ranges(np.array([1]), np.array([100]), np.array([103]))
    >>> fetched = Fetched([b"abc"], ranges)
    >>> numbers, offsets = fetched.locate(np.array([1]), np.array([101]), np.array([2]))
    >>> numbers.tolist(), offsets.tolist()
    ([0], [1])
    """

    def __init__(self, buffers: Sequence[Buffer], ranges: Ranges) -> None:
        firsts = _places(ranges.files, ranges.starts)
        order = np.argsort(firsts)
        self._firsts, self._ranges = firsts[order], ranges.take(order)
        self.memories = Memories.of([buffers[row] for row in order.tolist()])

    @classmethod
    def joined(cls, parts: "Sequence[Fetched]") -> "Fetched":
        """Return the bytes of several, which count files alike."""
        if len(parts) == 1:
            return parts[0]
        ranges = Ranges.joined([part._ranges for part in parts])
        return cls([buffer for part in parts for buffer in part.memories.buffers], ranges)

    def locate(
        self, files: npt.NDArray[Any], offsets: npt.NDArray[Any], lengths: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.uint32], Places]:
        """Return the memory of each span (n,), and its offset there.

        Raises LookupError for a span that was not fetched.

        - files: numbers of the files, (n,).
        - offsets: in the files, (n,).
        - lengths: in bytes, (n,).
        """
        if not len(files):
            return np.zeros(0, np.uint32), np.zeros(0, np.uint64)
        offsets, lengths = offsets.astype(np.uint64), lengths.astype(np.uint64)
        rows = np.searchsorted(self._firsts, _places(files, offsets), side="right") - 1
        if (rows < 0).any():
            raise LookupError("a span was not fetched: it lies before all ranges")
        starts, ends = (
            column[rows].astype(np.uint64) for column in (self._ranges.starts, self._ranges.ends)
        )
        is_outside = (self._ranges.files[rows] != files) | (offsets + lengths > ends)
        if is_outside.any():
            row = int(np.argmax(is_outside))
            raise LookupError(f"a span was not fetched: {lengths[row]} bytes at {offsets[row]}")
        return rows.astype(np.uint32), offsets - starts


def _places(files: npt.NDArray[Any], offsets: npt.NDArray[Any]) -> Places:
    return np.asarray(files.astype(np.uint64) << _OFFSET_BITS | offsets.astype(np.uint64))
