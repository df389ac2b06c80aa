"""TFRecord: framed tf.train.Example records, as stock TensorFlow writes and reads them.

Framing: https://www.tensorflow.org/tutorials/load_data/tfrecord (TFRecords format details).
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from fastpack._native.features import Features
from fastpack._native.tfrecord import scan
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.progress import BytesDone
from fastpack.core.schema import Schema
from fastpack.errors import (
    FormatError,
    LimitError,
    Location,
    NoRecordsError,
    Status,
    raise_status,
    with_location,
)
from fastpack.files.shard import Shard
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import GUESSED, Kinds, given_kind
from fastpack.formats.protocols import ShardPlan
from fastpack.formats.salvage import Damage, FindUnreadable, Survey
from fastpack.formats.span_container import SpanContainer
from fastpack.formats.tfrecord.columns import BytesColumn, NumberColumn
from fastpack.formats.tfrecord.damaged import UndamagedRecords
from fastpack.formats.tfrecord.feature_names import (
    CLASS_NAME,
    fold_class_names,
    public_name,
    public_names,
    with_escapes,
)
from fastpack.formats.tfrecord.scan import Window, windows_of
from fastpack.formats.tfrecord.writer import TfRecordWriter, refuse_fields

_KINDS_OF_BYTES = ("image", "mask", "bytes", "text")


class TfRecordContainer(SpanContainer):
    name = "tfrecord"
    title = "TFRecord"
    suffixes: tuple[str, ...] = (".tfrecord", ".tfrecords", ".tfrec", ".record")

    def recognizes(self, head: bytes) -> bool:
        """Return True for a first header whose checksum holds."""
        if len(head) < 12:
            return False
        failure = scan(head[:12], 2**63, record_limit=2**63)[-1]
        return failure is None

    def writer(self, path: Path, plan: ShardPlan, num_workers: int | None = None) -> TfRecordWriter:
        return TfRecordWriter(path, plan, num_workers)

    def refuse_fields(self, schema: Schema) -> None:
        refuse_fields(schema)

    def index(
        self,
        path: Path,
        *,
        check: bool = True,
        limits: Limits = DEFAULT_LIMITS,
        progress: BytesDone | None = None,
        kinds: Kinds = GUESSED,
    ) -> Index:
        return self._index(path, check, limits, progress, kinds)

    def index_fields(
        self,
        path: Path,
        fields: Collection[str],
        limits: Limits = DEFAULT_LIMITS,
        kinds: Kinds = GUESSED,
    ) -> Index:
        return self._index(path, True, limits, None, kinds, fields)

    def _index(
        self,
        path: Path,
        check: bool,
        limits: Limits,
        progress: BytesDone | None,
        kinds: Kinds,
        fields: Collection[str] | None = None,
    ) -> Index:
        table = _Table(path, limits, kinds, fields)
        with self.opened(path) as (file, shard):
            for window in windows_of(file, shard.size, path, check, limits):
                if progress:
                    progress(window.base)
                table.add(window)
        return table.index(shard)

    def index_damaged(
        self, path: Path, limits: Limits = DEFAULT_LIMITS, kinds: Kinds = GUESSED
    ) -> Index:
        shard = self.shard(path)
        records, table = UndamagedRecords(path, limits), _Table(path, limits, kinds)
        for window in records.whole():
            table.add(window)
        return records.with_lost(table.index(shard))

    def write_offsets(self, path: Path, output: Path) -> int:
        from fastpack.formats.tfrecord.idx import write_offsets  # late: few files need it

        return write_offsets(path, output)

    def survey(
        self, path: Path, saved: Index | None, limits: Limits, find_unreadable: FindUnreadable
    ) -> Survey:
        from fastpack.formats.tfrecord.salvage import survey  # late: few files are damaged

        return survey(self, path, saved, limits)

    def copy_whole(
        self,
        path: Path,
        output: Path,
        saved: Index | None,
        limits: Limits,
        progress: BytesDone | None = None,
    ) -> tuple[int, tuple[Damage, ...]]:
        from fastpack.formats.tfrecord.repair import copy_whole

        return copy_whole(path, output, saved, limits, progress)


TFRECORD = TfRecordContainer()


class _Table:
    """Collects the features of one file, window by window.

    - fields: the wanted fields; None stands for all. Another feature is left out if its lists have
      several kinds.
    """

    def __init__(
        self, path: Path, limits: Limits, kinds: Kinds, fields: Collection[str] | None = None
    ) -> None:
        self._path, self._limits, self._kinds = path, limits, kinds
        self._features = Features(limits.max_features)
        self._fields = fields
        self._columns: dict[int, NumberColumn | BytesColumn] = {}
        self._wire_kinds: dict[int, str] = {}
        self._num_records = 0
        self._num_named = 0
        self._public: dict[str, str] = {}

    def add(self, window: Window) -> None:
        while failure := self._features.add(window.data, window.offsets, window.lengths):
            if failure[0] != Status.WRONG_KIND or not self._leaves_out_odd_one():
                self._raise(failure, window)
        for number in range(len(self._features)):
            kind = self._features.kind(number)
            # The feature is new, or its lists were empty and of another kind.
            if kind != self._wire_kinds.get(number, "absent"):
                column = self._column(self._features.name(number), kind)
                column.skip(self._num_records)
                self._columns[number], self._wire_kinds[number] = column, kind
            if number in self._columns:
                self._columns[number].add(self._features, number, window)
        self._num_records += len(window.offsets)

    def _leaves_out_odd_one(self) -> bool:
        """Leave out the feature that has lists of several kinds, if it is not wanted."""
        number = self._features.odd_one
        if number is None or self._fields is None:
            return False
        name = self._features.name(number)
        if name in self._fields or public_name(name) in self._fields:
            return False
        self._features.leave_out(number)
        self._columns.pop(number, None)
        self._wire_kinds.pop(number, None)
        return True

    def _column(self, name: str, wire_kind: str) -> NumberColumn | BytesColumn:
        given, is_list = None, False
        if self._kinds:
            given, is_list = given_kind(self._kinds, name, self._field_name(name))
        if wire_kind != "bytes":
            return NumberColumn(name, wire_kind, is_list=is_list)
        if given is None and public_name(name) in ("key", CLASS_NAME):
            given = "text"
        return BytesColumn(name, given if given in _KINDS_OF_BYTES else None, is_list=is_list)

    def _field_name(self, name: str) -> str:
        """Return the name of a feature's field: two features may have one usual name."""
        if self._num_named < len(self._features):
            self._num_named = len(self._features)
            self._public = public_names(
                [self._features.name(number) for number in range(self._num_named)]
            )
        return self._public[name]

    def _raise(self, failure: Any, window: Window) -> NoReturn:
        status, _, row, offset, message = failure
        location = Location(self._path, int(window.record_numbers[row]), window.base + offset)
        if status == Status.RECORD_LIMIT:
            message = f"{message}, {self._limits.max_features}"
            remedy = "raise max_features if they are real"
            raise LimitError(with_location(f"{message}; {remedy}", location))
        if (odd := self._features.odd_one) is not None:
            message = f"{self._features.name(odd)}: {message}"
        raise_status(status, message, location)

    def index(self, shard: Shard) -> Index:
        if not self._num_records:
            message = "the file has no records; pack it again"
            raise NoRecordsError(with_location(message, Location(self._path)))
        features = {column.name: column for column in self._columns.values()}
        if len(features) < len(self._columns):
            message = "two names of features are equal after bytes that are not UTF-8 are escaped"
            remedy = "write the file with other names"
            raise FormatError(with_location(f"{message}; {remedy}", Location(self._path)))
        named = {public: features[name] for name, public in public_names(features).items()}
        fields = [column.field(public) for public, column in named.items()]
        columns = {f.name: named[f.name].column(f) for f in fields if not f.is_blob}
        columns |= {
            name: with_escapes(columns[name]) for name in ("key", CLASS_NAME) if name in columns
        }
        spans = {
            f.name: column.spans(f)
            for f in fields
            if f.is_blob and isinstance(column := named[f.name], BytesColumn)
        }
        infos = {
            f.name: column.infos(f)
            for f in fields
            if f.is_image_file and isinstance(column := named[f.name], BytesColumn)
        }
        class_names = fold_class_names(columns)
        schema = Schema(
            tuple(f for f in fields if f.name in columns or f.name in spans), class_names
        )
        numbers = np.zeros(self._num_records, np.uint32)
        return Index((shard,), schema, numbers, np.arange(self._num_records), columns, spans, infos)
