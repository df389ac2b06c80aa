"""TFRecord: framed tf.train.Example records, as stock TensorFlow writes and reads them.

Framing: https://www.tensorflow.org/tutorials/load_data/tfrecord (TFRecords format details).
"""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.example import ExampleFrames, Feature, count_entries, list_features
from fastpack._native.image import probe_many
from fastpack._native.tfrecord import scan
from fastpack.batch import Batch
from fastpack.containers import ShardPlan
from fastpack.errors import EmptySourceError, FormatError, Place, SchemaError, at, from_os_error, raise_status
from fastpack.index import Column, Index
from fastpack.limits import DEFAULT_LIMITS, Limits
from fastpack.pool import share
from fastpack.ragged import Ragged, Text, concatenate_values, offsets_of
from fastpack.schema import Field, Kind, Schema
from fastpack.shard import Shard
from fastpack.structs import IMAGE_INFO, SPAN

_WINDOW_BYTES = 8 * 2**20  # as pack.py has its batches, and for the same reason
_MAX_TEXT_BYTES = 1024
_WIRE_KINDS = {"image": "bytes", "bytes": "bytes", "text": "bytes", "int": "int", "float": "float"}
# TFRecord has no place for facts about the whole file, so each record names its class.
_CLASS_NAME = "class_name"
_MAX_CLASSES = 2**20
# What other writers call our fields.
_ALIASES = {
    "image/encoded": "image",
    "image_raw": "image",
    "jpg": "image",
    "image/class/label": "label",
    "image/class/text": _CLASS_NAME,
    "image/filename": "key",
    "filename": "key",
}


class TfRecordContainer:
    name = "tfrecord"
    suffixes: tuple[str, ...] = (".tfrecord", ".tfrecords", ".tfrec", ".record")

    def recognises(self, head: bytes) -> bool:
        """A good first header: a length whose checksum holds."""
        if len(head) < 12:
            return False
        failure = scan(head[:12], 2**63, record_limit=2**63)[-1]
        return failure is None

    def writer(self, path: Path, plan: ShardPlan, num_workers: int | None = None) -> "TfRecordWriter":
        return TfRecordWriter(path, plan, num_workers)

    def index(self, path: Path, *, check: bool = True, limits: Limits = DEFAULT_LIMITS) -> Index:
        table = _Table(path)
        for window in _windows(path, check, limits):
            table.add(window)
        return table.index(Shard.of(path, self.name))

    def fetch(self, path: Path, stored_as: str, record_numbers: Sequence[int]) -> list[Any]:
        raise FormatError(f"every blob of a TFRecord has a span; delete the index and it is built again - at {path}")


TFRECORD = TfRecordContainer()


class TfRecordWriter:
    """Serialises batches on all threads and appends each in one write."""

    def __init__(self, path: Path, plan: ShardPlan, num_workers: int | None) -> None:
        if plan.layout == "pixels":
            raise SchemaError("TFRecord holds encoded images; choose HDF5 for pixels, or leave the layout out")
        self._schema = plan.schema
        self._num_workers = num_workers
        self._file = open(path, "xb", buffering=0)  # noqa: SIM115 - closed by close or abandon

    def write(self, batch: Batch) -> None:
        frames = ExampleFrames(
            [_wire_column(field, batch[field.name]) for field in self._schema.fields] + self._class_names(batch), batch.num_samples
        )
        share(frames.run, self._num_workers)
        left = frames.records.data
        while left:
            left = left[self._file.write(left) :]

    def _class_names(self, batch: Batch) -> list[tuple[Any, ...]]:
        if not self._schema.class_names or "label" not in self._schema or _CLASS_NAME in self._schema:
            return []
        names = self._schema.class_names
        text = Text.of(names[label] if 0 <= label < len(names) else "" for label in batch["label"].tolist())
        return [(_CLASS_NAME, "bytes", text.values, text.offsets, None)]

    def close(self) -> None:
        self._file.close()

    abandon = close


def _wire_column(field: Field, values: Any) -> tuple[Any, ...]:
    """(name, kind, values, offsets of bytes values, offsets of rows), as ExampleFrames takes them."""
    if field.kind not in _WIRE_KINDS:
        raise SchemaError(f"TFRecord cannot hold {field.name!r}, of the kind {field.kind!r}; choose HDF5")
    kind = _WIRE_KINDS[field.kind]
    if isinstance(values, Ragged) and isinstance(values.values, Text):
        return field.source_name, kind, values.values.values, values.values.offsets, values.offsets
    if kind == "bytes":
        return field.source_name, kind, values.values, values.offsets, None
    if isinstance(values, Ragged):
        return field.source_name, kind, values.values, None, values.offsets
    flat = np.asarray(values)
    rows = None if flat.ndim == 1 else np.arange(len(flat) + 1, dtype=np.int64) * int(np.prod(flat.shape[1:]))
    return field.source_name, kind, flat.reshape(-1), None, rows


