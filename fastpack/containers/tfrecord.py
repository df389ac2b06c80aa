"""TFRecord: framed tf.train.Example records, as stock TensorFlow writes and reads them.

Framing: https://www.tensorflow.org/tutorials/load_data/tfrecord (TFRecords format details).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from fastpack._native.features import Features
from fastpack._native.image import probe_many
from fastpack._native.tfrecord import scan
from fastpack.containers import BytesDone, ShardPlan
from fastpack.containers.tfrecord_names import CLASS_NAME, fold_class_names, public_name, public_names
from fastpack.containers.tfrecord_sifted import SiftedRecords
from fastpack.containers.tfrecord_windows import Window, windows
from fastpack.containers.tfrecord_writer import TfRecordWriter
from fastpack.errors import FormatError, LimitError, NoRecordsError, Place, at, raise_status
from fastpack.files import Files
from fastpack.headers import guess_kind
from fastpack.index import Column, Index
from fastpack.limits import DEFAULT_LIMITS, Limits
from fastpack.ragged import Ragged, Text, concatenate_values, offsets_of
from fastpack.schema import Field, Kind, Schema
from fastpack.shard import Shard
from fastpack.structs import IMAGE_INFO, SPAN

_MAX_TEXT_BYTES = 1024
_TOO_MANY = 6  # FP_RECORD_LIMIT


class TfRecordContainer:
    name = "tfrecord"
    suffixes: tuple[str, ...] = (".tfrecord", ".tfrecords", ".tfrec", ".record")

    def recognises(self, head: bytes) -> bool:
        """A good first header: a length whose checksum holds."""
        if len(head) < 12:
            return False
        failure = scan(head[:12], 2**63, record_limit=2**63)[-1]
        return failure is None

    def writer(self, path: Path, plan: ShardPlan, num_workers: int | None = None) -> TfRecordWriter:
        return TfRecordWriter(path, plan, num_workers)

    def index(self, path: Path, *, check: bool = True, limits: Limits = DEFAULT_LIMITS, progress: BytesDone | None = None) -> Index:
        def told() -> Iterator[Window]:
            for window in windows(path, check, limits):
                if progress:
                    progress(window.base)
                yield window

        shard = self.shard(path)  # before it is read: what replaces the file meanwhile is another one then
        return _table_of(told, path, limits).index(shard)

    def index_damaged(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> Index:
        shard, records = self.shard(path), SiftedRecords(path, limits)
        return records.with_lost(_table_of(records.whole, path, limits).index(shard))

    def shard(self, path: Path) -> Shard:
        return Shard.of(path, self.name)

    def import_for_fetching(self) -> None:
        """All is imported with this module."""

    def fetch(self, shard: Shard, field: Field, record_numbers: Sequence[int], files: Files | None = None) -> list[Any]:
        raise FormatError(f"every blob of a TFRecord has a span; delete the index and it is built again - at {shard.path}")


TFRECORD = TfRecordContainer()


# Indexing: the file goes by in windows of whole records.


class _ManyBlobsError(Exception):
    """A record has several blobs in one feature, so the feature is no blob but a column of lists."""

    def __init__(self, feature: str) -> None:
        self.feature = feature


def _table_of(windows: Callable[[], Iterator[Window]], path: Path, limits: Limits) -> "_Table":
    """What all records hold. They go by again when a feature of bytes turns out to have several values in one of them."""
    lists: set[str] = set()
    while True:
        table = _Table(path, limits, lists)
        try:
            for window in windows():
                table.add(window)
            return table
        except _ManyBlobsError as found:
            lists.add(found.feature)


class _Table:
    """Collects what the windows of one file hold, feature by feature."""

    def __init__(self, path: Path, limits: Limits, lists: Collection[str]) -> None:
        self._path, self._limits, self._lists = path, limits, lists
        self._features = Features(limits.max_features)
        self._columns: dict[int, _FeatureColumn] = {}
        self._num_records = 0

    def add(self, window: Window) -> None:
        if failure := self._features.add(window.data, window.offsets, window.lengths):
            self._raise(failure, window)
        for number in range(len(self._features)):
            if number not in self._columns and (kind := self._features.kind(number)) != "absent":
                name = self._features.name(number)
                column = _FeatureColumn(name, kind, self._kind_of(number, name, kind, window))
                column.skip(self._num_records)
                self._columns[number] = column
            if number in self._columns:
                self._columns[number].add(self._features, number, window)
        self._num_records += len(window.offsets)

    def _kind_of(self, number: int, name: str, wire_kind: str, window: Window) -> Kind:
        """What a feature is, by its first value that is not empty: an empty one does not tell what others are."""
        if wire_kind != "bytes":
            return "int" if wire_kind == "int" else "float"
        if name in self._lists or public_name(name) in ("key", CLASS_NAME):
            return "text"
        offsets, lengths = self._features.places(number)
        row = int(np.argmax(lengths > 0))
        return _kind_of_blob(window.data[offsets[row] : offsets[row] + lengths[row]])

    def _raise(self, failure: Any, window: Window) -> NoReturn:
        status, _, row, offset, message = failure
        place = Place(self._path, int(window.record_numbers[row]), window.base + offset)
        if status == _TOO_MANY:
            raise LimitError(at(f"{message}, {self._limits.max_features}; raise max_features if they are real", place))
        name = f"{self._features.odd_one}: " if self._features.odd_one else ""
        raise_status(status, name + message, place)

    def index(self, shard: Shard) -> Index:
        if not self._num_records:
            raise NoRecordsError(at("the file has no records; pack it again", Place(self._path)))
        features = {column.name: column for column in self._columns.values()}
        if len(features) < len(self._columns):
            message = "two names of features are the same once bytes that are not UTF-8 are escaped; write the file with other names"
            raise FormatError(at(message, Place(self._path)))
        named = {public: features[name] for name, public in public_names(features).items()}
        fields = [column.field(public) for public, column in named.items()]
        columns = {f.name: named[f.name].column(f) for f in fields if not f.is_blob}
        spans = {f.name: named[f.name].spans() for f in fields if f.is_blob}
        infos = {f.name: named[f.name].infos() for f in fields if f.is_image_file}
        class_names = fold_class_names(columns)
        schema = Schema(tuple(f for f in fields if f.name in columns or f.name in spans), class_names)
        numbers = np.zeros(self._num_records, np.uint32)
        return Index((shard,), schema, numbers, np.arange(self._num_records), columns, spans, infos)


class _FeatureColumn:
    """One feature over all records: its values, or where they lie."""

    def __init__(self, name: str, wire_kind: str, kind: Kind) -> None:
        self.name, self.kind = name, kind
        self._wire_kind = wire_kind
        self._counts: list[npt.NDArray[np.int64]] = []
        self._values: list[Column] = []
        self._spans: list[npt.NDArray[Any]] = []
        self._infos: list[npt.NDArray[Any]] = []

    def skip(self, num_records: int) -> None:
        """The records before the first that has this feature."""
        self._counts.append(np.zeros(num_records, np.int64))
        self._spans.append(np.zeros(num_records, SPAN))
        self._infos.append(np.zeros(num_records, IMAGE_INFO))

    def add(self, features: Features, number: int, window: Window) -> None:
        counts = features.counts(number)[1]
        self._counts.append(counts)
        if self.kind in ("image", "bytes"):
            if (counts > 1).any():
                raise _ManyBlobsError(self.name)
            self._add_places(counts, *features.places(number), window)
        elif self._wire_kind == "bytes":
            self._values.append(Text(*features.copy_bytes(number)))
        else:
            self._values.append(features.copy_numbers(number))

    def _add_places(
        self, counts: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], window: Window
    ) -> None:
        spans = np.zeros(len(counts), SPAN)
        # Where the feature is missing, the blob is the empty one at the record's beginning.
        spans["offset"] = np.where(counts > 0, offsets, window.offsets.astype(np.int64)) + window.base
        spans["length"] = lengths
        spans["record_offset"] = window.offsets + np.uint64(window.base)
        spans["record_length"] = window.lengths
        spans["crc32c"] = window.crcs
        self._spans.append(spans)
        if self.kind == "image":
            infos = np.zeros(len(spans), IMAGE_INFO)
            probe_many(window.data, offsets, lengths, infos, np.empty(len(spans), np.int32))
            self._infos.append(infos)

    def field(self, name: str) -> Field:
        counts = np.concatenate(self._counts)
        scalar = bool((counts == 1).all()) or self.kind in ("image", "bytes")
        dtype = {"int": "int64", "float": "float32"}.get(self.kind, "")
        kind = guess_kind(self.name, self.infos()) if self.kind == "image" else self.kind
        return Field(name, kind, () if scalar else (None,), dtype, "" if name == self.name else self.name)

    def column(self, field: Field) -> Column:
        counts = np.concatenate(self._counts)
        flat = concatenate_values(self._values)
        return flat if field.shape == () else Ragged(flat, offsets_of(counts))

    def spans(self) -> npt.NDArray[Any]:
        return np.concatenate(self._spans)

    def infos(self) -> npt.NDArray[Any]:
        return np.concatenate(self._infos)


def _kind_of_blob(first: npt.NDArray[np.uint8]) -> Kind:
    infos = np.zeros(1, IMAGE_INFO)
    probe_many(first, np.zeros(1, np.int64), np.array([len(first)]), infos, np.empty(1, np.int32))
    if infos["format"][0]:
        return "image"
    try:
        first.tobytes().decode()
    except UnicodeDecodeError:
        return "bytes"
    return "text" if len(first) <= _MAX_TEXT_BYTES else "bytes"
