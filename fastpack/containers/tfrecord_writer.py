"""Writes TFRecord: batches serialised as tf.train.Example records, framed, each in its place.

Framing: https://www.tensorflow.org/tutorials/load_data/tfrecord (TFRecords format details).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.example import ExampleFrames
from fastpack.batch import Batch
from fastpack.containers import ShardPlan, Writer
from fastpack.errors import CorruptRecordError, EmptySourceError, Place, SchemaError, at, raise_first
from fastpack.headers import ImageFiles
from fastpack.index import Column, Index
from fastpack.ragged import Ragged, Text, concatenate_values
from fastpack.schema import Field, Kind, Schema
from fastpack.shard import Shard
from fastpack.structs import SPAN

# TFRecord has no place for facts about the whole file, so each record names its class.
CLASS_NAME = "class_name"
_FRAME_HEADER, _FRAME_BYTES = 12, 16
_DTYPES = {"int": "int64", "float": "float32"}
_WIRE_KINDS = {"image": "bytes", "bytes": "bytes", "text": "bytes", "int": "int", "float": "float"}


class TfRecordWriter(Writer["Records"]):
    """Serialises batches side by side, and writes one behind the other.

    Images are not copied: their record is written around them, from where they lie.
    """

    def __init__(self, path: Path, plan: ShardPlan, num_workers: int | None) -> None:
        if plan.layout == "pixels":
            raise SchemaError("TFRecord holds encoded images; choose HDF5 for pixels, or leave the layout out")
        self._path, self._schema, self._num_workers = path, plan.schema, num_workers
        self._class_names = Text.of([*self._schema.class_names, ""])  # the last for labels without a name
        self._facts: list[_Facts] = []
        self._end = self._num_records = 0
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    def encode(self, batch: Batch) -> "Records":
        columns = {field.source_name: batch[field.name] for field in self._schema.fields}
        files = {field.source_name: ImageFiles.of(batch[field.name]) for field in self._schema.blobs}
        columns |= files
        if self._names_classes:
            labels, num_classes = batch["label"], len(self._class_names) - 1
            columns[CLASS_NAME] = self._class_names.take(np.where((labels >= 0) & (labels < num_classes), labels, num_classes))
        wired = [_wire_column(name, self._kind_of(name), values) for name, values in columns.items()]
        frames = ExampleFrames(wired, batch.num_samples, apart={name: each.crcs for name, each in files.items()})
        frames.run()
        return Records(frames, _facts_of(frames, columns, self._schema))

    @property
    def _names_classes(self) -> bool:
        return bool(self._schema.class_names) and "label" in self._schema and CLASS_NAME not in self._schema

    def _kind_of(self, name: str) -> str:
        return next((field.kind for field in self._schema.fields if field.source_name == name), "text")

    def place(self, piece: "Records") -> None:
        facts, first = piece.facts.moved_by(self._end), self._num_records
        outcome = piece.frames.write(self._descriptor, self._end)
        raise_first([outcome], lambda row: Place(self._path, first + row, int(facts.frame_offsets[row])))
        self._end = int(facts.frame_offsets[-1])
        self._num_records += len(facts.crcs)
        self._facts.append(facts)

    def close(self) -> Index | None:
        if not self._facts:
            raise EmptySourceError(at("no records were written; a TFRecord needs one at least", Place(self._path)))
        self.abandon()
        shard = Shard.of(self._path, "tfrecord")
        if shard.size != self._end:
            message = f"the file has {shard.size} bytes, and {self._end} were written; has another program written to it?"
            raise CorruptRecordError(at(message, Place(self._path)))
        facts = _Facts.concatenate(self._facts)
        self._facts.clear()  # of many records they are large
        return _index_of(facts, self._schema, shard)

    def abandon(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True)
class Records:
    """A batch as records; its facts count bytes from the first of them."""

    frames: ExampleFrames
    facts: "_Facts"


@dataclass(frozen=True)
class _Facts:
    """What the index shall know of some records. Names are those in the file.

    frame_offsets: (n + 1,); crcs: (n,); columns: values by name; places and lengths of blobs by name, (n,); infos of images.
    """

    frame_offsets: npt.NDArray[np.int64]
    crcs: npt.NDArray[np.uint32]
    columns: dict[str, Column]
    places: dict[str, npt.NDArray[np.int64]]
    lengths: dict[str, npt.NDArray[np.int64]]
    infos: dict[str, npt.NDArray[Any]]

    def moved_by(self, offset: int) -> "_Facts":
        places = {name: places + offset for name, places in self.places.items()}
        return replace(self, frame_offsets=self.frame_offsets + offset, places=places)

    @classmethod
    def concatenate(cls, pieces: Sequence["_Facts"]) -> "_Facts":
        first = pieces[0]
        return cls(
            np.concatenate([piece.frame_offsets[:-1] for piece in pieces] + [pieces[-1].frame_offsets[-1:]]),
            np.concatenate([piece.crcs for piece in pieces]),
            {name: concatenate_values([piece.columns[name] for piece in pieces]) for name in first.columns},
            {name: np.concatenate([piece.places[name] for piece in pieces]) for name in first.places},
            {name: np.concatenate([piece.lengths[name] for piece in pieces]) for name in first.lengths},
            {name: np.concatenate([piece.infos[name] for piece in pieces]) for name in first.infos},
        )


def _facts_of(frames: ExampleFrames, columns: dict[str, Any], schema: Schema) -> _Facts:
    blobs = [field.source_name for field in schema.blobs]
    images = [field.source_name for field in schema.blobs if field.kind == "image"]
    return _Facts(
        frames.offsets,
        frames.crcs,
        {name: values for name, values in columns.items() if name not in blobs},
        {name: frames.places[:, i] for i, name in enumerate(blobs)},
        {name: columns[name].lengths for name in blobs},
        {name: columns[name].probed[0] for name in images},
    )


def _wire_column(name: str, kind: str, values: Any) -> tuple[Any, ...]:
    """(name, kind, values, offsets of bytes values, offsets of rows), as ExampleFrames takes them."""
    if kind not in _WIRE_KINDS:
        raise SchemaError(f"TFRecord cannot hold {name!r}, of the kind {kind!r}; choose HDF5")
    wire_kind = _WIRE_KINDS[kind]
    if isinstance(values, Ragged) and isinstance(values.values, Text):
        return name, wire_kind, values.values.values, values.values.offsets, values.offsets
    if wire_kind == "bytes":
        return name, wire_kind, values.values, values.offsets, None
    if isinstance(values, Ragged):
        return name, wire_kind, values.values, None, values.offsets
    flat = np.asarray(values)
    rows = None if flat.ndim == 1 else np.arange(len(flat) + 1, dtype=np.int64) * int(np.prod(flat.shape[1:]))
    return name, wire_kind, flat.reshape(-1), None, rows


def _index_of(facts: _Facts, schema: Schema, shard: Shard) -> Index | None:
    """What the indexer would find in the file; None where that depends on more than we know here."""
    from fastpack.containers.tfrecord import fold_class_names, public_names  # which knows this module

    kinds: dict[str, Kind] = {field.source_name: field.kind for field in schema.fields}
    kinds.setdefault(CLASS_NAME, "text")
    public = public_names([*facts.columns, *facts.places])
    is_plain = all(_is_plain(values, public[name], kinds[name]) for name, values in facts.columns.items())
    if not is_plain or facts.infos.keys() != facts.places.keys() or any((infos["format"] == 0).any() for infos in facts.infos.values()):
        return None
    columns: dict[str, Column] = {public[name]: _as_read(values) for name, values in facts.columns.items()}
    class_names = fold_class_names(columns)
    images = {public[name]: name for name in facts.places}
    names = [(name, shown) for name, shown in public.items() if shown in columns or shown in images]
    fields = [
        Field(shown, kinds[name], dtype=_DTYPES.get(kinds[name], ""), stored_as="" if name == shown else name) for name, shown in names
    ]
    num_records = len(facts.crcs)
    return Index(
        (shard,),
        Schema(tuple(fields), class_names),
        np.zeros(num_records, np.uint32),
        np.arange(num_records),
        columns,
        {shown: _spans(facts, name) for shown, name in images.items()},
        {shown: facts.infos[name] for shown, name in images.items()},
    )


def _is_plain(values: Column, name: str, kind: Kind) -> bool:
    """One value in each record, of a kind that the file itself tells: of other texts it does not."""
    if isinstance(values, Ragged):
        return isinstance(values, Text) and name in ("key", CLASS_NAME)
    return values.ndim == 1 and kind in _DTYPES


def _as_read(values: Column) -> Column:
    """TFRecord knows 64-bit integers and 32-bit floats."""
    if isinstance(values, Ragged):
        return values
    return values.astype(np.float32 if values.dtype.kind == "f" else np.int64)


def _spans(facts: _Facts, name: str) -> npt.NDArray[Any]:
    spans = np.zeros(len(facts.crcs), SPAN)
    spans["offset"], spans["length"] = facts.places[name], facts.lengths[name]
    spans["record_offset"] = facts.frame_offsets[:-1] + _FRAME_HEADER
    spans["record_length"] = np.diff(facts.frame_offsets) - _FRAME_BYTES
    spans["crc32c"] = facts.crcs
    return spans
