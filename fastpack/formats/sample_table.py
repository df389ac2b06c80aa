"""SampleTable: all samples of the files of a dataset."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.cached import cached_property
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import digest
from fastpack.core.schema import Schema
from fastpack.errors import FormatError, UnreadableFileError
from fastpack.files.companions import index_path
from fastpack.files.shard import Shard, max_open
from fastpack.formats import registry
from fastpack.formats.index.index import Index, concatenate
from fastpack.formats.index.index_file import IndexFile, advise_rows, take_index
from fastpack.formats.index.summary import Summary
from fastpack.formats.manifest import Manifest
from fastpack.formats.shard_indexes import Opening, ShardIndexes
from fastpack.formats.table import Table
from fastpack.formats.view import View
from fastpack.stores.store_path import StorePath


class SampleTable(Table):
    """All samples of a dataset. Thread-safe, and fork-safe.

    Args:
        manifest: the shards.
        view: how the dataset shows their samples.
        opening: how indexes are opened.
        held: indexes that are not saved, by number of the shard.
    """

    def __init__(
        self,
        manifest: Manifest,
        view: View,
        opening: Opening,
        held: Mapping[int, IndexFile],
    ) -> None:
        self.manifest, self._view = manifest, view
        self._indexes = ShardIndexes(manifest, opening, held)
        self._max_taken = max_open(3)  # shards whose rows are read together
        self._views: dict[int, tuple[Schema, Schema, bool]] = {}
        for container in manifest.containers:  # a read must not import what builds a lost index
            registry.named(container)

    def __reduce__(self) -> Any:
        indexes = self._indexes
        return SampleTable, (self.manifest, self._view, indexes.opening, indexes.held)

    @property
    def view(self) -> View:
        return self._view

    @property
    def schema(self) -> Schema:
        return self._view.schema

    @property
    def notes(self) -> tuple[str, ...]:
        return self.manifest.notes

    @cached_property
    def shards(self) -> Sequence[Shard]:
        if len(self.manifest) == 1:  # perhaps a virtual dataset
            return self._indexes[0].shards
        return _Shards(self.manifest)

    @property
    def containers(self) -> set[str]:
        return self.manifest.containers

    @property
    def is_remote(self) -> bool:
        return isinstance(self.manifest.entries[0].shard.path, StorePath)

    @property
    def num_bytes(self) -> int:
        if len(self.manifest) == 1:
            return sum(shard.size for shard in self.shards)
        return self.manifest.num_bytes

    @cached_property
    def summary(self) -> Summary:
        return self.manifest.summary.renamed(
            {field.name: self._view.source(field.name) for field in self.schema.fields}
        )

    @cached_property
    def digest(self) -> tuple[str, str]:
        return self.manifest.digest, digest(self.manifest.firsts)

    def __len__(self) -> int:
        return self.manifest.num_samples

    @property
    def saved_path(self) -> Path | None:
        if self._indexes.opening.save is False or self._indexes.held:
            return None
        if self.manifest.saved_path is None and len(self.manifest) == 1:
            return index_path(self.manifest.entries[0].shard.path, self._indexes.opening.index_dir)
        return self.manifest.saved_path

    def shard_counts(self) -> list[tuple[Shard, int]] | None:
        if len(self.manifest) == 1 and len(self.shards) > 1:
            return None
        return list(zip(self.shards, np.diff(self.manifest.firsts).tolist(), strict=True))

    def take(self, rows: Rows, names: Sequence[str] | None = None) -> Index:
        view = self._view if names is None else self._view.of_fields(names)
        numbers, local = self._places(rows)
        if len(numbers) > self._max_taken:
            return self._take_in_parts(local, rows, names)
        files = self._indexes.opened(numbers)
        try:
            return self._take(files, numbers, local, rows, view)
        except (FormatError, UnreadableFileError):
            # An index was damaged after it was opened. It is derived, so it is built again, once.
            own_rows = self._rows(rows, numbers, local)
            for place, number in enumerate(numbers):
                if not self._can_take(files[place], own_rows[local == place], view):
                    files[place] = self._indexes.restored(number, files[place])
        return self._take(files, numbers, local, rows, view)

    def _can_take(self, file: IndexFile, rows: Rows, view: View) -> bool:
        try:
            self._taken([file], np.zeros(len(rows), np.int64), rows, view)
        except (FormatError, UnreadableFileError):
            return False
        return True

    def _take(
        self,
        files: list[IndexFile],
        numbers: list[int],
        local: npt.NDArray[np.int64],
        rows: Rows,
        view: View,
    ) -> Index:
        if len({id(file.tables.layout) for file in files}) == 1:
            return self._taken(files, local, self._rows(rows, numbers, local), view)
        return self._take_each(files, numbers, local, rows, view)

    def _take_in_parts(
        self, local: npt.NDArray[np.int64], rows: Rows, names: Sequence[str] | None
    ) -> Index:
        """Take rows of so many shards that their indexes cannot all be open."""
        part = local // self._max_taken
        chosen = [np.flatnonzero(part == number) for number in range(int(part.max()) + 1)]
        parts = [self.take(rows[each], names) for each in chosen]
        joined = concatenate(parts, parts[0].schema)
        return joined.take(np.argsort(np.concatenate(chosen)))

    def _places(self, rows: Rows) -> tuple[list[int], npt.NDArray[np.int64]]:
        """Return the distinct shards of some rows, and the place of each row's shard among them."""
        if len(self.manifest) == 1 or not len(rows):
            return [0], np.zeros(len(rows), np.int64)
        firsts = self.manifest.firsts
        if len(rows) > 1 and _are_consecutive(rows):  # such as the blocks of a column
            ends = np.searchsorted(firsts, rows[[0, -1]], side="right")
            numbers = np.arange(ends[0] - 1, ends[1])
            bounds = np.clip(firsts[ends[0] - 1 : ends[1] + 1], rows[0], rows[-1] + 1)
            numbers, counts = numbers[np.diff(bounds) > 0], np.diff(bounds)
            return numbers.tolist(), np.repeat(np.arange(len(numbers)), counts[counts > 0])
        shards = np.searchsorted(firsts, rows, side="right") - 1
        in_order = np.sort(shards)
        is_first = np.ones(len(rows), np.bool_)
        is_first[1:] = in_order[1:] != in_order[:-1]
        distinct = in_order[is_first]
        return distinct.tolist(), np.searchsorted(distinct, shards)

    def _rows(self, rows: Rows, numbers: list[int], local: npt.NDArray[np.int64]) -> Rows:
        """Return the rows' numbers in their own shards."""
        if len(self.manifest) == 1:
            return rows
        return np.asarray(rows - self.manifest.firsts[numbers][local])

    def _taken(
        self, files: list[IndexFile], local: npt.NDArray[np.int64], rows: Rows, view: View
    ) -> Index:
        stored, is_plain = self._stored(files[0].schema, view)
        index = take_index(files, local, rows, stored)
        return index if is_plain else view.apply(index)

    def _stored(self, schema: Schema, view: View) -> tuple[Schema, bool]:
        """Return the fields to read of a file, and whether the view shows them as they are."""
        if view is not self._view:
            return view.reading(schema)
        known = self._views.get(id(schema))
        if known is None:
            known = schema, *view.reading(schema)
            self._views[id(schema)] = known
        return known[1:]

    def _take_each(
        self,
        files: list[IndexFile],
        numbers: list[int],
        local: npt.NDArray[np.int64],
        rows: Rows,
        view: View,
    ) -> Index:
        """Take rows of shards with different tables: those of each kind together."""
        kinds: dict[int, list[int]] = {}
        for number, file in enumerate(files):
            kinds.setdefault(id(file.tables.layout), []).append(number)
        own_rows = self._rows(rows, numbers, local)
        parts, places = [], []
        for members in kinds.values():
            place = np.full(len(files), -1)
            place[members] = np.arange(len(members))
            chosen = np.flatnonzero(place[local] >= 0)
            of_kind = [files[member] for member in members]
            index = self._taken(of_kind, place[local[chosen]], own_rows[chosen], view)
            parts.append(index)
            places.append(chosen)
        return concatenate(parts, view.schema).take(np.argsort(np.concatenate(places)))

    def advise(self, rows: Rows) -> None:
        if self._indexes.are_kept:
            return
        numbers, local = self._places(rows)
        files = self._indexes.opened(numbers)
        if len({id(file.tables.layout) for file in files}) == 1:
            advise_rows(files, local, self._rows(rows, numbers, local))


def _are_consecutive(rows: Rows) -> bool:
    return bool(rows[-1] - rows[0] == len(rows) - 1 and (rows[1:] - rows[:-1] == 1).all())


class _Shards(Sequence[Shard]):
    """The files of a manifest, made when they are asked for."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def __len__(self) -> int:
        return len(self._manifest)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[each] for each in range(len(self))[number]]
        return self._manifest.entries[range(len(self))[number]].shard

    def __iter__(self) -> Iterator[Shard]:
        return (self[number] for number in range(len(self)))
