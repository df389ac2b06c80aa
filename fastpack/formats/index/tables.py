"""The kinds of tables that an index has, each as a PerSample."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import IMAGE_INFO, SPAN, Rows
from fastpack.core.ragged import Ragged, concatenate_values, flat_values, owners, read_only, take
from fastpack.core.schema import Field, Schema
from fastpack.formats.index.arrays import (
    Column,
    are_pixels,
    chunk_tables,
    escaped,
    is_column,
    is_record_table,
)
from fastpack.formats.index.chunks import ChunkTable
from fastpack.formats.index.folder_files import Files
from fastpack.formats.index.npz_index import StoredArrays
from fastpack.formats.index.per_sample import Joined, PerSample, Stored
from fastpack.formats.index.stored_chunks import chunk_table_name, chunked_shards, read_chunks
from fastpack.formats.index.stored_rows import (
    SAMPLES,
    StoredRows,
    Tables,
    lists_table,
    to_tables,
)
from fastpack.images.seek_points import SeekPoints

Numbers = npt.NDArray[Any]


class NumberTable(PerSample[Numbers]):
    """A number for each sample, (n,).

    Args:
        name: of the array in the file.
        dtype: of the numbers.
    """

    def __init__(self, name: str, dtype: npt.DTypeLike) -> None:
        self._name, self._dtype = name, np.dtype(dtype)

    def read_only(self, table: Numbers) -> Numbers:
        return np.asarray(read_only(table))

    def take(self, table: Numbers, rows: Rows) -> Numbers:
        return np.asarray(table[rows])

    def concatenate(self, tables: Sequence[Numbers], joined: Joined) -> Numbers:
        return np.concatenate(tables)

    def to_tables(self, table: Numbers, schema: Schema) -> Tables:
        return {SAMPLES: {self._name: table}}

    def from_rows(self, rows: StoredRows) -> Numbers:
        numbers: Numbers = getattr(rows, self._name)
        return numbers

    def from_arrays(self, stored: StoredArrays) -> Numbers:
        return stored.arrays[self._name]

    def fits(self, table: Numbers, stored: Stored) -> bool:
        return table.shape == (stored.num_samples,) and table.dtype == self._dtype


class ShardNumbers(NumberTable):
    """The shard of each sample, (n,) uint32."""

    def concatenate(self, tables: Sequence[Numbers], joined: Joined) -> Numbers:
        pairs = zip(tables, joined.first_shards, strict=True)
        return np.concatenate([table + np.uint32(first) for table, first in pairs])

    def fits(self, table: Numbers, stored: Stored) -> bool:
        is_sound = super().fits(table, stored)
        return is_sound and (len(table) == 0 or int(table.max()) < stored.num_shards)


class ValueTables(PerSample[Mapping[str, Any]]):
    """Field name -> an array, a Text or a Ragged of n rows.

    Args:
        kind: the first part of the names of its arrays; for blobs, the name of their column.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def fields_of(self, schema: Schema) -> Iterable[Field]:
        """Return the fields that have such a table."""
        raise NotImplementedError

    def read_only(self, table: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: read_only(values) for name, values in table.items()}

    def take(self, table: Mapping[str, Any], rows: Rows) -> Mapping[str, Any]:
        return {name: take(values, rows) for name, values in table.items()}

    def select(self, table: Mapping[str, Any], fields: Mapping[str, str]) -> Mapping[str, Any]:
        return _select(table, fields)

    def concatenate(self, tables: Sequence[Mapping[str, Any]], joined: Joined) -> Mapping[str, Any]:
        return {
            field.name: _concatenate([table[field.name] for table in tables], field)
            for field in self.fields_of(joined.schema)
            if field.name in tables[0]
        }

    def to_tables(self, table: Mapping[str, Any], schema: Schema) -> Tables:
        found: dict[str, Mapping[str, npt.NDArray[Any]]] = {}
        for field in self.fields_of(schema):
            found |= self._table_of(field, table[field.name])
        return found

    def _table_of(self, field: Field, values: Any) -> Tables:
        name = f"blob/{escaped(field.name)}"
        if not isinstance(values, Ragged):
            return {name: {self._kind: values}}
        return {**lists_table(name, values), f"{name}/values": {self._kind: values.values}}

    def from_rows(self, rows: StoredRows) -> Mapping[str, Any]:
        return {field.name: rows.blobs(field)[self._kind] for field in self.fields_of(rows.schema)}

    def from_arrays(self, stored: StoredArrays) -> Mapping[str, Any]:
        return {
            field.name: stored.values(self._kind, field) for field in self.fields_of(stored.schema)
        }


class ColumnTables(ValueTables):
    """The columns: field name -> (n,) array, Text or Ragged."""

    def fields_of(self, schema: Schema) -> Iterable[Field]:
        return schema.columns

    def _table_of(self, field: Field, values: Any) -> Tables:
        return to_tables(f"column/{escaped(field.name)}", values)

    def from_rows(self, rows: StoredRows) -> Mapping[str, Any]:
        return rows.columns

    def from_arrays(self, stored: StoredArrays) -> Mapping[str, Any]:
        return stored.columns

    def fits(self, table: Mapping[str, Any], stored: Stored) -> bool:
        return all(
            is_column(table[field.name], field, stored.num_samples)
            for field in self.fields_of(stored.schema)
        )


