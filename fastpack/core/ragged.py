"""Ragged: rows of varying length in one flat array. Text: the same for strings."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c

# Strings that exist as Python objects at one time.
_BLOCK_ROWS = 4096

AnyRagged = TypeVar("AnyRagged", bound="Ragged")


class Ragged(Sequence[Any]):
    """Rows of varying length, kept as one flat array and n + 1 offsets. Immutable.

    An integer index gives a row as an array; a slice gives a Ragged.

    Args:
        values: an array (total,) of any dtype, a Text, or a Ragged.
        offsets: int64 (n + 1,), the first value of each row; they rise from 0 to total.

    Raises:
        ValueError: The offsets do not rise from 0 to the number of values.

    Example:
        >>> rows = Ragged.of_bytes([b"ab", b"", b"cde"])
        >>> len(rows), rows.lengths.tolist(), rows.bytes(2)
        (3, [2, 0, 3], b'cde')
    """

    def __init__(self, values: Any, offsets: npt.NDArray[np.int64]) -> None:
        if offsets.ndim != 1 or offsets.dtype != np.int64 or getattr(values, "ndim", 1) != 1:
            raise ValueError("offsets must be int64 (n + 1,), and values must have one axis")
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
    def of_lengths(cls, values: Any, lengths: npt.NDArray[np.int64]) -> Self:
        """Make a Ragged of rows with these lengths, at least 0, which together are all values."""
        rows = cls.__new__(cls)
        rows.values, rows.offsets = values, offsets_of(lengths)
        return rows

    @classmethod
    def of_bytes(cls, rows: Iterable[bytes]) -> Self:
        """Make a Ragged of uint8 with the bytes of each row."""
        rows = list(rows)
        return cls(np.frombuffer(b"".join(rows), np.uint8), offsets_of([len(row) for row in rows]))

    @classmethod
    def concatenate(cls, pieces: Sequence["Ragged"]) -> Self:
        """Join the rows of several, in order."""
        lengths = np.concatenate([piece.lengths for piece in pieces])
        return cls(concatenate_values([piece.values for piece in pieces]), offsets_of(lengths))

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of values of each row, int64 (n,)."""
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
        """Return the same rows in the same memory, as read-only arrays."""
        rows = type(self).__new__(type(self))
        values = self.values.read_only() if isinstance(self.values, Ragged) else self.values.view()
        rows.values, rows.offsets = values, self.offsets.view()
        for part in (rows.values, rows.offsets):
            if isinstance(part, np.ndarray):
                part.flags.writeable = False
        return rows

    def bytes(self, row: int) -> bytes:
        """Return the memory of one row, 0 <= row < len."""
        piece: bytes = self.values[self.offsets[row] : self.offsets[row + 1]].tobytes()
        return piece

    def take(self, rows: npt.NDArray[np.int64]) -> Self:
        """Return the given rows, 0 <= row < len, in that order. Touches no other row."""
        starts = self.offsets[:-1][rows]
        lengths = self.offsets[1:][rows] - starts
        offsets = offsets_of(lengths)
        # The value at p of the new row r was at p + shift[p], which is the same for all of r.
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
    """Strings, kept as UTF-8; an index gives a str. Immutable.

    File names that are not UTF-8 keep their bytes, as Python's surrogateescape does.

    Args:
        values: uint8 (total,), the UTF-8 of all strings.
        offsets: int64 (n + 1,), the first byte of each string.

    Example:
        >>> Text.of(["cat", "Löwe"])[1]
        'Löwe'

    Reference:
        PEP 383, Non-decodable Bytes in System Character Interfaces.
    """

    @classmethod
    def of(cls, rows: Iterable[str]) -> Self:
        """Make a Text of strings."""
        builder = RaggedBuilder()
        builder.extend(map(encoded, rows))
        return builder.finished(cls)

    def blocks(self) -> Iterator[list[str]]:
        """Yield all strings, 4,096 at a time: a str takes several times the memory of its bytes."""
        for first in range(0, len(self), _BLOCK_ROWS):
            offsets = self.offsets[first : first + _BLOCK_ROWS + 1]
            data = self.values[offsets[0] : offsets[-1]].tobytes()
            ends = (offsets - offsets[0]).tolist()
            yield [
                data[start:end].decode("utf-8", "surrogateescape") for start, end in pairwise(ends)
            ]

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.blocks())

    def _row(self, row: int) -> str:
        return self.bytes(row).decode("utf-8", "surrogateescape")


