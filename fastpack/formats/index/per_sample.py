"""PerSample: what an index does with each of its tables.

Index declares each table as a field with its PerSample, and does everything else in one loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.schema import Field, Schema
from fastpack.formats.index.arrays import Column, escaped, from_arrays

Arrays = Mapping[str, npt.NDArray[Any]]
Table = TypeVar("Table")


@dataclass(frozen=True)
class Stored:
    """A saved index, before its tables are made.

    Args:
        arrays: the arrays of the file, by name.
        schema: the fields of the samples.
        num_shards: number of files that the index names.
        has_files: whether the samples are files of a folder.
        is_escaped: whether field names in the names of arrays are escaped.
    """

    arrays: Arrays
    schema: Schema
    num_shards: int
    has_files: bool = False
    is_escaped: bool = True

    @property
    def num_samples(self) -> int:
        return len(self.arrays["record_numbers"])

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Columns by field; made once, since files of a folder share one of them."""
        return {field.name: self.values("column", field) for field in self.schema.columns}

    def values(self, kind: str, field: Field) -> Column:
        """Return the table of this kind for a field: an array, a Text or a Ragged."""
        return from_arrays(f"{kind}/{self.name(field)}", self.arrays, field)

    def name(self, field: Field) -> str:
        """Return the field's name as a part of the names of arrays."""
        return escaped(field.name) if self.is_escaped else field.name


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

    def to_arrays(self, table: Table) -> Arrays:
        """Return the arrays to save, by name."""

    def from_arrays(self, stored: Stored) -> Table:
        """Make the table from saved arrays. May raise any of NPZ_ERRORS; call `fits` next."""

    def fits(self, table: Table, stored: Stored) -> bool:
        """Return True if types and lengths are those of a table for these samples."""
        return True


def as_metadata(table: PerSample[Any]) -> dict[str, PerSample[Any]]:
    """Return the metadata that declares a field of Index as such a table."""
    return {"per_sample": table}
