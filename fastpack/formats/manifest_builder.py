"""ManifestBuilder: makes a manifest from the headers of indexes, one after the other."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import flat_values
from fastpack.core.schema import Schema
from fastpack.formats.column_ranges import ColumnRanges
from fastpack.formats.index.index_file import IndexFile
from fastpack.formats.index.joined_schema import taken_classes
from fastpack.formats.index.kinds import Guess
from fastpack.formats.index.summary import Summary
from fastpack.formats.manifest import Manifest
from fastpack.formats.manifest_entries import ROW, HeldEntries

Value = TypeVar("Value")


class ManifestBuilder:
    """Collects the facts of each shard. No index must stay open. Thread-safe.

    Args:
        paths: of the shards.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._rows = np.zeros(len(paths), ROW)
        self._inodes = np.zeros(len(paths), np.uint64)
        self._etags = [""] * len(paths)
        self._is_known = np.zeros(len(paths), np.bool_)
        self._schemas: dict[Schema, int] = {}  # schema -> its number
        self._containers: dict[str, int] = {}
        self._guesses: dict[Guess, int] = {}
        self._notes: dict[str, int] = {}
        self._ranges: dict[str, ColumnRanges] = {}
        self._unnamed: dict[int, int] = {}  # shard -> least label without a name
        self._summary: Summary | None = None
        self._lock = threading.Lock()

    def add(self, number: int, file: IndexFile) -> None:
        """Add the index of a shard."""
        shard, schema, summary, notes = file.shards[0], file.schema, file.summary, file.notes
        least_label = None if schema.class_names else _least_label(file)
        with self._lock:
            self._rows[number] = (
                len(file),
                self._containers.setdefault(shard.container, len(self._containers)),
                shard.size,
                shard.mtime_ns,
                shard.fingerprint,
                self._schemas.setdefault(schema, len(self._schemas)),
                len(file.shards),
                file.tables.num_bytes,
                file.tables.checksum,
            )
            self._inodes[number], self._is_known[number] = shard.inode, True
            self._etags[number] = shard.etag
            self._guesses.setdefault((schema, summary.empty_texts), number)
            for note in notes:
                self._notes[note] = min(number, self._notes.get(note, number))
            if least_label is not None:
                self._unnamed[number] = least_label
            for name, (least, greatest) in summary.ranges.items():
                self._ranges_of(name).set(number, least, greatest)
            parts = [summary] if self._summary is None else [self._summary, summary]
            self._summary = Summary.joined(parts)

    def _ranges_of(self, name: str) -> ColumnRanges:
        if name not in self._ranges:
            self._ranges[name] = ColumnRanges(len(self._paths))
        return self._ranges[name]

    @property
    def numbers(self) -> list[int]:
        """Numbers of the shards that were added."""
        return np.flatnonzero(self._is_known).tolist()

    @property
    def guesses(self) -> list[Guess]:
        """The distinct schemas of the shards, with their columns of empty texts."""
        return list(self._guesses)

    def schema_of(self, number: int) -> Schema:
        """Return the schema of a shard that was added."""
        return list(self._schemas)[int(self._rows["schema"][number])]

    def manifest(self) -> Manifest:
        """Return the manifest of the shards that were added, in their order."""
        assert self._summary is not None
        numbers = self.numbers
        rows = self._rows[numbers]
        # Threads add shards in any order; numbers in the manifest follow the shards.
        schemas = _renumber(rows, "schema", tuple(self._schemas))
        containers = _renumber(rows, "container", tuple(self._containers))
        tables = {name: ranges.columns(numbers) for name, ranges in sorted(self._ranges.items())}
        entries = HeldEntries(
            rows,
            [self._paths[number] for number in numbers],
            self._inodes[numbers],
            containers,
            {name: table for name, table in tables.items() if table is not None},
            [self._etags[number] for number in numbers],
        )
        notes = sorted(self._notes, key=self._notes.__getitem__) + self._notes_on_classes()
        return Manifest(entries, rows["num_samples"], schemas, self._summary, tuple(notes))

    def _notes_on_classes(self) -> list[str]:
        """Return a note on each shard that takes the class names of another."""
        schemas = list(self._schemas)
        named = next(
            (n for n in self.numbers if schemas[self._rows["schema"][n]].class_names), None
        )
        if named is None:
            return []
        count, path = len(self.schema_of(named).class_names), self._paths[named]
        return [
            taken_classes(self._paths[number], path)
            for number, least in sorted(self._unnamed.items())
            if least < count
        ]


def _least_label(file: IndexFile) -> int | None:
    """Return the least label that is not negative; None without one.

    Labels are read only if the header does not show it.
    """
    least, greatest = file.summary.ranges.get("label", (-1, -1))
    if least >= 0 or greatest < 0:
        return least if least >= 0 else None
    only_labels = replace(file.schema, fields=(file.schema["label"],))
    labels = flat_values(file.take(np.arange(len(file)), only_labels).columns["label"])
    return int(labels[labels >= 0].min())


def _renumber(rows: npt.NDArray[Any], column: str, values: tuple[Value, ...]) -> tuple[Value, ...]:
    """Number the values of a column in the order of the rows. Returns them in that order."""
    order = list(dict.fromkeys(rows[column].tolist()))
    new = np.zeros(len(values), rows.dtype[column])
    new[order] = np.arange(len(order))
    rows[column] = new[rows[column]]
    return tuple(values[number] for number in order)
