"""Index: the table of a dataset's samples: columns, and spans of blobs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from dataclasses import field as dataclass_field
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.spans import first_outside
from fastpack.core.checks import settle
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged, Text, flat_values, owners
from fastpack.core.schema import Field, Schema
from fastpack.errors import (
    FastpackError,
    Location,
    OptionError,
    Status,
    TruncatedFileError,
    status_error,
    with_location,
)
from fastpack.files.classes import ClassMap
from fastpack.files.shard import Shard
from fastpack.formats.index.arrays import Column
from fastpack.formats.index.chunks import ChunkTable
from fastpack.formats.index.digest import RecordDigest
from fastpack.formats.index.folder_files import Files
from fastpack.formats.index.joined_schema import common_schema, taken_classes
from fastpack.formats.index.npz_index import StoredArrays
from fastpack.formats.index.per_sample import Joined, PerSample, Stored, as_metadata
from fastpack.formats.index.stored_rows import StoredRows
from fastpack.formats.index.tables import (
    ChunkTables,
    ColumnTables,
    FileTable,
    InfoTables,
    LostTable,
    NumberTable,
    SeekPointTables,
    ShardNumbers,
    SpanTables,
)
from fastpack.images.seek_points import SeekPoints
from fastpack.stores.fetched import Fetched

_LOST = {
    Status.BAD_DATA_CRC: "the record differs from its CRC32C",
    Status.BAD_PROTO: "the record is not a tf.train.Example",
}


@dataclass(frozen=True, eq=False)
class Index:
    """The table of the n samples in some files. Immutable.

    Args:
        shards: the files.
        schema: the fields of a sample, and the class names.
        shard_numbers: the shard of each sample, (n,) uint32.
        record_numbers: number of each sample's record in its shard, (n,) int64.
        columns: field name -> (n,) array, Text or Ragged.
        spans: blob name -> (n,) SPAN; for a list of blobs, a Ragged of SPAN.
        infos: image or mask name -> IMAGE_INFO, one for each span.
        seek_points: image name -> SeekPoints (n,), for images that have seek points.
        chunks: pixels name -> shard number -> ChunkTable, for samples without spans. Record
            numbers count in such a table.
        files: names and times (n,) of samples that are files of a folder; None if no shard is one.
        original_digest: digest of the file's records when it was first indexed, if they changed.
        lost: the kernels' status of each sample that cannot be read, else 0, (n,) uint8; None if
            all samples can be read. An index with lost samples is not saved.
        notes: guesses and omissions, a sentence each.
        fetched: bytes of the samples that were read from object stores; it is not saved.
        receipt: digest of the pack that wrote the file, which a resumed pack compares; "" if
            unknown.

    Example:
        >>> import fastpack
        >>> index = fastpack.open(getfixture("digits")).index
        >>> len(index), sorted(index.columns), index.spans["image"].dtype.names[:2]
        (10, ['label'], ('shard', 'crc32c'))
    """

    shards: tuple[Shard, ...]
    schema: Schema
    shard_numbers: npt.NDArray[np.uint32] = dataclass_field(
        metadata=as_metadata(ShardNumbers("shard_numbers", np.uint32))
    )
    record_numbers: Rows = dataclass_field(
        metadata=as_metadata(NumberTable("record_numbers", np.int64))
    )
    columns: Mapping[str, Column] = dataclass_field(metadata=as_metadata(ColumnTables("column")))
    spans: Mapping[str, Any] = dataclass_field(metadata=as_metadata(SpanTables("span")))
    infos: Mapping[str, Any] = dataclass_field(metadata=as_metadata(InfoTables("info")))
    seek_points: Mapping[str, SeekPoints] = dataclass_field(
        default_factory=dict, metadata=as_metadata(SeekPointTables())
    )
    chunks: Mapping[str, Mapping[int, ChunkTable]] = dataclass_field(
        default_factory=dict, metadata=as_metadata(ChunkTables())
    )
    files: Files | None = dataclass_field(default=None, metadata=as_metadata(FileTable()))
    original_digest: RecordDigest | None = None
    lost: npt.NDArray[np.uint8] | None = dataclass_field(
        default=None, metadata=as_metadata(LostTable())
    )
    notes: tuple[str, ...] = ()
    receipt: str = ""
    fetched: Fetched | None = None

    def __post_init__(self) -> None:
        """Take read-only views: readers, threads and parts share these arrays."""
        settle(self, **self._each_table(lambda table, values: table.read_only(values)))

    def __len__(self) -> int:
        return len(self.record_numbers)

    def _each_table(self, change: Callable[[PerSample[Any], Any], Any]) -> dict[str, Any]:
        return {name: change(table, getattr(self, name)) for name, table in _TABLES.items()}

    def take(self, rows: Rows) -> "Index":
        """Return the given samples, in that order."""
        return replace(self, **self._each_table(lambda table, values: table.take(values, rows)))

    def select(self, names: Mapping[str, str]) -> "Index":
        """Return only some fields, under new names: new name -> name here, or in the file."""
        found = {new: self.schema.find(old).name for new, old in names.items()}
        tables = self._each_table(lambda table, values: table.select(values, found))
        fields = renamed_fields(self.schema, found)
        return replace(self, schema=replace(self.schema, fields=fields), **tables)

    def relabeled(self, class_names: tuple[str, ...]) -> "Index":
        """Renumber the labels by `class_names`.

        Raises SourceError for a class not among them.
        """
        if "label" not in self.columns:
            message = "there are no labels to renumber; leave classes out"
            raise OptionError(with_location(message, self.location(0)))
        labels = ClassMap.between(self.schema.class_names, class_names).relabeled(
            self.columns["label"]
        )
        return replace(
            self,
            columns={**self.columns, "label": labels},
            schema=replace(self.schema, class_names=class_names),
        )

    def location(self, row: int, *, offset: int | None = None) -> Location:
        """Return the place of a sample, for messages."""
        keys = self.columns.get("key")
        return Location(
            self.shards[int(self.shard_numbers[row])].path,
            record=int(self.record_numbers[row]),
            offset=offset,
            key=keys[int(row)] if isinstance(keys, Text) else None,
        )

    def failures(self) -> dict[int, FastpackError]:
        """Return the errors of lost samples, by row."""
        if self.lost is None:
            return {}
        return {row: self._failure(row) for row in np.flatnonzero(self.lost).tolist()}

    def _failure(self, row: int) -> FastpackError:
        assert self.lost is not None
        status = Status(int(self.lost[row]))
        return status_error(status, _LOST[status], self.location(row))

    @property
    def record_digest(self) -> RecordDigest | None:
        """Digest of the file's records; None if there are no blobs, or several files."""
        spans = self.record_spans
        return RecordDigest.of(spans) if spans is not None and len(self.shards) == 1 else None

    @property
    def record_spans(self) -> npt.NDArray[Any] | None:
        """A span of each record, (n,); None if some record has no blob."""
        blobs = sorted(self.schema.blobs, key=lambda field: field.is_list)
        spans = self.spans[blobs[0].name] if blobs else None
        if not isinstance(spans, Ragged):
            return spans
        return spans.values[spans.offsets[:-1]] if spans.lengths.all() else None

    def remembering(self, earlier: "Index | None") -> "Index":
        """Keep the digest that an earlier index of the same file has of its first records."""
        if earlier is None:
            return self
        return replace(self, original_digest=earlier.original_digest or earlier.record_digest)

    def check_spans(self) -> None:
        """Raise TruncatedFileError for a span outside of its shard, ValueError for another shard.

        Compares offsets and lengths with the sizes of the shards.
        """
        sizes = np.array([shard.size for shard in self.shards], np.uint64)
        for name, spans in self.spans.items():
            of_blobs = flat_values(spans)
            if (number := first_outside(of_blobs, sizes)) < 0:
                continue
            if of_blobs["shard"][number] >= len(sizes):
                raise ValueError(f"a span of {name} names a shard that the index does not have")
            row, offset = int(owners(spans)[number]), int(of_blobs["offset"][number])
            message = f"{name} lies past the end of the file; restore the file from its source"
            raise TruncatedFileError(with_location(message, self.location(row, offset=offset)))

    def check_chunks(self, *, of_batch: bool = False) -> None:
        """Raise FormatError, TruncatedFileError or ValueError for a chunk table that does not fit.

        Compares it with its file, its field and the samples.

        - of_batch: only look for chunks past the end of the file.
        """
        for name, tables in self.chunks.items():
            for number, table in tables.items():
                if not 0 <= number < len(self.shards):
                    raise ValueError(f"{name} has chunks of a shard that the index does not have")
                location = Location(self.shards[number].path)
                table.check(self.shards[number].size, location, of_batch=of_batch)
                if not self._fits_chunks(name, number, table):
                    raise ValueError(f"the chunks of {name} have another shape")

    def _fits_chunks(self, name: str, number: int, table: ChunkTable) -> bool:
        field = self.schema[name]
        item_bytes = np.dtype(field.dtype).itemsize
        if table.shape[1:] != field.shape or len(table.fill) != item_bytes:
            return False
        if table.layers is not None:  # made for these records
            return True
        records = self.record_numbers[self.shard_numbers == number]
        return bool(not len(records) or 0 <= records.min() <= records.max() < table.shape[0])

    def to_tables(self) -> dict[str, dict[str, npt.NDArray[Any]]]:
        """Return the tables of a saved index: table -> column -> array."""
        found: dict[str, dict[str, npt.NDArray[Any]]] = {}
        for name, table in _TABLES.items():
            for key, columns in table.to_tables(getattr(self, name), self.schema).items():
                found.setdefault(key, {}).update(columns)
        return found

    @classmethod
    def from_rows(cls, rows: StoredRows, shards: tuple[Shard, ...], **facts: Any) -> "Index":
        """Make the index of some rows of saved indexes.

        - facts: the fields of Index that are not tables.
        """
        tables = {name: table.from_rows(rows) for name, table in _TABLES.items()}
        # Without __post_init__: no other object has these arrays, and batches may write to theirs.
        index = cls.__new__(cls)
        index.__dict__.update(_NO_FACTS, shards=shards, schema=rows.schema, **facts, **tables)
        return index

    @classmethod
    def from_arrays(cls, stored: StoredArrays, shards: tuple[Shard, ...], **facts: Any) -> "Index":
        """Make the index of the arrays that earlier versions saved."""
        tables = {name: table.from_arrays(stored) for name, table in _TABLES.items()}
        index = cls(shards=shards, schema=stored.schema, **facts, **tables)
        index.check_fit(stored)
        return index

    def check_fit(self, stored: Stored) -> None:
        """Raise ValueError if types or lengths are not those of tables for the samples."""
        if not all(table.fits(getattr(self, name), stored) for name, table in _TABLES.items()):
            raise ValueError("it has tables of another type or length")