class SpanTables(ValueTables):
    """The spans: blob name -> (n,) SPAN; for a list of blobs, a Ragged of SPAN."""

    def fields_of(self, schema: Schema) -> Iterable[Field]:
        return schema.blobs

    def concatenate(self, tables: Sequence[Mapping[str, Any]], joined: Joined) -> Mapping[str, Any]:
        found = super().concatenate(tables, joined)
        for name, spans in found.items():
            counts = [len(flat_values(table[name])) for table in tables]
            shift = np.repeat(joined.first_shards, counts).astype(np.uint32)
            flat_values(spans)["shard"] += shift
        return found

    def from_rows(self, rows: StoredRows) -> Mapping[str, Any]:
        found = super().from_rows(rows)
        if len(rows.files) > 1:
            for spans in found.values():
                shards = flat_values(spans)["shard"]
                shards[:] = rows.shards_of(shards, owners(spans))
        return found

    def fits(self, table: Mapping[str, Any], stored: Stored) -> bool:
        return all(
            is_record_table(field, table[field.name], SPAN, stored.num_samples)
            and (field.kind != "pixels" or are_pixels(field, table[field.name]))
            for field in self.fields_of(stored.schema)
        )


class InfoTables(ValueTables):
    """The headers: image or mask name -> IMAGE_INFO, one for each span."""

    def fields_of(self, schema: Schema) -> Iterable[Field]:
        return [field for field in schema.blobs if field.is_image_file]

    def fits(self, table: Mapping[str, Any], stored: Stored) -> bool:
        return all(
            is_record_table(field, table[field.name], IMAGE_INFO, stored.num_samples)
            and self._has_an_info_for_each_span(field, table[field.name], stored)
            for field in self.fields_of(stored.schema)
        )

    def _has_an_info_for_each_span(self, field: Field, infos: Any, stored: Stored) -> bool:
        if not isinstance(infos, Ragged) or isinstance(stored, StoredRows):
            return True
        return np.array_equal(infos.offsets, stored.arrays[f"span/{stored.name(field)}/offsets"])


class SeekPointTables(PerSample[Mapping[str, SeekPoints]]):
    """The seek points: image name -> SeekPoints (n,). Lists of images have none."""

    def take(self, table: Mapping[str, SeekPoints], rows: Rows) -> Mapping[str, SeekPoints]:
        return {name: seek_points.take(rows) for name, seek_points in table.items()}

    def select(
        self, table: Mapping[str, SeekPoints], fields: Mapping[str, str]
    ) -> Mapping[str, SeekPoints]:
        return _select(table, fields)

    def concatenate(
        self, tables: Sequence[Mapping[str, SeekPoints]], joined: Joined
    ) -> Mapping[str, SeekPoints]:
        """Join them. Indexes without seek points get empty ones."""
        names = dict.fromkeys(name for table in tables for name in table)
        pairs = list(zip(tables, joined.counts, strict=True))
        return {
            name: SeekPoints.concatenate(
                [table.get(name) or SeekPoints.none(count) for table, count in pairs]
            )
            for name in names
            if not joined.schema[name].is_list
        }

    def to_tables(self, table: Mapping[str, SeekPoints], schema: Schema) -> Tables:
        found: dict[str, Mapping[str, npt.NDArray[Any]]] = {}
        for name, seek_points in table.items():
            compact = Ragged(*seek_points.compacted())
            found |= to_tables(f"seek_points/{escaped(name)}", compact)
        return found

    def from_rows(self, rows: StoredRows) -> Mapping[str, SeekPoints]:
        names = {
            field.name: f"seek_points/{escaped(field.name)}"
            for field in rows.schema.blobs
            if field.is_image_file and not field.is_list
        }
        found = {}
        for name, table in names.items():
            if table in rows.names:
                lengths, words = rows.lists(table)
                values = words.table(f"{table}/values")["value"]
                found[name] = SeekPoints.of_lengths(values, lengths)
        return found

    def fits(self, table: Mapping[str, SeekPoints], stored: Stored) -> bool:
        return all(
            seek_points.words.dtype == np.uint64 and len(seek_points) == stored.num_samples
            for seek_points in table.values()
        )

    def from_arrays(self, stored: StoredArrays) -> Mapping[str, SeekPoints]:
        found = {
            field.name: SeekPoints.from_arrays(
                f"seek_points/{stored.name(field)}", stored.arrays, stored.num_samples
            )
            for field in stored.schema.blobs
            if field.is_image_file and not field.is_list
        }
        return {name: seek_points for name, seek_points in found.items() if seek_points is not None}


Chunks = Mapping[str, Mapping[int, ChunkTable]]