class RaggedBuilder:
    """Builder of a Ragged or a Text, in little more memory than the result takes.

    >>> builder = RaggedBuilder()
    >>> builder.extend([b"cat", b"dog"])
    >>> builder.finished(Text)[1]
    'dog'
    """

    def __init__(self) -> None:
        self._values, self._offsets = bytearray(), array("q", [0])

    def extend(self, rows: Iterable[bytes]) -> None:
        """Append rows of bytes."""
        for row in rows:
            self._values += row
            self._offsets.append(len(self._values))

    def finished(self, kind: type[AnyRagged]) -> AnyRagged:
        """Return the rows as a `kind`, in the builder's memory."""
        return kind(np.frombuffer(self._values, np.uint8), np.frombuffer(self._offsets, np.int64))


def encoded(text: str) -> bytes:
    """Return the bytes of a string in a Text.

    Raises UnicodeEncodeError for half a surrogate pair, which JSON can contain.
    """
    return text.encode("utf-8", "surrogateescape")


def factorize(rows: Iterable[str]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the number of each row among the sorted distinct rows, and the distinct rows.

    >>> factorize(["dog", "cat", "dog"])
    (array([1, 0, 1]), ['cat', 'dog'])
    """
    seen: dict[str, int] = {}
    found = np.fromiter((seen.setdefault(row, len(seen)) for row in rows), np.int64)
    names = sorted(seen)
    ranks = np.empty(len(names), np.int64)
    ranks[[seen[name] for name in names]] = np.arange(len(names))
    return ranks[found], names


def offsets_of(lengths: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the n + 1 offsets of rows with these lengths.

    >>> offsets_of([2, 0, 3]).tolist()
    [0, 2, 2, 5]
    """
    lengths = np.asarray(lengths, np.int64)
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def flat_values(rows: Any) -> Any:
    """Return the values of all lists of a Ragged; an array or a Text itself."""
    return rows.values if type(rows) is Ragged else rows


def owners(rows: Any) -> npt.NDArray[np.int64]:
    """Return the row of each of the `flat_values`, int64.

    >>> owners(Ragged(np.arange(3), offsets_of([2, 0, 1]))).tolist()
    [0, 0, 2]
    """
    numbers = np.arange(len(rows))
    return np.repeat(numbers, rows.lengths) if type(rows) is Ragged else numbers


def concatenate_values(pieces: Sequence[Any]) -> Any:
    """Join arrays, or Raggeds of one class."""
    if isinstance(pieces[0], Ragged):
        return type(pieces[0]).concatenate(pieces)
    return np.concatenate(pieces)


def digest(values: "npt.NDArray[Any] | Ragged") -> str:
    """Return a checksum of a column as eight hexadecimal digits, the same for equal columns.

    >>> digest(np.arange(3)), digest(Text.of(["ab", "c"])) == digest(Text.of(["a", "bc"]))
    ('e48f1b5e', False)
    """
    if isinstance(values, Ragged):
        return f"{crc32c((digest(values.values) + digest(values.offsets)).encode()):08x}"
    return f"{crc32c(np.ascontiguousarray(values).reshape(-1).view(np.uint8)):08x}"


Values = npt.NDArray[Any] | Ragged


def take(values: Values, rows: npt.NDArray[np.int64]) -> Values:
    """Return the given rows of a column, in that order."""
    return values.take(rows) if isinstance(values, Ragged) else values[rows]


def read_only(values: Values) -> Values:
    """Return a read-only view of a column."""
    if isinstance(values, Ragged):
        return values.read_only()
    view = values.view()
    view.flags.writeable = False
    return view


def to_arrays(name: str, values: Values) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a column, by names that begin with `name`."""
    if not isinstance(values, Ragged):
        return {name: values}
    return {f"{name}/offsets": values.offsets, **to_arrays(f"{name}/values", values.values)}
