"""What all layouts of HDF5 that we write have in common: columns, attributes, and which names datasets have."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack.batch import Batch
from fastpack.containers.hdf5_checksums import write_checksums
from fastpack.containers.spools import Spools, parts
from fastpack.errors import SchemaError
from fastpack.index import Column
from fastpack.ragged import Ragged, Text
from fastpack.schema import Field, Schema

FORMAT_VERSION = 1
# What the datasets of our fields are called, as most people call them.
DATASETS = {"image": "images", "label": "labels", "key": "keys"}
# Behind the name of a dataset of unfiltered pixels: its samples' checksums.
CHECKSUMS = "_crc32c"


def dataset_name(field: Field) -> str:
    return field.stored_as or DATASETS.get(field.name, field.name)


class Columns:
    """Collects the columns of a shard; they are written at its end, when their sizes are known.

    - folder: where those lie meanwhile that are large.
    """

    def __init__(self, schema: Schema, folder: Path) -> None:
        self._schema = schema
        self._spools = Spools(folder)

    def add(self, batch: Batch) -> None:
        self._spools.append({field.name: _stored(field, batch[field.name]) for field in self._schema.columns})

    def write(self, file: h5py.File, layout: str) -> dict[str, Column]:
        """Gives the columns by their names in the file."""
        file.attrs["format_version"] = FORMAT_VERSION
        for name, text in {"format": "fastpack", "layout": layout, "schema": Schema(self._schema.fields).to_json()}.items():
            file.attrs[name] = np.bytes_(text)  # of fixed length: see text_attribute in hdf5_members.py
        columns = self._spools.whole()
        for field in self._schema.columns:
            write_column(file, dataset_name(field), columns[field.name])
        if self._schema.class_names:
            write_column(file, "class_names", Text.of(self._schema.class_names))
        write_checksums(file)
        return {dataset_name(field): columns[field.name] for field in self._schema.columns}

    def close(self) -> None:
        self._spools.close()


def _stored(field: Field, values: Any) -> Column:
    """As the file will have them."""
    if isinstance(values, Text) and field.kind == "text":
        return _without_last_nuls(values)
    if isinstance(values, Ragged):
        raise SchemaError(f"HDF5 columns have one value a sample, {field.name!r} has lists; leave it out")
    return np.asarray(values).astype(field.dtype)


def _without_last_nuls(text: Text) -> Text:
    """HDF5 fills text of fixed length up with them, so nobody could tell them from ours."""
    return text if text.values.all() else Text.of(row.rstrip("\0") for row in text)


def write_column(group: h5py.Group, name: str, column: Column) -> None:
    if isinstance(column, np.ndarray):
        write_dataset(group, name, len(column), column.dtype, parts(column))
        return
    length = max(1, max(int(part.lengths.max()) for part in parts(column)))
    strings = (_fixed_strings(part, length) for part in parts(column))
    write_dataset(group, name, len(column), h5py.string_dtype("utf-8", length), strings)


def write_dataset(group: h5py.Group, name: str, num_rows: int, dtype: npt.DTypeLike, pieces: Iterable[npt.NDArray[Any]]) -> None:
    """A dataset in one dimension, of pieces (m,), one behind the other: together they may be more than memory should hold."""
    dataset, start = group.create_dataset(name, (num_rows,), dtype), 0
    for piece in pieces:
        dataset[start : start + len(piece)] = piece
        start += len(piece)


def _fixed_strings(text: Text, length: int) -> npt.NDArray[Any]:
    """Fixed-length UTF-8: read in one go, where HDF5 looks up variable-length strings one by one."""
    letters = np.zeros((len(text), length), np.uint8)
    letters[np.arange(length) < text.lengths[:, None]] = text.values
    strings: npt.NDArray[Any] = letters.view(h5py.string_dtype("utf-8", length))
    return strings.reshape(len(text))
