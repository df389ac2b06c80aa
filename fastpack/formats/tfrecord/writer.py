"""Writes TFRecord: batches serialized as framed tf.train.Example records.

Framing: https://www.tensorflow.org/tutorials/load_data/tfrecord (TFRecords format details).
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.example import ExampleFrames
from fastpack.core.dtypes import SPAN
from fastpack.core.ragged import Ragged, Text, flat_values
from fastpack.core.schema import Field, Kind, Schema
from fastpack.errors import (
    CorruptRecordError,
    EmptySourceError,
    Location,
    SchemaError,
    raise_first,
    with_location,
)
from fastpack.files.shard import Shard
from fastpack.files.spool import Spool
from fastpack.formats.index.arrays import Column
from fastpack.formats.index.index import Index
from fastpack.formats.numbers import integers, narrow_floats
from fastpack.formats.protocols import ShardPlan, Writer
from fastpack.formats.spools import Spools
from fastpack.formats.tfrecord.feature_names import (
    CLASS_NAME,
    MAX_CLASSES,
    fold_class_names,
    names_classes,
    public_names,
)
from fastpack.formats.tfrecord.scan import FRAME_BYTES, HEADER_BYTES
from fastpack.images.batch import Batch
from fastpack.images.headers import ProbedFiles

_DTYPES = {"int": "int64", "float": "float32"}
_WIRE_KINDS = {
    "image": "bytes",
    "mask": "bytes",
    "bytes": "bytes",
    "text": "bytes",
    "int": "int",
    "float": "float",
}


class TfRecordWriter(Writer["Records"]):
    """Serializes batches in any thread, and writes them one after the other.

    Images are not copied: the OS gathers records from the images and the bytes around them.
    """

    def __init__(self, path: Path, plan: ShardPlan, num_workers: int | None) -> None:
        self._path, self._schema, self._num_workers = path, plan.schema, num_workers
        self._rounds_floats = plan.options.float64 == "round"
        # The last name is that of labels without one.
        self._class_names = Text.of([*self._schema.class_names, ""])
        self._facts = _Facts(path.parent, plan.schema)
        self._end = self._num_records = 0
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    def encode(self, batch: Batch) -> "Records":
        columns = {
            field.source_name: self._held(field, batch[field.name]) for field in self._schema.fields
        }
        files = {
            field.source_name: ProbedFiles.of(batch[field.name])
            for field in self._schema.blobs
            if not field.is_list
        }
        columns |= files
        if names_classes(self._schema):
            labels, num_classes = flat_values(batch["label"]), len(self._class_names) - 1
            names = self._class_names.take(
                np.where((labels >= 0) & (labels < num_classes), labels, num_classes)
            )
            columns[CLASS_NAME] = (
                Ragged(names, batch["label"].offsets) if self._schema["label"].is_list else names
            )
        wired = [
            _wire_column(name, self._kind_of(name), values) for name, values in columns.items()
        ]
        frames = ExampleFrames(
            wired, batch.num_samples, apart={name: each.crcs for name, each in files.items()}
        )
        frames.run()
        return Records(frames, columns)

    def _held(self, field: Field, values: Any) -> Any:
        """Return values as TFRecord holds them: 64-bit integers and 32-bit floats."""
        if field.is_blob or field.kind == "text":
            return values
        flat = flat_values(values) if isinstance(values, Ragged) else np.asarray(values)
        if field.kind == "int":
            held: Any = integers(field.name, flat)
        else:
            held = narrow_floats(field.name, flat, rounds=self._rounds_floats)
        return Ragged(held, values.offsets) if isinstance(values, Ragged) else held

    def _kind_of(self, name: str) -> str:
        return next(
            (field.kind for field in self._schema.fields if field.source_name == name), "text"
        )

    def append(self, piece: "Records") -> None:
        begin, first, offsets = self._end, self._num_records, piece.frames.offsets
        outcome = piece.frames.write(self._descriptor, begin)
        raise_first(
            [outcome], lambda row: Location(self._path, first + row, begin + int(offsets[row]))
        )
        self._end += int(offsets[-1])
        self._num_records += len(offsets) - 1
        self._facts.add(piece, begin)

    def close(self) -> Index | None:
        if not self._num_records:
            message = "no records were written; a TFRecord needs at least one"
            raise EmptySourceError(with_location(message, Location(self._path)))
        self._close_file()
        shard = Shard.of(self._path, "tfrecord")
        if shard.size != self._end:
            message = f"the file has {shard.size} bytes, and {self._end} were written"
            remedy = "stop another program that writes to it, or check the disk"
            raise CorruptRecordError(with_location(f"{message}; {remedy}", Location(self._path)))
        return self._facts.index(shard)

    def abandon(self) -> None:
        self._close_file()
        self._facts.close()

    def _close_file(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True)
class Records:
    """A batch as records, and the columns in them, by their names in the file."""

    frames: ExampleFrames
    columns: dict[str, Any]


def refuse_fields(schema: Schema) -> None:
    """Raise SchemaError for a field that a TFRecord cannot hold."""
    for field in schema.fields:
        if field.kind not in _WIRE_KINDS:
            message = f"TFRecord cannot hold {field.name!r}, arrays of {field.shape}; choose HDF5"
            is_main = field == schema.image_field
            raise SchemaError(message if is_main else f"{message}, or leave it out with fields=...")
    _refuse_taken_names(schema)


def _refuse_taken_names(schema: Schema) -> None:
    """Raise SchemaError if a field's name in the file makes readers take it for another field."""
    written = {field.source_name: field.name for field in schema.fields} | (
        {CLASS_NAME: CLASS_NAME} if names_classes(schema) else {}
    )
    fields = {field.name for field in schema.fields} | {"image", "label", "key", CLASS_NAME}
    for stored, read in public_names(written).items():
        if read != written[stored] and read in fields:
            message = (
                f"a TFRecord's feature {stored!r} is read as {read!r}, "
                f"and it would hold the field {written[stored]!r}"
            )
            remedy = "choose another name with names=..., or leave it out with fields=..."
            raise SchemaError(f"{message}; {remedy}")


