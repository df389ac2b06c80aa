"""Values of HDF5 files, converted to the columns and spans of an index."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import SPAN
from fastpack.core.limits import Limits
from fastpack.core.ragged import Ragged, Text, offsets_of
from fastpack.core.schema import Field
from fastpack.errors import FormatError, LimitError, Location, Status, raise_status, with_location
from fastpack.files.shard import Shard
from fastpack.formats.hdf5.heap import read_texts
from fastpack.formats.hdf5.locate import contiguous_offset
from fastpack.formats.hdf5.members import safe_dataset
from fastpack.formats.index.arrays import Column

_MAX_INTEGER = 2**63 - 1


def text_of(rows: npt.NDArray[Any]) -> Text:
    """Return fixed-length strings, or the library's objects of others, as a Text."""
    if rows.dtype.kind != "S":
        return Text.of_bytes(bytes(row) for row in rows)
    lengths = np.char.str_len(rows)
    letters = rows.view(np.uint8).reshape(len(rows), rows.itemsize)
    return Text(letters[np.arange(rows.itemsize) < lengths[:, None]], offsets_of(lengths))


def as_read(column: Column) -> Column:
    """Return a column as int64, or as the file's floats in native byte order."""
    if isinstance(column, Ragged):
        return column
    dtype = np.dtype(np.int64) if column.dtype.kind in "iub" else column.dtype.newbyteorder("=")
    return column.astype(dtype, copy=False)


def _kind_of_scalar(dtype: np.dtype[Any]) -> str:
    return "int" if dtype.kind in "iub" else "float" if dtype.kind == "f" else "text"


def _described(dataset: h5py.Dataset) -> str:
    kind = "text" if _kind_of_scalar(dataset.dtype) == "text" else dataset.dtype
    return f"{dataset.name.strip('/')} is {kind}"


def _first_inexact(values: Sequence[Any], kinds: Sequence[str]) -> int | None:
    """The position of the first value that a column of floats cannot store exactly."""
    for position, (value, kind) in enumerate(zip(values, kinds, strict=True)):
        if kind == "text" or (kind == "int" and int(float(value)) != int(value)):
            return position
    return None


