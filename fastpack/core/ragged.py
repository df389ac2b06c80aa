"""Ragged: rows of differing length in one flat array. Text: the same, of strings."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c

# Strings that are there as a str each at one time.
_BLOCK_ROWS = 4096


AnyRagged = TypeVar("AnyRagged", bound="Ragged")


class Ragged(Sequence[Any]):
    """Rows of differing length, kept as one flat array and n + 1 offsets. Immutable.

    Arguments: `values`, any dtype, shape (total,), or a Text; `offsets`, int64, shape (n + 1,), beginning at 0.
    An index gives a row as an array, a slice gives a Ragged.

    >>> rows = Ragged.of_bytes([b"ab", b"", b"cde"])
    >>> len(rows), rows.lengths.tolist(), rows.bytes(2)
    (3, [2, 0, 3], b'cde')
    """

    def __init__(self, values: Any, offsets: npt.NDArray[np.int64]) -> None:
        if offsets.ndim != 1 or offsets.dtype != np.int64 or getattr(values, "ndim", 1) != 1:
            raise ValueError("offsets must be int64 in one dimension, and values in one")
        if (
            len(offsets) == 0
            or offsets[0] != 0
            or offsets[-1] != len(values)
            or (offsets[1:] < offsets[:-1]).any()
        ):
            raise ValueError("offsets must rise from 0 to the number of values")
        self.values = values
        self.offsets = offsets

    @classmethod
    def of_bytes(cls, rows: Iterable[bytes]) -> Self:
        rows = list(rows)
        return cls(np.frombuffer(b"".join(rows), np.uint8), offsets_of([len(row) for row in rows]))

    @classmethod
    def concatenate(cls, pieces: Sequence["Ragged"]) -> Self:
        lengths = np.concatenate([piece.lengths for piece in pieces])
        return cls(concatenate_values([piece.values for piece in pieces]), offsets_of(lengths))

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        return self.offsets[1:] - self.offsets[:-1]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: Any) -> Any:
        if not isinstance(i, slice):
            return self._row(range(len(self))[i])
        rows = range(len(self))[i]
        if rows.step != 1 or not rows:
            return self.take(np.array(rows, np.int64))
        offsets = self.offsets[rows.start : rows.stop + 1]
        return type(self)(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])

    def _row(self, row: int) -> Any:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def read_only(self) -> Self:
        """The same rows in the same memory, whose arrays cannot be written to."""
        rows = type(self).__new__(type(self))
        values = self.values.read_only() if isinstance(self.values, Ragged) else self.values.view()
        rows.values, rows.offsets = values, self.offsets.view()
        for part in (rows.values, rows.offsets):
            if isinstance(part, np.ndarray):
                part.flags.writeable = False
        return rows

    def bytes(self, row: int) -> bytes:
        """The memory of one row, 0 <= row < len."""
        piece: bytes = self.values[self.offsets[row] : self.offsets[row + 1]].tobytes()
        return piece

    def take(self, rows: npt.NDArray[np.int64]) -> Self:
        """The given rows, 0 <= row < len, in that order. Costs these rows, however many there are beside them."""
        starts = self.offsets[:-1][rows]
        lengths = self.offsets[1:][rows] - starts
        offsets = offsets_of(lengths)
        # Position p of the new values is in row r; it came from p shifted by how far r has moved.
        shift = np.repeat(starts - offsets[:-1], lengths)
        wanted = np.arange(offsets[-1]) + shift
        return type(self)(self.values.take(wanted), offsets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ragged):
            return NotImplemented
        if not np.array_equal(self.offsets, other.offsets):
            return False
        mine, theirs = self.values, other.values
        return bool(mine == theirs) if isinstance(mine, Ragged) else np.array_equal(mine, theirs)

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} rows of {len(self.values)} values)"


class Text(Ragged):
    """Strings, kept as UTF-8. File names need not be UTF-8: what is not goes through unharmed (PEP 383).

    >>> Text.of(["cat", "Löwe"])[1]
    'Löwe'
    """

    @classmethod
    def of(cls, rows: Iterable[str]) -> Self:
        growing = RaggedBuilder()
        growing.extend(map(encoded, rows))
        return growing.finished(cls)

    def blocks(self) -> Iterator[list[str]]:
        """All strings, some thousands at a time: a str for each takes several times the memory of its letters."""
        for first in range(0, len(self), _BLOCK_ROWS):
            offsets = self.offsets[first : first + _BLOCK_ROWS + 1]
            data, ends = (
                self.values[offsets[0] : offsets[-1]].tobytes(),
                (offsets - offsets[0]).tolist(),
            )
            yield [
                data[start:end].decode("utf-8", "surrogateescape") for start, end in pairwise(ends)
            ]

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.blocks())

    def _row(self, row: int) -> str:
        return self.bytes(row).decode("utf-8", "surrogateescape")


class RaggedBuilder:
    """Rows of bytes that others are put behind: a Ragged or a Text in the making, in little more memory than it will take.

    >>> growing = RaggedBuilder()
    >>> growing.extend([b"cat", b"dog"])
    >>> growing.finished(Text)[1]
    'dog'
    """

    def __init__(self) -> None:
        self._values, self._offsets = bytearray(), array("q", [0])

    def extend(self, rows: Iterable[bytes]) -> None:
        for row in rows:
            self._values += row
            self._offsets.append(len(self._values))

    def finished(self, kind: type[AnyRagged]) -> AnyRagged:
        return kind(np.frombuffer(self._values, np.uint8), np.frombuffer(self._offsets, np.int64))


def encoded(text: str) -> bytes:
    """As Text keeps it. Raises UnicodeEncodeError for half a surrogate pair, which JSON can hold and no text does."""
    return text.encode("utf-8", "surrogateescape")


def factorize(rows: Iterable[str]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Which of the distinct rows, in sorted order, each row is; and these.

    >>> factorize(["dog", "cat", "dog"])
    (array([1, 0, 1]), ['cat', 'dog'])
    """
    seen: dict[str, int] = {}
    found = np.fromiter((seen.setdefault(row, len(seen)) for row in rows), np.int64)
    names = sorted(seen)
    location = np.empty(len(names), np.int64)
    location[[seen[name] for name in names]] = np.arange(len(names))
    return location[found], names


