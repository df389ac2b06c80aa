"""What all layouts of HDF5 that we write have in common: columns, attributes, and which names datasets have."""

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack.batch import Batch
from fastpack.containers.hdf5_checksums import write_checksums
from fastpack.errors import SchemaError
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
    """Collects the columns of a shard; they are written at its end, when their sizes are known."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._pieces: dict[str, list[Any]] = {field.name: [] for field in schema.columns}

    def add(self, batch: Batch) -> None:
        for name, pieces in self._pieces.items():
            pieces.append(batch[name])

    def write(self, file: h5py.File, layout: str) -> None:
        file.attrs["format_version"] = FORMAT_VERSION
        for name, text in {"format": "fastpack", "layout": layout, "schema": Schema(self._schema.fields).to_json()}.items():
            file.attrs[name] = np.bytes_(text)  # of fixed length: see text_attribute in hdf5_members.py
        for field in self._schema.columns:
            file.create_dataset(dataset_name(field), data=_stored(field, self._pieces.pop(field.name)))
        if self._schema.class_names:
            file.create_dataset("class_names", data=_fixed_strings(Text.of(self._schema.class_names)))
        write_checksums(file)


def _stored(field: Field, pieces: list[Any]) -> npt.NDArray[Any]:
    if field.kind == "text":
        return _fixed_strings(Text.concatenate(pieces))
    if any(isinstance(piece, Ragged) for piece in pieces):
        raise SchemaError(f"HDF5 columns have one value a sample, {field.name!r} has lists; leave it out")
    values: npt.NDArray[Any] = np.concatenate(pieces).astype(field.dtype)
    return values


def _fixed_strings(text: Text) -> npt.NDArray[Any]:
    """Fixed-length UTF-8: read in one go, where HDF5 looks up variable-length strings one by one."""
    length = max(1, int(text.lengths.max(initial=1)))
    letters = np.zeros((len(text), length), np.uint8)
    letters[np.arange(length) < text.lengths[:, None]] = text.values
    strings: npt.NDArray[Any] = letters.view(h5py.string_dtype("utf-8", length))
    return strings.reshape(len(text))
