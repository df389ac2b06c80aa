"""Concatenation: the samples of several datasets, one after another."""

from collections.abc import Sequence
from functools import reduce
from itertools import chain
from operator import or_

import numpy as np

from fastpack.core.cached import cached_property
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import offsets_of
from fastpack.core.schema import Schema
from fastpack.files.shard import Shard
from fastpack.formats.index.index import Index, concatenate
from fastpack.formats.index.joined_schema import common_schema
from fastpack.formats.index.summary import Summary
from fastpack.formats.table import Table
from fastpack.reading.samples import Samples


class Concatenation(Table):
    """The samples of several datasets, which have the same fields.

    Args:
        parts: the samples of each dataset.
    """

    def __init__(self, parts: Sequence[Samples]) -> None:
        self._parts = tuple(parts)
        self._firsts = offsets_of([len(part) for part in parts])
        firsts = [next(iter(part.table.shards)).path for part in parts]
        schemas = [part.schema for part in parts]
        self._schema = common_schema(list(zip(firsts, schemas, strict=True)))

    def __reduce__(self) -> tuple[type, tuple[tuple[Samples, ...]]]:
        return Concatenation, (self._parts,)

    @property
    def schema(self) -> Schema:
        return self._schema

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(note for part in self._parts for note in part.table.notes))

    @cached_property
    def shards(self) -> Sequence[Shard]:
        return [shard for part in self._parts for shard in part.table.shards]

    @property
    def containers(self) -> set[str]:
        return reduce(or_, (part.table.containers for part in self._parts))

    @property
    def is_remote(self) -> bool:
        return any(part.table.is_remote for part in self._parts)

    @property
    def num_bytes(self) -> int:
        return sum(part.table.num_bytes for part in self._parts)

    @cached_property
    def summary(self) -> Summary:
        return Summary.joined([part.table.summary for part in self._parts])

    @cached_property
    def digest(self) -> tuple[str, str]:
        found = [part.fingerprints() for part in self._parts]
        names = ("files", "choice of samples")
        files, chosen = ("-".join(each[name] for each in found) for name in names)
        return files, chosen

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def shard_counts(self) -> list[tuple[Shard, int]]:
        return list(chain.from_iterable(part.shard_counts() for part in self._parts))

    def blob_bytes(self, names: Sequence[str]) -> int | None:
        parts = [part.table.blob_bytes(names) if part.is_whole else None for part in self._parts]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    def mean_bytes(self, names: Sequence[str]) -> float:
        num_bytes = sum(len(part) * part.table.mean_bytes(names) for part in self._parts)
        return num_bytes / max(1, len(self))

    def take(self, rows: Rows, names: Sequence[str] | None = None) -> Index:
        parts = np.searchsorted(self._firsts, rows, side="right") - 1
        found, places = [], []
        for number in np.flatnonzero(np.bincount(parts, minlength=1)).tolist():
            chosen = np.flatnonzero(parts == number)
            own_rows = rows[chosen] - self._firsts[number]
            found.append(self._parts[number].entries(own_rows, names))
            places.append(chosen)
        if not found:
            return self._parts[0].entries(rows, names)
        index = concatenate(found, self._fields(names))
        return index if len(found) == 1 else index.take(np.argsort(np.concatenate(places)))

    def _fields(self, names: Sequence[str] | None) -> Schema:
        if names is None:
            return self._schema
        fields = tuple(field for field in self._schema.fields if field.name in names)
        return Schema(fields, self._schema.class_names)

    def advise(self, rows: Rows) -> None:
        parts = np.searchsorted(self._firsts, rows, side="right") - 1
        for number, part in enumerate(self._parts):
            own_rows = rows[parts == number] - self._firsts[number]
            part.table.advise(part.numbers(own_rows))