def offsets_of(lengths: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """n + 1 offsets of rows with these lengths.

    >>> offsets_of([2, 0, 3]).tolist()
    [0, 2, 2, 5]
    """
    lengths = np.asarray(lengths, np.int64)
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def flat_values(rows: Any) -> Any:
    """The values of lists one after the other; of an array, or a Text, itself."""
    return rows.values if type(rows) is Ragged else rows


def owners(rows: Any) -> npt.NDArray[np.int64]:
    """Which row each of the `flat_values` is of.

    >>> owners(Ragged(np.arange(3), offsets_of([2, 0, 1]))).tolist()
    [0, 0, 2]
    """
    return (
        np.repeat(np.arange(len(rows)), rows.lengths)
        if type(rows) is Ragged
        else np.arange(len(rows))
    )


def concatenate_values(pieces: Sequence[Any]) -> Any:
    """Arrays, or Raggeds of one class, one after the other."""
    if isinstance(pieces[0], Ragged):
        return type(pieces[0]).concatenate(pieces)
    return np.concatenate(pieces)


def digest(values: "npt.NDArray[Any] | Ragged") -> str:
    """A checksum of a column, eight hexadecimal digits: equal for equal columns.

    >>> digest(np.arange(3)), digest(Text.of(["ab", "c"])) == digest(Text.of(["a", "bc"]))
    ('e48f1b5e', False)
    """
    if isinstance(values, Ragged):
        return f"{crc32c((digest(values.values) + digest(values.offsets)).encode()):08x}"
    return f"{crc32c(np.ascontiguousarray(values).reshape(-1).view(np.uint8)):08x}"


Values = npt.NDArray[Any] | Ragged


def take(values: Values, rows: npt.NDArray[np.int64]) -> Values:
    """The given rows of a column, in that order."""
    return values.take(rows) if isinstance(values, Ragged) else values[rows]


def read_only(values: Values) -> Values:
    """A view of the column that cannot be written to."""
    if isinstance(values, Ragged):
        return values.read_only()
    view = values.view()
    view.flags.writeable = False
    return view


def to_arrays(name: str, values: Values) -> dict[str, npt.NDArray[Any]]:
    """The arrays that the column is made of, by names that begin with `name`."""
    if not isinstance(values, Ragged):
        return {name: values}
    return {f"{name}/offsets": values.offsets, **to_arrays(f"{name}/values", values.values)}
