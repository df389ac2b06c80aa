"""StoredRows: some rows of saved indexes, read when a table asks for them.

A saved index is a table file (docs/formats.md). Its tables are:

- samples: shard_numbers, record_numbers; also file_times and lost.
- blob/NAME: span and, for images, info. A list of blobs has them in blob/NAME/values.
- column/NAME: value. Texts and lists have start and length, and column/NAME/values.
- seek_points/NAME: start and length of the words in seek_points/NAME/values.
- chunk/N/NAME: the chunks of an array in file N; also chunk/N/NAME/filters and /fill.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastpack._native.tables import expand_lists
from fastpack.core.cached import cached_property
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Field, Schema
from fastpack.files.table_file import TableFile, take_from
from fastpack.formats.index.arrays import Column, escaped
from fastpack.formats.index.damaged import damaged_index

Tables = Mapping[str, Mapping[str, npt.NDArray[Any]]]
SAMPLES = "samples"
_KEY = Field("key", "text")


class StoredRows:
    """Rows of saved indexes with the same tables: row rows[i] of files[numbers[i]].

    Args:
        files: the table files.
        numbers: file of each row, (k,).
        rows: numbers of the rows, (k,).
        schema: the fields to read, and class names.
        first_shards: number of each file's first shard among those of all, and at the end the
            number of all, (number of files + 1,).
        is_plain: each file has one shard, and its rows are the records 0, 1, 2 ... of it.
    """

    def __init__(
        self,
        files: Sequence[TableFile],
        numbers: npt.NDArray[np.int64],
        rows: Rows,
        schema: Schema,
        first_shards: npt.NDArray[np.int64],
        *,
        is_plain: bool = False,
    ) -> None:
        self.files, self.numbers, self.rows = files, numbers, rows
        self.schema, self.first_shards, self._is_plain = schema, first_shards, is_plain
        self._read: dict[str, dict[str, npt.NDArray[Any]]] = {}

    @property
    def num_samples(self) -> int:
        return len(self.rows)

    @property
    def num_shards(self) -> int:
        return int(self.first_shards[-1])

    @property
    def names(self) -> Mapping[str, Mapping[str, np.dtype[Any]]]:
        """The tables of the files, and the columns of each."""
        return self.files[0].layout.tables

    @property
    def record_numbers(self) -> Rows:
        """Number of each row's record in its shard, (k,)."""
        return self.rows if self._is_plain else self.table(SAMPLES)["record_numbers"]

    @property
    def shard_numbers(self) -> npt.NDArray[np.uint32]:
        """Number of each row's shard among those of all files, (k,)."""
        if self._is_plain:
            return self.numbers.astype(np.uint32)
        return self.shards_of(self.table(SAMPLES)["shard_numbers"], slice(None))

    def table(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Return the columns of a table for these rows. It is read once."""
        if name not in self._read:
            if len(self.files) == 1:
                self._read[name] = self.files[0].take(name, self.rows)
            else:
                self._read[name] = take_from(self.files, self.numbers, name, self.rows)
        return self._read[name]

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Columns by field; read once, since files of a folder share one of them."""
        return {
            field.name: self._values(f"column/{escaped(field.name)}", field)
            for field in self.schema.columns
        }

    @property
    def keys(self) -> Text:
        """The keys, also if `schema` lacks them. Files of a folder have their names there."""
        return cast(Text, self.columns.get("key") or self._values("column/key", _KEY))

    def _values(self, name: str, field: Field) -> Column:
        if not field.is_list and field.kind != "text":
            return self.table(name)["value"]
        lengths, inner = self.lists(name)
        name = f"{name}/values"
        if not field.is_list or field.kind != "text":
            kind = Ragged if field.is_list else Text
            return kind.of_lengths(inner.table(name)["value"], lengths)
        text_lengths, letters = inner.lists(name)
        text = Text.of_lengths(letters.table(f"{name}/values")["value"], text_lengths)
        return Ragged.of_lengths(text, lengths)

    def lists(self, name: str) -> tuple[Rows, "StoredRows"]:
        """Return the lengths of the lists of a table (k,), and the rows of their values."""
        table = self.table(name)
        starts, lengths = table["start"], table["length"]
        limits = np.array([file.num_rows(f"{name}/values") for file in self.files], np.int64)
        count = expand_lists(starts, lengths, self.numbers, limits)
        if count < 0 or (count > limits.min() and self._is_overlong(lengths, limits)):
            path = self.files[int(self.numbers[max(0, -1 - count)])].path
            raise damaged_index(f"a list lies outside of {name}", path)
        rows, numbers = np.empty((2, count), np.int64)
        expand_lists(starts, lengths, self.numbers, limits, rows, numbers)
        return lengths, StoredRows(self.files, numbers, rows, self.schema, self.first_shards)

    def _is_overlong(self, lengths: Rows, counts: Rows) -> bool:
        """Return True if the lists of distinct rows have more values than their file."""
        order = np.lexsort((self.rows, self.numbers))
        rows, numbers = self.rows[order], self.numbers[order]
        is_first = np.ones(len(rows), np.bool_)
        is_first[1:] = (rows[1:] != rows[:-1]) | (numbers[1:] != numbers[:-1])
        weights = lengths[order][is_first].astype(np.float64)
        return bool((np.bincount(numbers[is_first], weights, len(counts)) > counts).any())

    def blobs(self, field: Field) -> dict[str, Any]:
        """Return spans, and infos for images: arrays, or Raggeds for a list of blobs."""
        name = f"blob/{escaped(field.name)}"
        if not field.is_list:
            return cast(dict[str, Any], self.table(name))
        lengths, inner = self.lists(name)
        values = inner.table(f"{name}/values")
        return {column: Ragged.of_lengths(array, lengths) for column, array in values.items()}

    def shards_of(
        self, own: npt.NDArray[np.uint32], rows: "Rows | slice"
    ) -> npt.NDArray[np.uint32]:
        """Return shard numbers among those of all files, given those of some rows in their files.

        Raises ValueError for a shard that a row's file does not have.
        """
        numbers = self.numbers[rows]
        if (own >= np.diff(self.first_shards)[numbers]).any():
            raise ValueError("it names the number of a shard that it does not have")
        return np.asarray(own + self.first_shards[numbers].astype(np.uint32))


def to_tables(name: str, values: Column) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Return the tables of a column, by names that begin with `name`."""
    if not isinstance(values, Ragged):
        return {name: {"value": values}}
    return {**lists_table(name, values), **to_tables(f"{name}/values", values.values)}


def lists_table(name: str, values: Ragged) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Return the table of the places of lists among their values."""
    return {name: {"start": values.offsets[:-1], "length": values.lengths}}