# Indexing: the file goes by in windows of whole records.


@dataclass
class _Window:
    """Whole records that lie in `data`, which begins at byte `base` of the file."""

    data: npt.NDArray[np.uint8]
    base: int
    first_record: int
    offsets: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.uint64]
    crcs: npt.NDArray[np.uint32]


def _windows(path: Path, check: bool, limits: Limits) -> Iterator[_Window]:
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            yield from _scan_windows(file, size, path, check, limits)
    except OSError as error:
        if error.errno is None:
            raise
        raise from_os_error(error, "read", path) from error


def _scan_windows(file: Any, size: int, path: Path, check: bool, limits: Limits) -> Iterator[_Window]:
    base, num_records, window_bytes = 0, 0, min(_WINDOW_BYTES, size)
    memory = np.empty(0, np.uint8)  # of all windows: what is kept of one is copied from it
    while base < size:
        if len(memory) < window_bytes:
            memory = np.empty(window_bytes, np.uint8)
        data = memory[: min(window_bytes, size - base)]
        _read_into(file, data, base, path)
        offsets, lengths, crcs, consumed, wanted, failure = scan(data, size - base, record_limit=limits.max_record_bytes, check=check)
        if failure:
            status, _, row, offset, message = failure
            raise_status(status, message, Place(path, num_records + row, base + offset))
        yield _Window(data, base, num_records, offsets, lengths, crcs)
        base, num_records = base + consumed, num_records + len(offsets)
        window_bytes = max(_WINDOW_BYTES, wanted)


def _read_into(file: Any, data: npt.NDArray[np.uint8], offset: int, path: Path) -> None:
    file.seek(offset)
    left = data.data
    while left:
        got = file.readinto(left)
        if not got:
            raise_status(3, "the file became shorter while it was read", Place(path, offset=offset))
        left = left[got:]


