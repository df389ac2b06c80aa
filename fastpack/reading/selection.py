"""Selection: which rows of a source a Reader has, and in which order.

A selection has one of three forms. A Span has first, count and step. A RowSet has a bit for each
row of the source. A RowList has 4 or 8 bytes for each of its rows. Equal rows always have the same
form and the same digest, however they were selected:

- An arithmetic progression is a Span. That includes everything, nothing and one row repeated.
- Strictly rising or falling rows are a RowSet if that is not larger than a RowList.
- All other rows are a RowList.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastpack._native.bitmap import keep
from fastpack._native.crc32c import crc32c
from fastpack.core.dtypes import Rows
from fastpack.errors import OutOfRangeError
from fastpack.files.scratch import Scratch
from fastpack.reading.bitmap import Bitmap

_BLOCK_ROWS = 2**16  # made at once where all rows are visited: 512 KiB
_MAX_INLINE = 48 * 1024  # bytes within a pickle; larger selections are in a Scratch


class Selection(Protocol):
    """Rows of a source, in order. Immutable, thread-safe, fork-safe; pickles in under 64 KB."""

    @property
    def num_rows(self) -> int:
        """Rows of the source."""

    @property
    def direction(self) -> int:
        """1 if the rows rise strictly, -1 if they fall strictly, else 0."""

    @property
    def digest(self) -> str:
        """Eight hex digits; equal for equal rows of sources of equal length (a CRC-32C)."""

    def __len__(self) -> int: ...

    def rows_at(self, positions: Rows) -> Rows:
        """Return the rows (k,) at positions (k,), which the caller has checked."""

    def blocks(self, size: int) -> Iterator[Rows]:
        """Yield all rows in order, at most `size` at once."""


@dataclass(frozen=True)
class Span:
    """Rows first, first + step, and so on."""

    num_rows: int
    first: int
    count: int
    step: int

    def __len__(self) -> int:
        return self.count

    @property
    def direction(self) -> int:
        return (self.step > 0) - (self.step < 0)

    @property
    def digest(self) -> str:
        return _digest(b"span", self.num_rows, self.first, self.count, self.step)

    def rows_at(self, positions: Rows) -> Rows:
        return self.first + np.asarray(positions, np.int64) * self.step

    def blocks(self, size: int) -> Iterator[Rows]:
        for begin, end in _cuts(self.count, size):
            yield self.rows_at(np.arange(begin, end))

    def masks(self, size: int) -> Iterator[npt.NDArray[np.bool_]]:
        """Yield booleans of all rows of the source, at most `size` at once."""
        last = self.first + (self.count - 1) * self.step
        low, high, step = min(self.first, last), max(self.first, last), abs(self.step) or 1
        for begin, end in _cuts(self.num_rows, size):
            mask = np.zeros(end - begin, np.bool_)
            first = low - begin if low > begin else (low - begin) % step
            mask[first : max(0, high + 1 - begin) : step] = self.count > 0
            yield mask


class _Stored:
    """A selection in an array: its digest and its pickle."""

    def __init__(self, num_rows: int, direction: int, count: int, array: npt.NDArray[Any]) -> None:
        self.num_rows, self.direction = num_rows, direction
        self._count, self._array = count, array
        # "digest" and "scratch" once they are made. If two threads make one, both use the first.
        self._made: dict[str, Any] = {}

    def __len__(self) -> int:
        return self._count

    @property
    def digest(self) -> str:
        known: str | None = self._made.get("digest")
        return known or self._made.setdefault("digest", self._new_digest())

    def _new_digest(self) -> str:
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        facts = type(self), self.num_rows, self.direction, self._count, self._array.dtype.str
        if self._array.nbytes <= _MAX_INLINE:
            return _loaded, (*facts, self._array.tobytes())
        known = self._made.get("scratch")
        scratch = known or self._made.setdefault("scratch", Scratch.write(self._array.data))
        return _loaded, (*facts, scratch)


class RowSet(_Stored):
    """Rows that rise or fall strictly, with a bit for each row of the source."""

    def __init__(self, num_rows: int, direction: int, count: int, array: npt.NDArray[Any]) -> None:
        super().__init__(num_rows, direction, count, array)
        self._bitmap = Bitmap(num_rows, array, count)

    @classmethod
    def of(cls, bitmap: Bitmap, direction: int = 1) -> "RowSet":
        """Take the rows of a bitmap, rising or falling."""
        return cls(bitmap.num_rows, direction, bitmap.count, bitmap.memory)

    @property
    def words(self) -> npt.NDArray[np.uint64]:
        """The bits of all rows of the source."""
        return self._bitmap.words

    def _new_digest(self) -> str:
        return _digest(b"bits", self.num_rows, self.direction, data=self.words)

    def rows_at(self, positions: Rows) -> Rows:
        if self.direction < 0:
            positions = self._count - 1 - np.asarray(positions)
        return self._bitmap.select(positions)

    def blocks(self, size: int) -> Iterator[Rows]:
        if self.direction > 0:
            yield from self._bitmap.blocks(size)
        else:
            for begin, end in _cuts(self._count, size):
                yield self.rows_at(np.arange(begin, end))


class RowList(_Stored):
    """Rows in any order, as numbers."""

    def _new_digest(self) -> str:
        return _digest(b"rows", self.num_rows, self.direction, data=self._array)

    def rows_at(self, positions: Rows) -> Rows:
        return self._array[positions].astype(np.int64)

    def blocks(self, size: int) -> Iterator[Rows]:
        for begin, end in _cuts(self._count, size):
            yield self._array[begin:end].astype(np.int64)


def everything(num_rows: int) -> Selection:
    """Select all rows.

    >>> everything(10**12).rows_at(np.array([3, 10**11])).tolist()
    [3, 100000000000]
    """
    return span(num_rows, 0, num_rows)


def span(num_rows: int, first: int, count: int, step: int = 1) -> Selection:
    """Select `count` rows, `step` apart, as a slice does; `step` may be negative.

    Raises:
        OutOfRangeError: there are no such rows.
    """
    for row in (first, first + (count - 1) * step) if count else ():
        _check_row(row, num_rows)
    return Span(num_rows, first if count else 0, count, step if count > 1 else 1)


def of_rows(num_rows: int, rows: Rows) -> Selection:
    """Select rows (k,) in any order; a row may occur more than once.

    Raises:
        OutOfRangeError: there is no such row.

    >>> of_rows(100, np.array([8, 6, 4]))
    Span(num_rows=100, first=8, count=3, step=-2)
    """
    numbers = np.asarray(rows, np.int64)
    for row in (numbers.min(), numbers.max()) if len(numbers) else ():
        _check_row(int(row), num_rows)
    return _collected(num_rows, len(numbers), _direction(numbers), _parts(numbers))


def of_masks(num_rows: int, masks: Iterable[npt.NDArray[np.bool_]]) -> Selection:
    """Select the rows whose boolean is True.

    Args:
        num_rows: rows of the source.
        masks: booleans (k,) of the first k rows, of the next, and so on.

    Raises:
        ValueError: the masks together are not (num_rows,) booleans.

    >>> len(of_masks(4, [np.array([True, False, True]), np.array([True])]))
    3
    """
    collector = MaskCollector(num_rows)
    for mask in masks:
        collector.add(mask)
    return collector.selection()


class MaskCollector:
    """Collects masks of consecutive blocks of rows, one bit a row."""

    def __init__(self, num_rows: int) -> None:
        self.bitmap, self._num_done = Bitmap(num_rows), 0

    def add(self, mask: npt.NDArray[np.bool_]) -> None:
        """Append booleans (k,) of the next k rows."""
        end = self._num_done + len(mask)
        if mask.ndim != 1 or mask.dtype != np.bool_ or end > self.bitmap.num_rows:
            raise ValueError(
                f"masks: must be booleans of {self.bitmap.num_rows} rows in all, not {mask.dtype} "
                f"{mask.shape} after {self._num_done}"
            )
        first, shift = divmod(self._num_done, 8)
        aligned = np.concatenate([np.zeros(shift, np.bool_), mask]) if shift else mask
        packed = np.packbits(aligned, bitorder="little")
        self.bitmap.words.view(np.uint8)[first : first + len(packed)] |= packed
        self._num_done = end

    def selection(self) -> Selection:
        """Return the rows whose boolean was True, once all rows have one."""
        bitmap = self.bitmap
        if self._num_done != bitmap.num_rows:
            raise ValueError(f"masks: {self._num_done} rows, not {bitmap.num_rows}")
        bitmap.number()
        if _may_mark(bitmap.num_rows, bitmap.count):
            return _canonical(RowSet.of(bitmap))
        return _collected(bitmap.num_rows, bitmap.count, 1, bitmap.blocks(_BLOCK_ROWS))


def compose(outer: Selection, inner: Selection) -> Selection:
    """Select by `outer` from the rows that `inner` has selected.

    Args:
        outer: its rows are positions of `inner`, so outer.num_rows is len(inner).
        inner: rows of the source.

    Returns:
        Rows of the source.

    >>> compose(span(50, 0, 3), span(100, 1, 50, 2))
    Span(num_rows=100, first=1, count=3, step=2)
    """
    if outer.num_rows != len(inner):
        raise ValueError(f"outer: selects from {outer.num_rows} rows, not from {len(inner)}")
    num_rows, count = inner.num_rows, len(outer)
    if outer == everything(len(inner)):
        return inner
    if inner == everything(num_rows):
        return outer
    if isinstance(outer, Span) and isinstance(inner, Span):
        first = inner.first + outer.first * inner.step
        return span(num_rows, first if count else 0, count, outer.step * inner.step)
    direction = outer.direction * inner.direction
    can_mark = direction and _may_mark(num_rows, count)
    if can_mark and isinstance(inner, RowSet) and inner.direction > 0:
        return _canonical(RowSet.of(_kept(inner, _words(outer)), direction))
    blocks = (inner.rows_at(positions) for positions in outer.blocks(_BLOCK_ROWS))
    return _collected(num_rows, count, direction, blocks)


def _kept(inner: RowSet, outer_words: npt.NDArray[np.uint64]) -> Bitmap:
    """Return the rows of `inner` whose position has a bit in `outer_words`."""
    kept = Bitmap(inner.num_rows)
    keep(inner.words, outer_words, kept.words)
    kept.number()
    return kept


def _words(selection: Selection) -> npt.NDArray[np.uint64]:
    """Return a bit for each row of the source."""
    if isinstance(selection, RowSet):
        return selection.words
    if isinstance(selection, Span):
        collector = MaskCollector(selection.num_rows)
        for mask in selection.masks(_BLOCK_ROWS):
            collector.add(mask)
        return collector.bitmap.words
    return _marked(selection.num_rows, selection.blocks(_BLOCK_ROWS)).words


def _marked(num_rows: int, blocks: Iterable[Rows]) -> Bitmap:
    bitmap = Bitmap(num_rows)
    for rows in blocks:
        bitmap.add(rows)
    bitmap.number()
    return bitmap


def _collected(num_rows: int, count: int, direction: int, blocks: Iterable[Rows]) -> Selection:
    """Store `count` rows in the one form for them; with direction 0 they may still rise or fall."""
    if direction and _may_mark(num_rows, count):
        return _canonical(RowSet.of(_marked(num_rows, blocks), direction))
    array, done = np.empty(count, _dtype(num_rows)), 0
    for rows in blocks:
        array[done : done + len(rows)] = rows
        done += len(rows)
    direction = direction or _direction(array)
    if direction and _may_mark(num_rows, count):
        return _collected(num_rows, count, direction, _parts(array))
    return _canonical(RowList(num_rows, direction, count, array))


def _canonical(selection: Selection) -> Selection:
    """Return the rows as a Span if they are one."""
    count = len(selection)
    if count == 0:
        return span(selection.num_rows, 0, 0)
    first, second, last = selection.rows_at(np.array([0, min(1, count - 1), count - 1])).tolist()
    step = second - first
    if last - first != step * (count - 1):
        return selection
    found = span(selection.num_rows, first, count, step)
    if abs(step) == 1 and selection.direction:  # there are no other rows between first and last
        return found
    pairs = zip(selection.blocks(_BLOCK_ROWS), found.blocks(_BLOCK_ROWS), strict=True)
    return found if all(np.array_equal(*pair) for pair in pairs) else selection


def _may_mark(num_rows: int, count: int) -> bool:
    """Return True if a bit for each row of the source takes no more than a list of rows."""
    return num_rows <= 8 * _dtype(num_rows).itemsize * count


def _dtype(num_rows: int) -> np.dtype[Any]:
    return np.dtype(np.uint32 if num_rows < 2**32 else np.int64)


def _direction(rows: npt.NDArray[Any]) -> int:
    """Return 1 if rows rise strictly, -1 if they fall strictly, else 0."""
    if len(rows) < 2:
        return 1
    direction = 1 if rows[0] < rows[1] else -1
    for begin, end in _cuts(len(rows) - 1, _BLOCK_ROWS):
        before, after = rows[begin:end], rows[begin + 1 : end + 1]
        if not (before < after if direction > 0 else before > after).all():
            return 0
    return direction


def _parts(rows: npt.NDArray[Any]) -> Iterator[Rows]:
    for begin, end in _cuts(len(rows), _BLOCK_ROWS):
        yield np.ascontiguousarray(rows[begin:end], np.int64)


def _cuts(count: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of consecutive blocks of `count` rows."""
    for begin in range(0, count, size):
        yield begin, min(begin + size, count)


def _check_row(row: int, num_rows: int) -> None:
    if not 0 <= row < num_rows:
        raise OutOfRangeError(f"there is no sample {row} among {num_rows}")


def _digest(form: bytes, *numbers: int, data: npt.NDArray[Any] | None = None) -> str:
    crc = crc32c(np.frombuffer(form + struct.pack(f"<{len(numbers)}q", *numbers), np.uint8))
    return f"{crc if data is None else crc32c(data.view(np.uint8), crc):08x}"


def _loaded(
    form: type[_Stored],
    num_rows: int,
    direction: int,
    count: int,
    dtype: str,
    stored: bytes | Scratch,
) -> _Stored:
    """Make a selection from a pickle."""
    data = stored.mapped() if isinstance(stored, Scratch) else stored
    selection = form(num_rows, direction, count, np.frombuffer(data, dtype))
    if isinstance(stored, Scratch):
        selection._made["scratch"] = stored
    return selection
