"""Columns, attributes and names of datasets, which all our HDF5 layouts share."""

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
# Field name -> usual name of its dataset.
DATASETS = {"image": "images", "label": "labels", "key": "keys"}
CLASS_NAMES = "class_names"
# HDF5 stores attributes in an object's header, which has 64 KiB in all.
_MAX_ATTRIBUTE_BYTES = 60_000
_CHECKSUM_BYTES = 40  # of one dataset in the attribute `checksums`, without its name


def dataset_name(field: Field) -> str:
    """Return the name of a field's dataset or group."""
    return field.stored_as or DATASETS.get(field.name, field.name)


class Columns:
    """Collector of a shard's fields, except its main image, until the end of the shard.

    Args:
        schema: of the samples.
        folder: for temporary files of large columns.
        image_field: the main image, if there is one.
    """

    def __init__(self, schema: Schema, folder: Path, image_field: Field | None = None) -> None:
        refuse_fields(schema)
        self._fields = [field for field in schema.fields if field != image_field]
        self._spools = Spools(folder)

    @property
    def are_plain(self) -> bool:
        """True if each field has one number or text a sample."""
        return not any(field.is_blob or field.is_list for field in self._fields)

    def add(self, batch: Batch) -> None:
        """Append the values of a batch."""
        self._spools.append(
            {field.name: _stored(field, batch[field.name]) for field in self._fields}
        )

    def whole(self) -> dict[str, Column]:
        """Return all values by the datasets' names; `add` must not be called after it."""
        columns = self._spools.whole()
        return {
            dataset_name(field): _unpacked(field, columns[field.name]) for field in self._fields
        }

    def vectors(self, columns: Mapping[str, Column]) -> list[Vector]:
        """Return the datasets of the columns that `whole` returned."""
        of_fields = (
            vectors_of(dataset_name(field), field, columns[dataset_name(field)])
            for field in self._fields
        )
        return list(itertools.chain.from_iterable(of_fields))

    def close(self) -> None:
        """Remove the temporary files."""
        self._spools.close()


def _stored(field: Field, values: Any) -> Any:
    """The values as the file stores them."""
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
    if isinstance(values, Ragged):
        return values
    if field.kind == "int":
        return integers(field.name, values)
    return np.asarray(values).astype(field.dtype) if field.kind == "float" else values


def _packed(field: Field, values: Any) -> Any:
    """Arrays as rows of bytes, for a spool."""
    rows = np.ascontiguousarray(values, field.dtype)
    if rows.shape[1:] != field.shape:
        raise SchemaError(
            f"the arrays of {field.name!r} are {rows.shape[1:]}, not {field.shape}; "
            "pack samples of one shape"
        )
    return rows.reshape(len(rows), -1).view(np.uint8).view(f"V{rows[0].nbytes}").reshape(-1)


def _unpacked(field: Field, column: Any) -> Column:
    unpacked: Column = column
    if field.kind == "pixels":
        unpacked = column.view(field.dtype).reshape(len(column), *field.shape)
    return unpacked


def refuse_fields(schema: Schema) -> None:
    """Raise SchemaError for fields that our HDF5 files cannot store, before anything is written."""
    if not schema.blobs:
        raise SchemaError(
            "an HDF5 file needs a field of images, files or arrays; pack the columns as TFRecord"
        )
    _refuse_names(schema)
    for field in schema.fields:
        if field.kind == "pixels" and (None in field.shape or 0 in field.shape or not field.shape):
            raise SchemaError(
                f"the arrays of {field.name!r} have the shape {field.shape}, which must be fixed; "
                "give a size, or leave the field out"
            )
    schema_bytes = len(Schema(schema.fields).to_json())
    checksum_bytes = sum(map(_bytes_of_checksums, schema.fields))
    if max(schema_bytes, checksum_bytes) > _MAX_ATTRIBUTE_BYTES:
        raise SchemaError(
            f"{len(schema.fields)} fields are more than our HDF5 files can describe (about 600); "
            "choose some with fields=..., or pack TFRecord"
        )


def _bytes_of_checksums(field: Field) -> int:
    """At most so many bytes of the attribute `checksums` are a field's: it has up to 4 datasets."""
    num_datasets = 3 * (field.is_list or field.is_blob) + (not field.is_blob)
    return num_datasets * (len(json.dumps(dataset_name(field))) + _CHECKSUM_BYTES)


def _refuse_names(schema: Schema) -> None:
    """Raise SchemaError for impossible names, and for a name inside another field's group.

    HDF5 reads slashes as groups, and a dot as the group itself.
    """
    taken: set[tuple[str, ...]] = {(CLASS_NAMES,)}
    for field, name in _names(schema):
        path = tuple(name.split("/"))
        above = [path[:length] for length in range(1, len(path) + 1)]
        if (
            not _is_possible(path)
            or any(each in taken for each in above)
            or any(each[: len(path)] == path for each in taken)
        ):
            raise SchemaError(
                f"the field {field.name!r} cannot have the name {name!r} in this HDF5 file; "
                "choose another name with names=..., or leave it out with fields=..."
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
    """Write all datasets but the images', the attributes, and the checksums of both."""
    file.attrs["format_version"] = FORMAT_VERSION
    written = Schema(tuple(_as_written(field) for field in schema.fields)).to_json()
    for name, text in {"format": "fastpack", "layout": layout, "schema": written}.items():
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
    """The field with samples as the first axis, as we write them."""
    if field.axes in (DOUBTFUL, PLAIN):
        return field
    axes = "N" + field.axes.replace("N", "")
    return replace(field, axes="" if axes in ("N", "NHW", "NHWC") else axes)