class _Table:
    """Collects what the windows of one file hold, feature by feature."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._features: dict[str, _FeatureColumn] = {}
        self._num_records = 0

    def add(self, window: _Window) -> None:
        entries, failure = count_entries(window.data, window.offsets, window.lengths)
        self._raise(failure, window)
        for feature in self._features.values():
            entries -= feature.add(window, self._path)
        # What is left over are features not seen before (or one name twice in a record).
        while (entries > 0).any():
            row = int(np.argmax(entries > 0))
            for column in list(self._new_features(window, row)):
                column.skip(self._num_records)
                entries -= column.add(window, self._path)
                self._features[column.name] = column
            entries[row] = 0
        self._num_records += len(window.offsets)

    def _new_features(self, window: _Window, row: int) -> "Iterator[_FeatureColumn]":
        first, length = int(window.offsets[row]), int(window.lengths[row])
        for name, (wire_kind, _) in sorted(list_features(window.data[first : first + length]).items()):
            if name not in self._features and wire_kind != "absent":
                yield _FeatureColumn(name, wire_kind, window)

    def _raise(self, failure: Any, window: _Window) -> None:
        if failure:
            status, _, row, offset, message = failure
            raise_status(status, message, Place(self._path, window.first_record + row, window.base + offset))

    def index(self, shard: Shard) -> Index:
        if not self._num_records:
            raise EmptySourceError(at("the file has no records; pack it again", Place(self._path)))
        names = _public_names(self._features)
        fields = [self._features[name].field(public) for name, public in names.items()]
        columns = {f.name: self._features[f.source_name].column(f) for f in fields if not f.is_blob}
        spans = {f.name: self._features[f.source_name].spans() for f in fields if f.is_blob}
        infos = {f.name: self._features[f.source_name].infos() for f in fields if f.kind == "image"}
        class_names = _fold_class_names(columns)
        schema = Schema(tuple(f for f in fields if f.name in columns or f.name in spans), class_names)
        numbers = np.zeros(self._num_records, np.uint32)
        return Index((shard,), schema, numbers, np.arange(self._num_records), columns, spans, infos)


class _FeatureColumn:
    """One feature over all records: its kind by its first value that is not empty, then its values or places."""

    def __init__(self, name: str, wire_kind: str, window: _Window) -> None:
        self.name = name
        self._wire_kind = wire_kind
        values = Feature(window.data, window.offsets, window.lengths, name, wire_kind)
        values.count()
        row = int(np.argmax(values.last_lengths > 0))  # an empty value does not tell what others are
        at_byte, length = int(values.last_offsets[row]), int(values.last_lengths[row])
        is_name = wire_kind == "bytes" and _ALIASES.get(name, name) in ("key", _CLASS_NAME)
        self.kind: Kind = "text" if is_name else _kind_of(wire_kind, window.data[at_byte : at_byte + length])
        self._counts: list[npt.NDArray[np.int64]] = []
        self._values: list[Column] = []
        self._spans: list[npt.NDArray[Any]] = []
        self._infos: list[npt.NDArray[Any]] = []

    def skip(self, num_records: int) -> None:
        """The records before the first that has this feature."""
        self._counts.append(np.zeros(num_records, np.int64))
        self._spans.append(np.zeros(num_records, SPAN))
        self._infos.append(np.zeros(num_records, IMAGE_INFO))

    def add(self, window: _Window, path: Path) -> npt.NDArray[np.int64]:
        """Takes in a window; gives 1 for each record that has the feature."""
        feature = Feature(window.data, window.offsets, window.lengths, self.name, self._wire_kind)
        if failure := feature.count():
            status, _, row, offset, message = failure
            place = Place(path, window.first_record + row, window.base + offset)
            raise_status(status, f"{self.name}: {message}", place)
        self._counts.append(feature.counts)
        if self.kind in ("image", "bytes"):
            self._add_places(feature, window, path)
        elif self._wire_kind == "bytes":
            values, ends = feature.copy_bytes()
            self._values.append(Text(values, ends))
        else:
            self._values.append(feature.copy_numbers())
        return np.asarray(feature.found, np.int64)

    def _add_places(self, feature: Feature, window: _Window, path: Path) -> None:
        if (feature.counts > 1).any():
            row = int(np.argmax(feature.counts > 1))
            place = Place(path, window.first_record + row)
            raise SchemaError(at(f"{self.name} holds {feature.counts[row]} blobs in one record; one is what can be read", place))
        spans = np.zeros(len(window.offsets), SPAN)
        # Where the feature is missing, the blob is the empty one at the record's beginning.
        spans["offset"] = np.where(feature.counts > 0, feature.last_offsets, window.offsets.astype(np.int64)) + window.base
        spans["length"] = feature.last_lengths
        spans["record_offset"] = window.offsets + np.uint64(window.base)
        spans["record_length"] = window.lengths
        spans["crc32c"] = window.crcs
        self._spans.append(spans)
        if self.kind == "image":
            infos = np.zeros(len(spans), IMAGE_INFO)
            probe_many(window.data, feature.last_offsets, feature.last_lengths, infos, np.empty(len(spans), np.int32))
            self._infos.append(infos)

    def field(self, name: str) -> Field:
        counts = np.concatenate(self._counts)
        scalar = bool((counts == 1).all()) or self.kind in ("image", "bytes")
        dtype = {"int": "int64", "float": "float32"}.get(self.kind, "")
        return Field(name, self.kind, () if scalar else (None,), dtype, "" if name == self.name else self.name)

    def column(self, field: Field) -> Column:
        counts = np.concatenate(self._counts)
        flat = concatenate_values(self._values)
        return flat if field.shape == () else Ragged(flat, offsets_of(counts))

    def spans(self) -> npt.NDArray[Any]:
        return np.concatenate(self._spans)

    def infos(self) -> npt.NDArray[Any]:
        return np.concatenate(self._infos)


def _kind_of(wire_kind: str, first: npt.NDArray[np.uint8]) -> Kind:
    if wire_kind != "bytes":
        return "int" if wire_kind == "int" else "float"
    infos = np.zeros(1, IMAGE_INFO)
    probe_many(first, np.zeros(1, np.int64), np.array([len(first)]), infos, np.empty(1, np.int32))
    if infos["format"][0]:
        return "image"
    try:
        first.tobytes().decode()
    except UnicodeDecodeError:
        return "bytes"
    return "text" if len(first) <= _MAX_TEXT_BYTES else "bytes"


def _public_names(names: Collection[str]) -> dict[str, str]:
    """What users call each feature: our usual names for the usual things, in the usual order first."""
    public: dict[str, str] = {}
    for name in sorted(names):
        alias = _ALIASES.get(name, name)
        public[name] = name if alias in names or alias in public.values() else alias
    usual = ("image", "label", "key")
    return dict(sorted(public.items(), key=lambda item: (usual.index(item[1]) if item[1] in usual else len(usual), item[1])))


def _fold_class_names(columns: dict[str, Column]) -> tuple[str, ...]:
    """Turns the column of class names into one list, when each label has one name; then drops the column."""
    labels, names = columns.get("label"), columns.get(_CLASS_NAME)
    if not isinstance(labels, np.ndarray) or not isinstance(names, Text) or len(names) != len(labels):
        return ()
    if labels.dtype.kind != "i" or labels.min() < 0 or labels.max() >= _MAX_CLASSES:
        return ()
    unique, first = np.unique(labels, return_index=True)
    folded = [""] * (int(unique[-1]) + 1)
    for label, row in zip(unique, first, strict=True):
        folded[int(label)] = names[int(row)]
    if names != Text.of(folded[label] for label in labels.tolist()):
        return ()
    del columns[_CLASS_NAME]
    return tuple(folded)