def _wire_column(name: str, kind: str, values: Any) -> tuple[Any, ...]:
    """Return a column for ExampleFrames: name, kind, values, offsets of values and of rows."""
    if kind not in _WIRE_KINDS:
        raise SchemaError(f"TFRecord cannot hold {name!r}, of the kind {kind!r}; choose HDF5")
    wire_kind = _WIRE_KINDS[kind]
    if isinstance(values, Ragged) and isinstance(values.values, Ragged):
        return name, wire_kind, values.values.values, values.values.offsets, values.offsets
    if wire_kind == "bytes":
        return name, wire_kind, values.values, values.offsets, None
    if isinstance(values, Ragged):
        return name, wire_kind, values.values, None, values.offsets
    flat = np.asarray(values)
    if flat.ndim == 1:
        return name, wire_kind, flat, None, None
    rows = np.arange(len(flat) + 1, dtype=np.int64) * int(np.prod(flat.shape[1:]))
    return name, wire_kind, flat.reshape(-1), None, rows


class _Facts:
    """The contents of an index, collected while records are written.

    So the complete file need not be indexed. Nothing is collected for records with lists.
    """

    def __init__(self, folder: Path, schema: Schema) -> None:
        self._schema = schema
        self._kinds: dict[str, Kind] = {field.source_name: field.kind for field in schema.fields}
        if names_classes(schema):
            self._kinds[CLASS_NAME] = "text"
        self._public = public_names(self._kinds)
        self._labels: set[int] = set()  # those that occur, if records name their classes
        self._columns, self._spans, self._infos = Spools(folder), Spools(folder), Spools(folder)
        self._record_numbers = Spool(folder, np.int64)
        self._are_enough = not any(field.is_list for field in schema.fields)

    def add(self, piece: Records, begin: int) -> None:
        """Add records that begin at byte `begin` of the file."""
        self._are_enough = self._are_enough and self._are_plain(piece)
        if not self._are_enough:
            self.close()
            return
        if names_classes(self._schema):
            self._labels.update(piece.columns[self._schema["label"].source_name].tolist())
        frames, columns = piece.frames, piece.columns
        blobs = [field.source_name for field in self._schema.blobs]
        images = [field.source_name for field in self._schema.blobs if field.is_image_file]
        self._columns.append(
            {
                self._public[name]: _as_read(columns[name])
                for name in self._kinds.keys() - {*blobs, *self._folded}
            }
        )
        self._infos.append({self._public[name]: columns[name].probed[0] for name in images})
        for i, name in enumerate(blobs):
            spans = _spans(frames, frames.places[:, i], columns[name].lengths, begin)
            self._spans.append({self._public[name]: spans})
        first = len(self._record_numbers)
        self._record_numbers.append(np.arange(first, first + len(frames.crcs)))

    @property
    def _folded(self) -> set[str]:
        """Columns of records that the index stores in its schema: the class names."""
        return {CLASS_NAME} if names_classes(self._schema) else set()

    def _are_plain(self, piece: Records) -> bool:
        return all(self._is_plain(name, values) for name, values in piece.columns.items())

    def _is_plain(self, name: str, values: Any) -> bool:
        """Return True for one value a record, and labels whose class names the indexer folds."""
        if isinstance(values, Ragged):
            return isinstance(values.values, np.ndarray) and self._kinds[name] not in _DTYPES
        if self._folded and name == self._schema["label"].source_name:
            is_usual = self._public[name] == "label" and values.dtype.kind == "i"
            return bool(is_usual and values.max() < MAX_CLASSES)
        return bool(values.ndim == 1)

    def index(self, shard: Shard) -> Index | None:
        """Return the index that the indexer would build, or None if the records do not suffice."""
        if not self._are_enough:
            return None
        columns = self._columns.whole()
        class_names = self._class_names() if self._folded else fold_class_names(columns)
        spans, record_numbers = self._spans.whole(), self._record_numbers.whole()
        fields = tuple(
            self._field(name, public)
            for name, public in self._public.items()
            if public in columns or public in spans
        )
        numbers = np.zeros(len(record_numbers), np.uint32), record_numbers
        schema, infos = Schema(fields, class_names), self._infos.whole()
        return Index((shard,), schema, *numbers, columns, spans, infos)

    def _field(self, name: str, public: str) -> Field:
        kind = self._kinds[name]
        return Field(
            public, kind, dtype=_DTYPES.get(kind, ""), stored_as="" if name == public else name
        )

    def _class_names(self) -> tuple[str, ...]:
        """Return the names of labels that occur in records, "" for others."""
        names = self._schema.class_names
        return tuple(
            names[label] if label in self._labels and label < len(names) else ""
            for label in range(max(self._labels) + 1)
        )

    def close(self) -> None:
        for spools in (self._columns, self._spans, self._infos, self._record_numbers):
            spools.close()


def _as_read(values: Column) -> Column:
    """Return values as a reader gets them: 64-bit integers and 32-bit floats."""
    if isinstance(values, Ragged):
        return values
    return values.astype(np.float32 if values.dtype.kind == "f" else np.int64)


def _spans(
    frames: ExampleFrames,
    offsets: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    begin: int,
) -> npt.NDArray[Any]:
    """Return SPAN (n,) of blobs at these offsets in records that begin at byte `begin`."""
    spans = np.zeros(len(offsets), SPAN)
    spans["offset"], spans["length"] = offsets + begin, lengths
    spans["record_offset"] = frames.offsets[:-1] + (begin + HEADER_BYTES)
    spans["record_length"] = np.diff(frames.offsets) - FRAME_BYTES
    spans["crc32c"] = frames.crcs
    return spans
