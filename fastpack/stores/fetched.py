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
        self._widest = _widest_so_far(_places(self._ranges.files, self._ranges.ends))
        self._buffers = [buffers[row] for row in order.tolist()]
        self.memories = Memories.of(self._buffers or [b""])  # empty spans lie in the first

    @classmethod
    def joined(cls, parts: "Sequence[Fetched]") -> "Fetched":
        """Return the bytes of several, which count files alike."""
        if len(parts) == 1:
            return parts[0]
        ranges = Ranges.joined([part._ranges for part in parts])
        return cls([buffer for part in parts for buffer in part._buffers], ranges)

    def locate(
        self, files: npt.NDArray[Any], offsets: npt.NDArray[Any], lengths: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.uint32], Places]:
        """Return the memory of each span (n,), and its offset there.

        Raises LookupError for a span that was not fetched. Empty spans need no range.

        - files: numbers of the files, (n,).
        - offsets: in the files, (n,).
        - lengths: in bytes, (n,).
        """
        offsets, lengths = offsets.astype(np.uint64), lengths.astype(np.uint64)
        numbers, moved = np.zeros(len(files), np.uint32), np.zeros(len(files), np.uint64)
        filled = np.flatnonzero(lengths)
        files, offsets, lengths = files[filled], offsets[filled], lengths[filled]
        rows = np.searchsorted(self._firsts, _places(files, offsets), side="right") - 1
        is_inside = np.zeros(len(files), np.bool_)
        if len(self._ranges):
            # Row -1, before all ranges, becomes the last one, which begins after the span.
            rows = self._widest[rows]
            of_spans = self._ranges.take(rows)
            starts, ends = of_spans.starts.astype(np.uint64), of_spans.ends.astype(np.uint64)
            is_inside = (of_spans.files == files) & (starts <= offsets) & (offsets <= ends)
            is_inside &= lengths <= ends - offsets
            numbers[filled], moved[filled] = rows, offsets - starts
        if not is_inside.all():
            row = int(np.argmin(is_inside))
            of_file = f"{lengths[row]} bytes at {offsets[row]} of file {files[row]}"
            raise LookupError(f"a span was not fetched: {of_file}")
        return numbers, moved


def _widest_so_far(ends: Places) -> npt.NDArray[np.int64]:
    """Return, for each range, which one of it and those before it ends last.

    Windows of samples overlap in the gaps that they read. If any range has all of a span, so has
    the one that ends last of those that begin at or before the span.
    """
    is_widest = ends == np.maximum.accumulate(ends)
    return np.maximum.accumulate(np.where(is_widest, np.arange(len(ends)), 0))


def _places(files: npt.NDArray[Any], offsets: npt.NDArray[Any]) -> Places:
    return np.asarray(files.astype(np.uint64) << _OFFSET_BITS | offsets.astype(np.uint64))
