"""Vectors: what a field is in an HDF5 file, as datasets in one dimension. Their layout is in docs/formats.md."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c_rows
from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Field
from fastpack.files.spool import release
from fastpack.formats.index.arrays import Column
from fastpack.formats.spools import parts

# Behind the name of a dataset of unfiltered pixels: its samples' checksums.
CHECKSUMS = "_crc32c"
# Text of fixed length is read in one go, and by everybody; it may take so many times what rows take that are as long as they need.
_MAX_FOR_FIXED = 2
_PIECE_BYTES = 2**22

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Vector:
    """A dataset, of pieces (m, ...), one behind the other, which are made each time they are asked for: together they may be more
    than memory should hold.

    - shape: of one row: () but for arrays.
    """

    name: str
    num_rows: int
    dtype: Any
    pieces: Callable[[], Iterable[Array]]
    shape: tuple[int, ...] = ()

    def write(self, group: h5py.Group) -> None:
        dataset = group.create_dataset(self.name, (self.num_rows, *self.shape), self.dtype)
        for rows, piece in self._placed():
            dataset[rows] = piece

    def stands_in(self, group: h5py.Group) -> bool:
        """Whether the group has it, bit for bit."""
        dataset = group[self.name]
        is_alike = dataset.shape == (self.num_rows, *self.shape)
        return is_alike and all(
            dataset[rows].tobytes() == piece.tobytes() for rows, piece in self._placed()
        )

    def _placed(self) -> Iterator[tuple[slice, Array]]:
        start = 0
        for piece in self.pieces():
            yield slice(start, start + len(piece)), piece.astype(self.dtype, copy=False)
            start += len(piece)


def vectors_of(name: str, field: Field, column: Column) -> list[Vector]:
    """The datasets of a field, by their paths; `column` has the values of all samples as a batch has them."""
    if isinstance(column, Ragged) and field.is_list:
        inner = vectors_of(f"{name}/values", _of_one(field), column.values)
        return [_offsets(name, column), *inner]
    if isinstance(column, Text) and field.kind == "text":
        return (
            [_fixed(name, column)]
            if _is_cheap_fixed(column)
            else [_offsets(name, column), _bytes(f"{name}/values", column)]
        )
    if isinstance(column, Ragged):
        crcs = Vector(f"{name}/crc32c", len(column), np.uint32, partial(_crcs, column))
        return [_bytes(f"{name}/bytes", column), _offsets(name, column), crcs]
    if column.ndim == 1:
        return [Vector(name, len(column), column.dtype, lambda: parts(column))]
    return _arrays(name, column)


def _of_one(field: Field) -> Field:
    return Field(field.name, field.kind, (), field.dtype)


def _arrays(name: str, column: Array) -> list[Vector]:
    """Arrays of one shape, with a checksum each, as unfiltered pixels have it."""
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
    start = 0
    while start < len(rows):
        end = (
            int(np.searchsorted(rows.offsets, rows.offsets[start] + _PIECE_BYTES, side="right")) - 1
        )
        piece = rows[start : max(end, start + 1)]
        yield crc32c_rows(np.ascontiguousarray(piece.values), piece.offsets)
        release(rows.values)
        start += len(piece)


def _is_cheap_fixed(text: Text) -> bool:
    """Whether all rows may be as long as the longest. HDF5 fills the others up with NULs, so no row may end in one."""
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
    """Fixed-length UTF-8: read in one go, where HDF5 looks up variable-length strings one by one."""
    letters = np.zeros((len(text), length), np.uint8)
    letters[np.arange(length) < text.lengths[:, None]] = text.values
    strings: Array = letters.view(h5py.string_dtype("utf-8", length))
    return strings.reshape(len(text))