class ChunkTables(PerSample[Chunks]):
    """The chunks: pixels name -> shard number -> ChunkTable.

    Record numbers count in a table.
    """

    def take(self, table: Chunks, rows: Rows) -> Chunks:
        return table

    def select(self, table: Chunks, fields: Mapping[str, str]) -> Chunks:
        return _select(table, fields)

    def concatenate(self, tables: Sequence[Chunks], joined: Joined) -> Chunks:
        pairs = list(zip(tables, joined.first_shards, strict=True))
        return {
            field.name: {
                number + first: chunks
                for table, first in pairs
                for number, chunks in table.get(field.name, {}).items()
            }
            for field in joined.schema.blobs
        }

    def to_tables(self, table: Chunks, schema: Schema) -> Tables:
        found: dict[str, Mapping[str, npt.NDArray[Any]]] = {}
        for name, of_shards in table.items():
            for number, chunks in of_shards.items():
                found |= chunks.to_tables(chunk_table_name(number, name))
        return found

    def from_rows(self, rows: StoredRows) -> Chunks:
        pixels = [field.name for field in rows.schema.blobs if field.kind == "pixels"]
        return {name: dict(_chunks_of(rows, name)) for name in pixels}

    def from_arrays(self, stored: StoredArrays) -> Chunks:
        return {
            field.name: chunk_tables(stored.name(field), stored.num_shards, stored.arrays)
            for field in stored.schema.blobs
            if field.kind == "pixels"
        }


class FileTable(PerSample[Files | None]):
    """The files of a folder, one for each sample; None if no shard is a folder."""

    def take(self, table: Files | None, rows: Rows) -> Files | None:
        return None if table is None else table.take(rows)

    def concatenate(self, tables: Sequence[Files | None], joined: Joined) -> Files | None:
        return Files.concatenate(tables, joined.counts)

    def to_tables(self, table: Files | None, schema: Schema) -> Tables:
        """The names are the keys, which are saved as a column."""
        return {} if table is None else {SAMPLES: {"file_times": table.times}}

    def from_rows(self, rows: StoredRows) -> Files | None:
        if "file_times" not in rows.names[SAMPLES]:
            return None
        return Files(rows.keys, rows.table(SAMPLES)["file_times"])

    def from_arrays(self, stored: StoredArrays) -> Files | None:
        if not stored.has_files:
            return None
        names: Column = stored.columns["key"]
        return Files(names, stored.arrays["file_times"])  # type: ignore[arg-type]  # see `fits`

    def fits(self, table: Files | None, stored: Stored) -> bool:
        return table is None or table.has_entries(stored.num_samples)


class LostTable(PerSample[npt.NDArray[np.uint8] | None]):
    """The status of each sample that is lost, else 0, (n,) uint8."""

    def read_only(self, table: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8] | None:
        return None if table is None else np.asarray(read_only(table))

    def take(self, table: npt.NDArray[np.uint8] | None, rows: Rows) -> Any:
        return None if table is None else table[rows]

    def concatenate(
        self, tables: Sequence[npt.NDArray[np.uint8] | None], joined: Joined
    ) -> npt.NDArray[np.uint8] | None:
        if all(table is None for table in tables):
            return None
        pairs = zip(tables, joined.counts, strict=True)
        return np.concatenate(
            [np.zeros(count, np.uint8) if table is None else table for table, count in pairs]
        )

    def to_tables(self, table: npt.NDArray[np.uint8] | None, schema: Schema) -> Tables:
        return {} if table is None else {SAMPLES: {"lost": table}}

    def from_rows(self, rows: StoredRows) -> npt.NDArray[np.uint8] | None:
        return rows.table(SAMPLES)["lost"] if "lost" in rows.names[SAMPLES] else None

    def fits(self, table: npt.NDArray[np.uint8] | None, stored: Stored) -> bool:
        return table is None or table.dtype == np.uint8

    def from_arrays(self, stored: StoredArrays) -> None:
        return None


def _chunks_of(rows: StoredRows, name: str) -> Iterator[tuple[int, ChunkTable]]:
    """Yield the chunks that these rows need: number of the shard -> ChunkTable."""
    records, shards = rows.table(SAMPLES)["record_numbers"], rows.table(SAMPLES)["shard_numbers"]
    for number, file in enumerate(rows.files):
        for shard in chunked_shards(file.layout, name):
            wanted = records[(rows.numbers == number) & (shards == shard)]
            if len(wanted):
                yield int(rows.first_shards[number]) + shard, read_chunks(file, shard, name, wanted)


def _select(table: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    return {new: table[old] for new, old in fields.items() if old in table}


def _concatenate(tables: list[Column], field: Field) -> Any:
    """Join tables of a field.

    Scalars of one shard become lists of one if another has lists.
    """
    if field.is_list:
        tables = [_as_lists(table) for table in tables]
    return concatenate_values(tables)


def _as_lists(table: Column) -> Column:
    return table if type(table) is Ragged else Ragged(table, np.arange(len(table) + 1))
