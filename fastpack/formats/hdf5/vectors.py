"""Vectors: the datasets of a field in an HDF5 file. docs/formats.md describes the layout."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c_rows
from fastpack.core.portions import portions
from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Field
from fastpack.files.spool import release
from fastpack.formats.index.arrays import Column
from fastpack.formats.spools import parts

# Suffix of the dataset with the checksums of unfiltered pixels.
CHECKSUMS = "_crc32c"
# All programs read text of fixed length, in one call. It may have this many times the bytes of
# variable rows.
_MAX_FOR_FIXED = 2
_PIECE_BYTES = 2**22

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Vector:
    """A dataset to write, made of pieces that need not be in memory together.

    Args:
        name: the dataset's path.
        num_rows: number of rows.
        dtype: of the dataset.
        pieces: a function that yields consecutive arrays (m, *shape).
        shape: of one row; () except for arrays.
    """

    name: str
    num_rows: int
    dtype: Any
    pieces: Callable[[], Iterable[Array]]
    shape: tuple[int, ...] = ()

    def write(self, group: h5py.Group) -> None:
        """Create and fill the dataset."""
        dataset = group.create_dataset(self.name, (self.num_rows, *self.shape), self.dtype)
        for rows, piece in self._slices():
            dataset[rows] = piece

    def is_stored_in(self, group: h5py.Group) -> bool:
        """Return whether the group has the dataset, bit for bit."""
        dataset = group[self.name]
        is_alike = dataset.shape == (self.num_rows, *self.shape)
        return is_alike and all(
            dataset[rows].tobytes() == piece.tobytes() for rows, piece in self._slices()
        )

    def _slices(self) -> Iterator[tuple[slice, Array]]:
        start = 0
        for piece in self.pieces():
            yield slice(start, start + len(piece)), piece.astype(self.dtype, copy=False)
            start += len(piece)


def vectors_of(name: str, field: Field, column: Column) -> list[Vector]:
    """Return the datasets of a field with the values of all samples, as in a batch."""
    if isinstance(column, Ragged) and field.is_list:
        inner = vectors_of(f"{name}/values", _of_one(field), column.values)
        return [_offsets(name, column), *inner]
    if isinstance(column, Text) and field.kind == "text":
        if _is_cheap_fixed(column):
            return [_fixed(name, column)]
        return [_offsets(name, column), _bytes(f"{name}/values", column)]
    if isinstance(column, Ragged):
        crcs = Vector(f"{name}/crc32c", len(column), np.uint32, partial(_crcs, column))
        return [_bytes(f"{name}/bytes", column), _offsets(name, column), crcs]
    if column.ndim == 1:
        return [Vector(name, len(column), column.dtype, lambda: parts(column))]
    return _arrays(name, column)


def _of_one(field: Field) -> Field:
    return Field(field.name, field.kind, (), field.dtype)


def _arrays(name: str, column: Array) -> list[Vector]:
    """Arrays of one shape with a checksum each, like unfiltered pixels."""
    flat = column.reshape(len(column), -1).view(np.uint8)
    bounds = np.arange(len(column) + 1) * flat.shape[1]
    crcs = crc32c_rows(flat.reshape(-1), bounds)
    return [
        Vector(name, len(column), column.dtype, lambda: parts(column), column.shape[1:]),
        Vector(name + CHECKSUMS, len(column), np.uint32, lambda: [crcs]),
    ]


def _offsets(name: str, rows: Ragged) -> Vector:
    return Vector(f"{name}/offsets", len(rows) + 1, np.uint64, lambda: parts(rows.offsets))


def _bytes(name: str, rows: Ragged) -> Vector:
    return Vector(name, len(rows.values), np.uint8, partial(_portions, rows.values))


def _portions(values: Array) -> Iterator[Array]:
    for start in range(0, len(values), _PIECE_BYTES):
        yield values[start : start + _PIECE_BYTES]
        release(values)


def _crcs(rows: Ragged) -> Iterator[Array]:
    """A checksum of each row, from a few rows at a time."""
    for portion in portions(rows.lengths, _PIECE_BYTES):
        piece = rows[portion]
        yield crc32c_rows(np.ascontiguousarray(piece.values), piece.offsets)
        release(rows.values)


def _is_cheap_fixed(text: Text) -> bool:
    """Whether fixed-length text is small enough, and no row ends in a NUL, HDF5's padding."""
    longest = 0
    for part in parts(text):
        last = part.values[part.offsets[1:][part.lengths > 0] - 1]
        if not last.all():
            return False
        longest = max(longest, int(part.lengths.max(initial=0)))
    return longest * len(text) <= _MAX_FOR_FIXED * (len(text.values) + text.offsets.nbytes)


def _fixed(name: str, text: Text) -> Vector:
    length = max([1, *(int(part.lengths.max(initial=0)) for part in parts(text))])
    strings = h5py.string_dtype("utf-8", length)
    return Vector(
        name, len(text), strings, lambda: (_fixed_strings(part, length) for part in parts(text))
    )


def _fixed_strings(text: Text, length: int) -> Array:
    """Text as fixed-length UTF-8, padded with NULs."""
    letters = np.zeros((len(text), length), np.uint8)
    letters[np.arange(length) < text.lengths[:, None]] = text.values
    strings: Array = letters.view(h5py.string_dtype("utf-8", length))
    return strings.reshape(len(text))
