"""Table: the samples of a dataset, from which a Reader reads."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from fastpack.core.cached import cached_property
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import digest
from fastpack.core.schema import Schema
from fastpack.files.shard import Shard
from fastpack.formats.index.index import Index
from fastpack.formats.index.summary import Summary
from fastpack.stores.store_path import StorePath


class Table(Protocol):
    """The samples of a dataset: what a Reader reads from."""

    @property
    def schema(self) -> Schema: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def shards(self) -> Sequence[Shard]:
        """The files with the samples, in order."""
        ...

    @property
    def containers(self) -> set[str]:
        """Names of the containers of the files."""
        ...

    @property
    def is_remote(self) -> bool:
        """True if files lie in object stores."""
        return isinstance(getattr(next(iter(self.shards), None), "path", None), StorePath)

    @property
    def num_bytes(self) -> int:
        """Bytes of all files."""
        ...

    @property
    def summary(self) -> Summary: ...
    @property
    def digest(self) -> tuple[str, str]:
        """Checksums of the files, and of which samples of them are here."""
        ...

    @property
    def saved_path(self) -> Path | None:
        """The saved manifest or index that the table is read from, if there is one for all."""
        return None

    def __len__(self) -> int: ...

    def shard_counts(self) -> list[tuple[Shard, int]] | None:
        """Return each file with its number of samples; None if that needs all samples."""
        return None

    def blob_bytes(self, names: Sequence[str]) -> int | None:
        """Return the bytes of all blobs with these names; None if that needs all samples."""
        return sum(self.summary.blobs[name].num_bytes for name in names)

    def mean_bytes(self, names: Sequence[str]) -> float:
        """Return the mean bytes of a sample's blobs with these names. It reads no index."""
        return (self.blob_bytes(names) or 0) / max(1, len(self))

    def take(self, rows: Rows, names: Sequence[str] | None = None) -> Index:
        """Return the given samples, in that order.

        - names: fields to read; None for all.
        """
        ...

    def advise(self, rows: Rows) -> None:
        """Ask the OS to load what `take` reads."""
        ...


class IndexTable(Table):
    """The samples of an index in memory."""

    def __init__(self, index: Index) -> None:
        self._index = index

    @property
    def schema(self) -> Schema:
        return self._index.schema

    @property
    def notes(self) -> tuple[str, ...]:
        return self._index.notes

    @property
    def shards(self) -> Sequence[Shard]:
        return self._index.shards

    @property
    def containers(self) -> set[str]:
        return {shard.container for shard in self._index.shards}

    @property
    def num_bytes(self) -> int:
        return sum(shard.size for shard in self._index.shards)

    @cached_property
    def summary(self) -> Summary:
        return Summary.of(self._index)

    @cached_property
    def digest(self) -> tuple[str, str]:
        files = np.array([(shard.size, shard.content) for shard in self.shards])
        chosen = np.stack([self._index.shard_numbers, self._index.record_numbers])
        return digest(files), digest(chosen)

    def __len__(self) -> int:
        return len(self._index)

    def take(self, rows: Rows, names: Sequence[str] | None = None) -> Index:
        index = self._index if names is None else self._index.select({name: name for name in names})
        return index.take(rows)

    def advise(self, rows: Rows) -> None:
        """Do nothing: it is in memory."""


class FieldsOf(Table):
    """The samples of a table with only some of their fields."""

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        self._table, self._names = table, tuple(names)

    def _kept(self, names: Sequence[str] | None) -> Sequence[str]:
        return self._names if names is None else [name for name in names if name in self._names]

    @property
    def schema(self) -> Schema:
        schema = self._table.schema
        return replace(schema, fields=tuple(schema[name] for name in self._names))

    @property
    def notes(self) -> tuple[str, ...]:
        return self._table.notes

    @property
    def shards(self) -> Sequence[Shard]:
        return self._table.shards

    @property
    def containers(self) -> set[str]:
        return self._table.containers

    @property
    def is_remote(self) -> bool:
        return self._table.is_remote

    @property
    def num_bytes(self) -> int:
        return self._table.num_bytes

    @cached_property
    def summary(self) -> Summary:
        return self._table.summary.renamed({name: name for name in self._names})

    @property
    def digest(self) -> tuple[str, str]:
        return self._table.digest

    def __len__(self) -> int:
        return len(self._table)

    def shard_counts(self) -> list[tuple[Shard, int]] | None:
        return self._table.shard_counts()

    def blob_bytes(self, names: Sequence[str]) -> int | None:
        return self._table.blob_bytes(self._kept(names))

    def mean_bytes(self, names: Sequence[str]) -> float:
        return self._table.mean_bytes(self._kept(names))

    def take(self, rows: Rows, names: Sequence[str] | None = None) -> Index:
        return self._table.take(rows, self._kept(names))

    def advise(self, rows: Rows) -> None:
        self._table.advise(rows)
