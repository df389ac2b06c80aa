"""What all layouts of HDF5 that we write have in common: fields beside the main image, attributes, and which names datasets have."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fastpack.core.ragged import Ragged, Text, offsets_of
from fastpack.core.schema import DOUBTFUL, PLAIN, Field, Schema
from fastpack.errors import SchemaError
from fastpack.formats.hdf5.checksums import write_checksums
from fastpack.formats.hdf5.vectors import CHECKSUMS, Vector, vectors_of
from fastpack.formats.index.arrays import Column
from fastpack.formats.numbers import integers
from fastpack.formats.spools import Spools
from fastpack.images.batch import Batch

FORMAT_VERSION = 1
# What the datasets of our fields are called, as most people call them.
DATASETS = {"image": "images", "label": "labels", "key": "keys"}
CLASS_NAMES = "class_names"
# HDF5 keeps an attribute in an object's header, which has 64 KiB for all.
_MAX_ATTRIBUTE_BYTES = 60_000
_CHECKSUM_BYTES = 40  # of one dataset in the attribute `checksums`, beside its name


def dataset_name(field: Field) -> str:
    return field.stored_as or DATASETS.get(field.name, field.name)


class Columns:
    """Collects the fields of a shard, but for its main image; they are written at its end, when their sizes are known.

    - folder: where those lie meanwhile that are large.
    - image: the main image, if there is one.
    """

    def __init__(self, schema: Schema, folder: Path, image_field: Field | None = None) -> None:
        refuse_fields(schema)
        self._fields = [field for field in schema.fields if field != image_field]
        self._spools = Spools(folder)

    @property
    def are_plain(self) -> bool:
        """True when each has one number or text a sample."""
        return not any(field.is_blob or field.is_list for field in self._fields)

    def add(self, batch: Batch) -> None:
        self._spools.append(
            {field.name: _stored(field, batch[field.name]) for field in self._fields}
        )

    def whole(self) -> dict[str, Column]:
        """Their values by their names in the file; nothing is added afterwards."""
        columns = self._spools.whole()
        return {
            dataset_name(field): _unpacked(field, columns[field.name]) for field in self._fields
        }

    def vectors(self, columns: Mapping[str, Column]) -> list[Vector]:
        """The datasets of what `whole` gave."""
        of_fields = (
            vectors_of(dataset_name(field), field, columns[dataset_name(field)])
            for field in self._fields
        )
        return list(itertools.chain.from_iterable(of_fields))

    def close(self) -> None:
        self._spools.close()


def _stored(field: Field, values: Any) -> Any:
    """As the file will have them."""
    if field.kind == "pixels":
        return _packed(field, values)
    if isinstance(values, Ragged):
        kind = Text if isinstance(values, Text) else Ragged
        return kind(_converted(field, values.values), values.offsets)
    if np.ndim(values) == 1:
        return _converted(field, values)
    values = np.asarray(values)
    lengths = np.full(len(values), values[:1].size)
    return Ragged(_converted(field, values.reshape(-1)), offsets_of(lengths))


def _converted(field: Field, values: Any) -> Any:
    if field.kind not in ("int", "float") or isinstance(values, Ragged):
        return values
    return (
        integers(field.name, values)
        if field.kind == "int"
        else np.asarray(values).astype(field.dtype)
    )


def _packed(field: Field, values: Any) -> Any:
    """Arrays as rows of bytes, which a spool takes."""
    rows = np.ascontiguousarray(values, field.dtype)
    if rows.shape[1:] != field.shape:
        raise SchemaError(
            f"the arrays of {field.name!r} are {rows.shape[1:]}, not {field.shape}; pack samples of one shape"
        )
    return rows.reshape(len(rows), -1).view(np.uint8).view(f"V{rows[0].nbytes}").reshape(-1)


def _unpacked(field: Field, column: Any) -> Column:
    if field.kind != "pixels":
        return column  # type: ignore[no-any-return]
    return column.view(field.dtype).reshape(len(column), *field.shape)  # type: ignore[no-any-return]


def refuse_fields(schema: Schema) -> None:
    """Raises SchemaError for what an HDF5 file of ours cannot hold, before anything is written."""
    if not schema.blobs:
        raise SchemaError(
            "an HDF5 file needs a field of images, files or arrays; pack the columns as TFRecord"
        )
    _refuse_names(schema)
    for field in schema.fields:
        if field.kind == "pixels" and (None in field.shape or 0 in field.shape or not field.shape):
            raise SchemaError(
                f"the arrays of {field.name!r} have no one shape, but {field.shape}; give a size, or leave the field out"
            )
    text_bytes = len(Schema(schema.fields).to_json())
    sum_bytes = sum(
        3 * (len(json.dumps(dataset_name(field))) + _CHECKSUM_BYTES)
        for field in schema.fields
        if field.is_list or field.is_blob
    )
    sum_bytes += sum(
        len(json.dumps(dataset_name(field))) + _CHECKSUM_BYTES for field in schema.columns
    )
    if max(text_bytes, sum_bytes) > _MAX_ATTRIBUTE_BYTES:
        message = f"{len(schema.fields)} fields are more than an HDF5 file of ours can describe (about 600)"
        raise SchemaError(f"{message}; choose some with fields=..., or pack TFRecord")


def _refuse_names(schema: Schema) -> None:
    """HDF5 takes slashes for groups and dots for the group itself; and a name within another's group would be part of that."""
    taken: set[tuple[str, ...]] = {(CLASS_NAMES,)}
    for field, name in _names(schema):
        path = tuple(name.split("/"))
        above = [path[:length] for length in range(1, len(path) + 1)]
        if (
            not _is_possible(path)
            or any(each in taken for each in above)
            or any(each[: len(path)] == path for each in taken)
        ):
            message = f"the field {field.name!r} cannot be called {name!r} in this HDF5 file"
            raise SchemaError(
                f"{message}; choose another name with names=..., or leave it out with fields=..."
            )
        taken.add(path)


def _names(schema: Schema) -> Iterator[tuple[Field, str]]:
    for field in schema.fields:
        yield field, dataset_name(field)
        if field.kind == "pixels" or field == schema.image_field:
            yield field, dataset_name(field) + CHECKSUMS


def _is_possible(path: Iterable[str]) -> bool:
    try:
        return all(
            part not in ("", ".", "..") and "\0" not in part and part.encode() for part in path
        )
    except UnicodeEncodeError:
        return False


def write_root(file: h5py.File, schema: Schema, layout: str, vectors: Iterable[Vector]) -> None:
    """What stands beside the images: fields, by their datasets, attributes, and the checksums of all that."""
    file.attrs["format_version"] = FORMAT_VERSION
    told = Schema(tuple(_as_written(field) for field in schema.fields))
    for name, text in {"format": "fastpack", "layout": layout, "schema": told.to_json()}.items():
        file.attrs[name] = np.bytes_(text)  # of fixed length: see text_attribute in members.py
    for vector in vectors:
        vector.write(file)
    if schema.class_names:
        for vector in vectors_of(
            CLASS_NAMES, Field(CLASS_NAMES, "text"), Text.of(schema.class_names)
        ):
            vector.write(file)
    write_checksums(file)


def _as_written(field: Field) -> Field:
    """Samples come first here, wherever the source has them."""
    if field.axes in (DOUBTFUL, PLAIN):
        return field
    axes = "N" + field.axes.replace("N", "")
    return replace(field, axes="" if axes in ("N", "NHW", "NHWC") else axes)
