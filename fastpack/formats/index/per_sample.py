"""PerSample: what an index does with each of its tables.

Index declares each table as a field with its PerSample, and does everything else in one loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fastpack.core.dtypes import Rows
from fastpack.core.schema import Schema
from fastpack.formats.index.npz_index import StoredArrays
from fastpack.formats.index.stored_rows import StoredRows, Tables

Table = TypeVar("Table")
Stored = StoredArrays | StoredRows


@dataclass(frozen=True)
class Joined:
    """Facts of several indexes that are joined into one.

    Args:
        schema: the fields of all samples.
        first_shards: number of each index's first shard among all shards.
        counts: samples of each index.
    """

    schema: Schema
    first_shards: tuple[int, ...]
    counts: tuple[int, ...]


class PerSample(Protocol[Table]):
    """A kind of table of an index, with an entry for each of the n samples."""

    def read_only(self, table: Table) -> Table:
        """Return a view that cannot be written to: readers and threads share the memory."""
        return table

    def take(self, table: Table, rows: Rows) -> Table:
        """Return the given samples, in that order."""

    def select(self, table: Table, fields: Mapping[str, str]) -> Table:
        """Keep the fields that `fields` maps from new name to present name."""
        return table

    def concatenate(self, tables: Sequence[Table], joined: Joined) -> Table:
        """Return the samples of all tables, one index after another."""

    def to_tables(self, table: Table, schema: Schema) -> Tables:
        """Return what a saved index has of it: tables of columns, by name."""

    def from_rows(self, rows: StoredRows) -> Table:
        """Read these rows of saved indexes. May raise any of DATA_ERRORS; call `fits` next."""

    def from_arrays(self, stored: StoredArrays) -> Table:
        """Make the table from the arrays of an earlier version. May raise any of NPZ_ERRORS."""

    def fits(self, table: Table, stored: Stored) -> bool:
        """Return True if types and lengths are those of a table for these samples."""
        return True


def as_metadata(table: PerSample[Any]) -> dict[str, PerSample[Any]]:
    """Return the metadata that declares a field of Index as such a table."""
    return {"per_sample": table}