# Field of Index -> how it is taken, joined, saved and checked. The order is that of saved arrays.
_NO_FACTS: Mapping[str, Any] = {"original_digest": None, "notes": (), "receipt": ""}
_TABLES: Mapping[str, PerSample[Any]] = {
    field.name: field.metadata["per_sample"]
    for field in fields(Index)
    if "per_sample" in field.metadata
}


def renamed_fields(schema: Schema, names: Mapping[str, str]) -> tuple[Field, ...]:
    """Return some fields under new names: new name -> name in the schema."""
    return tuple(
        replace(schema[old], name=new, stored_as=schema[old].source_name)
        for new, old in names.items()
    )


def concatenate(indexes: Sequence[Index], schema: Schema | None = None) -> Index:
    """Return one index over the samples of all.

    Raises SchemaError if their fields differ.

    - schema: the common schema; None to find it.
    """
    if len(indexes) == 1 and schema in (None, indexes[0].schema):
        return indexes[0]
    joined = Joined(
        schema or common_schema([(index.shards[0].path, index.schema) for index in indexes]),
        tuple(accumulate((len(index.shards) for index in indexes[:-1]), initial=0)),
        tuple(map(len, indexes)),
    )
    tables = {
        name: table.concatenate([getattr(index, name) for index in indexes], joined)
        for name, table in _TABLES.items()
    }
    notes = [note for index in indexes for note in index.notes]
    return Index(
        shards=tuple(shard for index in indexes for shard in index.shards),
        schema=joined.schema,
        notes=tuple(dict.fromkeys([*notes, *_notes_on_classes(indexes, joined.schema)])),
        **tables,
    )


def _notes_on_classes(indexes: Sequence[Index], schema: Schema) -> Iterator[str]:
    """Yield a note on each file that takes the class names of another."""
    named = next((index for index in indexes if index.schema.class_names), None)
    for index in indexes:
        if named is None or index.schema.class_names or "label" not in index.columns:
            continue
        labels = flat_values(index.columns["label"])
        if not isinstance(labels, np.ndarray):
            continue
        if ((labels >= 0) & (labels < len(schema.class_names))).any():
            yield taken_classes(index.shards[0].path, named.shards[0].path)
