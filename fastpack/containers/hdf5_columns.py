"""What all layouts of HDF5 that we write have in common: columns, attributes, and which names datasets have."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

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
        _refuse_names(schema)
        self._schema = schema
        self._spools = Spools(folder)

    def add(self, batch: Batch) -> None:
        self._spools.append({field.name: _stored(field, batch[field.name]) for field in self._schema.columns})

    def whole(self) -> dict[str, Column]:
        """The columns by their names in the file; nothing is added afterwards."""
        columns = self._spools.whole()
        return {dataset_name(field): columns[field.name] for field in self._schema.columns}

    def close(self) -> None:
        self._spools.close()


def _stored(field: Field, values: Any) -> Column:
    """As the file will have them."""
    if isinstance(values, Text) and field.kind == "text":
        return _without_last_nuls(values)
    if isinstance(values, Ragged) or np.ndim(values) != 1:
        raise SchemaError(f"HDF5 columns have one value a sample, {field.name!r} has lists; leave it out")
    return np.asarray(values).astype(field.dtype)


def _refuse_names(schema: Schema) -> None:
    """HDF5 takes slashes and dots for paths, where no column is looked for."""
    names = [dataset_name(field) for field in schema.fields] + ["class_names"]
    for field in schema.columns:
        name = dataset_name(field)
        if "/" in name or name in ("", ".", "..") or names.count(name) > 1:
            raise SchemaError(f"the column {field.name!r} cannot be called {name!r} in this HDF5 file; choose another name with names=...")


def _without_last_nuls(text: Text) -> Text:
    """HDF5 fills text of fixed length up with them, so nobody could tell them from ours."""
    return text if text.values.all() else Text.of(row.rstrip("\0") for row in text)


def write_root(file: h5py.File, schema: Schema, layout: str, columns: Mapping[str, Column]) -> None:
    """What stands beside the images: columns, by the names of their datasets, attributes, and the checksums of all that."""
    file.attrs["format_version"] = FORMAT_VERSION
    for name, text in {"format": "fastpack", "layout": layout, "schema": Schema(schema.fields).to_json()}.items():
        file.attrs[name] = np.bytes_(text)  # of fixed length: see text_attribute in hdf5_members.py
    for name, column in columns.items():
        Vector.of(name, column).write(file)
    if schema.class_names:
        Vector.of("class_names", Text.of(schema.class_names)).write(file)
    write_checksums(file)


@dataclass(frozen=True)
class Vector:
    """A dataset in one dimension, of pieces (m,), one behind the other, which are made each time they are asked for: together they may
    be more than memory should hold."""

    name: str
    num_rows: int
    dtype: Any
    pieces: Callable[[], Iterable[npt.NDArray[Any]]]

    @classmethod
    def of(cls, name: str, column: Column) -> Self:
        if isinstance(column, np.ndarray):
            return cls(name, len(column), column.dtype, lambda: parts(column))
        length = max([1, *(int(part.lengths.max()) for part in parts(column))])
        strings = h5py.string_dtype("utf-8", length)
        return cls(name, len(column), strings, lambda: (_fixed_strings(part, length) for part in parts(column)))

    def write(self, group: h5py.Group) -> None:
        dataset = group.create_dataset(self.name, (self.num_rows,), self.dtype)
        for rows, piece in self._placed():
            dataset[rows] = piece

    def stands_in(self, group: h5py.Group) -> bool:
        """Whether the group has it, bit for bit."""
        dataset = group[self.name]
        return dataset.shape == (self.num_rows,) and all(dataset[rows].tobytes() == piece.tobytes() for rows, piece in self._placed())

    def _placed(self) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        start = 0
        for piece in self.pieces():
            yield slice(start, start + len(piece)), piece.astype(self.dtype, copy=False)
            start += len(piece)


def _fixed_strings(text: Text, length: int) -> npt.NDArray[Any]:
    """Fixed-length UTF-8: read in one go, where HDF5 looks up variable-length strings one by one."""
    letters = np.zeros((len(text), length), np.uint8)
    letters[np.arange(length) < text.lengths[:, None]] = text.values
    strings: npt.NDArray[Any] = letters.view(h5py.string_dtype("utf-8", length))
    return strings.reshape(len(text))