class StoredValues:
    """Reader of the columns of one open file; refuses values that do not match the file's size."""

    def __init__(self, shard: Shard, limits: Limits) -> None:
        self._shard, self._path, self._limits = shard, shard.path, limits

    def error(self, message: str) -> FormatError:
        """Make an error that names the file."""
        remedy = "name the datasets as in docs/formats.md, or choose some with fields=..."
        return FormatError(with_location(f"{message}; {remedy}", Location(self._path)))

    def vector(
        self, group: h5py.Group, name: str, kinds: str, length: int | None = None
    ) -> h5py.Dataset:
        """Return a dataset of one dimension with numbers of these kinds, or raise FormatError."""
        dataset = safe_dataset(group, name)
        is_vector = dataset is not None and dataset.ndim == 1 and dataset.dtype.kind in kinds
        if dataset is None or not is_vector or length not in (None, len(dataset)):
            count = "" if length is None else f" {length}"
            raise self.error(
                f"{group.name}/{name} must be{count} integers in one dimension, in this file"
            )
        return dataset

    def refuse_external(self, dataset: h5py.Dataset) -> None:
        """Raise FormatError for a dataset that is stored in other files."""
        if dataset.external or dataset.is_virtual:
            raise self.error(f"{dataset.name} is stored in other files, which are not read")

    def refuse_many(self, num_samples: int, name: str) -> None:
        """Raise LimitError for more samples than bytes in the file: each needs at least one."""
        if num_samples > self._shard.size:
            message = (
                f"{name} announces {num_samples} samples in a file of {self._shard.size} bytes; "
                "restore the file from its source"
            )
            raise LimitError(with_location(message, Location(self._path)))

    def group(self, group: h5py.Group, name: str) -> h5py.Group:
        """Return a group of a group, or raise FormatError."""
        is_own = isinstance(group.get(name, getlink=True), h5py.HardLink)
        if not is_own or not isinstance(group[name], h5py.Group):
            raise self.error(f"{group.name}/{name} must be a group, in this file")
        return group[name]

    def offsets(self, group: h5py.Group) -> npt.NDArray[np.int64]:
        """Return the offsets (n + 1,) of a group's rows."""
        stored = self.vector(group, "offsets", "iu")
        self.refuse_many(len(stored), stored.name)
        offsets: npt.NDArray[np.int64] = stored[...].astype(np.int64)
        if len(offsets) < 1 or offsets[0] != 0 or (offsets[1:] < offsets[:-1]).any():
            raise self.error(f"{group.name}/offsets must rise from 0 to the number of values")
        return offsets

    def spans_of(self, group: h5py.Group) -> npt.NDArray[Any]:
        """Return the spans (n,) of the files in a group of `bytes` and `offsets`."""
        blob, stored_offsets = self.vector(group, "bytes", "u"), self.vector(group, "offsets", "iu")
        self.refuse_many(len(stored_offsets), stored_offsets.name)
        if blob.dtype != np.uint8:
            raise self.error(f"{blob.name} must be uint8")
        offsets = stored_offsets[...].astype(np.uint64)
        is_rising = len(offsets) > 0 and offsets[0] == 0 and (offsets[1:] >= offsets[:-1]).all()
        if not is_rising or offsets[-1] > blob.shape[0]:
            raise self.error(f"{group.name}/offsets must rise from 0 to the number of bytes")
        first = contiguous_offset(blob) if blob.shape[0] else 0  # no bytes have no offset
        if first is None:
            raise self.error(f"{group.name}/bytes must be contiguous")
        if first + blob.shape[0] > self._shard.size:
            raise_status(
                Status.TRUNCATED,
                f"{blob.name} goes past the end of the file",
                Location(self._path, offset=first),
            )
        spans = np.zeros(len(offsets) - 1, SPAN)
        spans["offset"] = offsets[:-1] + np.uint64(first)
        spans["length"] = offsets[1:] - offsets[:-1]
        if "crc32c" in group:
            spans["crc32c"] = self.vector(group, "crc32c", "u", len(spans))[...]
            spans["record_offset"], spans["record_length"] = spans["offset"], spans["length"]
        return spans

    def numbers(self, values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
        """Return numbers as a column; raise FormatError if int64 cannot store one."""
        if values.dtype.kind == "u" and (values > _MAX_INTEGER).any():
            message = (
                f"{name} has numbers above {_MAX_INTEGER}, the largest of a column; "
                "choose other fields with fields=..."
            )
            raise FormatError(with_location(message, Location(self._path)))
        return np.asarray(as_read(values))

    def scalars(self, datasets: Sequence[h5py.Dataset]) -> Column:
        """Return a column of the datasets' single values.

        Raises FormatError for values of several kinds that no column can store exactly.
        """
        values = [dataset[()] for dataset in datasets]
        kinds = [_kind_of_scalar(dataset.dtype) for dataset in datasets]
        if set(kinds) == {"text"}:
            return Text.of_bytes(map(bytes, values))
        if set(kinds) == {"int"}:
            largest = int(np.argmax(np.array(list(map(int, values)), object)))
            self.numbers(np.asarray(values[largest]), datasets[largest].name)
            return np.array(list(map(int, values)), np.int64)
        if (odd := _first_inexact(values, kinds)) is not None:
            other = next(position for position, kind in enumerate(kinds) if kind != kinds[odd])
            pair = " and ".join(_described(datasets[each]) for each in sorted((odd, other)))
            message = f"values of several kinds in one column: {pair}"
            remedy = "store one kind, or choose other fields, as in fields=['image']"
            raise FormatError(with_location(f"{message}; {remedy}", Location(self._path)))
        dtypes = [datasets[each].dtype for each, kind in enumerate(kinds) if kind == "float"]
        wide = [np.dtype(np.float64)] if "int" in kinds else []
        return np.asarray(as_read(np.array(values, np.result_type(*dtypes, *wide))))

    def rows_of(self, group: h5py.Group, field: Field) -> Ragged:
        """Return the lists, or texts of any length, of a group of `values` and `offsets`."""
        offsets = self.offsets(group)
        values: Any
        if not field.is_list:
            values = self.vector(group, "values", "u", int(offsets[-1]))
            if values.dtype != np.uint8:
                raise self.error(f"{values.name} must be uint8")
            return Text(values[...], offsets)
        if field.kind == "text" and isinstance(group.get("values"), h5py.Group):
            values = self.rows_of(self.group(group, "values"), replace(field, shape=()))
        elif field.kind == "text":
            values = self.texts(self.vector(group, "values", "SO"))
        else:
            stored = self.vector(group, "values", "iubf")
            values = self.numbers(stored[...], stored.name)
        is_sound = field.list_length is None or (np.diff(offsets) == field.list_length).all()
        if len(values) != offsets[-1] or not is_sound:
            raise self.error(f"{group.name}/offsets must rise from 0 to the number of values")
        return Ragged(values, offsets)

    def texts(self, dataset: h5py.Dataset) -> Text:
        """Return the strings of a dataset; those of variable length are read from the heap."""
        texts = None
        if dataset.dtype.hasobject and dataset.ndim == 1:
            texts = read_texts(dataset, self._shard, self._limits)
        return text_of(dataset[...].reshape(-1)) if texts is None else texts
