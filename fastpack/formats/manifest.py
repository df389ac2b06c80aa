"""Manifest: the root of a dataset. A row for each shard says what opening needs to know of it.

Opening a dataset reads its manifest alone. A shard and its index are opened when a sample of it is
read first. A manifest is derived from the indexes: without one, opening reads the header of each.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.core.cached import cached_property
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Text, flat_values, offsets_of
from fastpack.core.schema import Schema
from fastpack.errors import FastpackError, FormatError, Location, with_location
from fastpack.files.atomic import atomic_write
from fastpack.files.shard import Shard
from fastpack.files.table_file import TableFile, save_tables
from fastpack.formats.index.damaged import DATA_ERRORS
from fastpack.formats.index.index_file import IndexFile
from fastpack.formats.index.joined_schema import taken_classes
from fastpack.formats.index.summary import Summary

MANIFEST_VERSION = 1
_SHARDS, _NAMES, _LETTERS = "shards", "names", "names/values"
_MAX_SAMPLES = 2**62
_REMEDY = "delete it, or make it again with `fastpack index`"
_COLUMNS = {
    "num_samples": np.int64,
    "container": np.uint8,
    "size": np.int64,
    "mtime_ns": np.int64,
    "fingerprint": np.uint32,
    "schema": np.uint16,
    "num_files": np.uint32,
    "index_bytes": np.int64,
    "index_checksum": np.uint32,
}


@dataclass(frozen=True)
class Entry:
    """A shard, and facts of its index.

    Args:
        shard: the file as it was indexed.
        num_samples: its samples.
        schema: number of its schema among those of the manifest.
        num_files: files that its index names: one, or more for a virtual dataset.
        index_bytes: size of its saved index; 0 if it has none.
        index_checksum: of the index's header.
    """

    shard: Shard
    num_samples: int
    schema: int = 0
    num_files: int = 1
    index_bytes: int = 0
    index_checksum: int = 0


class Entries(Protocol):
    """The entries of a manifest by number; they may be read when they are needed."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> Entry: ...


class Manifest:
    """The shards of a dataset.

    Args:
        entries: of the shards, in order.
        counts: samples of each shard, (k,) int64.
        schemas: the distinct schemas of the shards.
        summary: facts about all samples.
        notes: of the indexes.
    """

    def __init__(
        self,
        entries: Entries,
        counts: Rows,
        schemas: tuple[Schema, ...],
        summary: Summary,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.entries, self.schemas, self.summary, self.notes = entries, schemas, summary, notes
        self.firsts = offsets_of(counts)

    @classmethod
    def of(cls, files: Sequence[IndexFile]) -> "Manifest":
        """Make the manifest of some files from their indexes."""
        numbers: dict[Schema, int] = {}
        entries = [
            Entry(
                file.shards[0],
                len(file),
                numbers.setdefault(file.schema, len(numbers)),
                len(file.shards),
                file.tables.num_bytes,
                file.tables.checksum,
            )
            for file in files
        ]
        counts = np.array([entry.num_samples for entry in entries], np.int64)
        notes = dict.fromkeys(note for file in files for note in file.notes)
        notes |= dict.fromkeys(_notes_on_classes(files))
        summary = Summary.joined([file.summary for file in files])
        return cls(entries, counts, tuple(numbers), summary, tuple(notes))

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def num_samples(self) -> int:
        return int(self.firsts[-1])

    @cached_property
    def num_bytes(self) -> int:
        """Bytes of all shards."""
        return int(self.column("size").sum())

    @cached_property
    def index_bytes(self) -> int:
        """Bytes of all indexes."""
        return int(self.column("index_bytes").sum())

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a fact of all shards, (k,)."""
        if isinstance(self.entries, _SavedEntries):
            return self.entries.column(name)
        return _columns_of(self.entries, ())[name]  # type: ignore[arg-type]

    @cached_property
    def digest(self) -> str:
        """A checksum of the sizes and contents of the files, and of their numbers of samples."""
        parts = [self.column(name) for name in ("size", "fingerprint")]
        checksum = 0
        for part in (*parts, self.firsts):
            checksum = crc32c(np.ascontiguousarray(part).view(np.uint8), checksum)
        return f"{checksum:08x}"

    @cached_property
    def containers(self) -> set[str]:
        """Names of the containers of the shards."""
        if isinstance(self.entries, _SavedEntries):
            return set(self.entries.containers)
        return {self.entries[number].shard.container for number in range(len(self))}

    def first_shard(self, schema: int) -> Shard:
        """Return the first shard with a schema."""
        return self.entries[int(np.argmax(self.column("schema") == schema))].shard

    def sampled(self, count: int) -> list[int]:
        """Return the numbers of at most `count` shards from all over the dataset."""
        return np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).astype(int)).tolist()

    def save(self, path: Path, names_digest: str) -> None:
        """Write the manifest of shards that lie in its folder.

        - names_digest: checksum of the names that the set's folder has (see `discovery`).
        """
        entries = [self.entries[number] for number in range(len(self))]
        names = Text.of(entry.shard.path.name for entry in entries)
        containers = tuple(dict.fromkeys(entry.shard.container for entry in entries))
        tables = {
            _SHARDS: _columns_of(entries, containers),
            _NAMES: {"start": names.offsets[:-1], "length": names.lengths},
            _LETTERS: {"value": names.values},
        }
        own = {
            "schemas": [schema.to_json() for schema in self.schemas],
            "containers": containers,
            "summary": self.summary.to_json(),
            "notes": self.notes,
            "names": names_digest,
        }
        about = {"manifest": MANIFEST_VERSION}
        with atomic_write(path, sync=False) as temporary:
            save_tables(temporary, tables, about=about, own=json.dumps(own))

    @classmethod
    def load(cls, path: Path, folder: Path) -> "tuple[Manifest, str]":
        """Return a saved manifest, and its checksum of names.

        Raises FormatError if it is damaged, hostile or of another version.
        """
        file = TableFile.open(path, "manifest", keep=True)
        try:
            if file.layout.about != {"manifest": MANIFEST_VERSION}:
                raise ValueError("it is of another version")
            own = json.loads(file.own)
            entries = _SavedEntries(file, folder, tuple(map(str, own["containers"])))
            counts = entries.checked_counts(len(own["schemas"]))
            schemas = tuple(map(Schema.from_json, own["schemas"]))
            summary = Summary.of_json(own["summary"])
            return cls(entries, counts, schemas, summary, tuple(map(str, own["notes"]))), str(
                own["names"]
            )
        except FastpackError:
            raise
        except DATA_ERRORS as error:
            raise _damaged(path, str(error)) from error


class _SavedEntries:
    """The entries of a saved manifest, read when they are needed."""

    def __init__(self, file: TableFile, folder: Path, containers: tuple[str, ...]) -> None:
        self._file, self._folder, self.containers = file, folder, containers

    def __len__(self) -> int:
        return self._file.num_rows(_SHARDS)

    def column(self, name: str) -> npt.NDArray[Any]:
        return self._file.read(_SHARDS)[name]

    def checked_counts(self, num_schemas: int) -> Rows:
        """Return the samples of each shard. Raises ValueError for numbers that cannot be."""
        if not len(self) or self._file.num_rows(_NAMES) != len(self):
            raise ValueError("it has no shards, or not a name for each")
        columns = self._file.read(_SHARDS)
        if {name: columns[name].dtype for name in columns} != _COLUMNS:
            raise ValueError("it has other columns")
        counts: Rows = columns["num_samples"]
        if counts.min() < 0 or float(counts.sum(dtype=np.float64)) > _MAX_SAMPLES:
            raise ValueError("it claims more samples than there can be")
        if columns["schema"].max() >= num_schemas or columns["size"].min() < 0:
            raise ValueError("it names a schema that it does not have")
        if columns["container"].max() >= len(self.containers):
            raise ValueError("it names a format that it does not have")
        return counts

    def __getitem__(self, number: int) -> Entry:
        facts = {
            name: values[0].item()
            for name, values in self._file.take(_SHARDS, np.array([number])).items()
        }
        container = self.containers[facts["container"]]
        identity = facts["size"], facts["mtime_ns"], facts["fingerprint"]
        return Entry(
            Shard(self._folder / self._name(number), container, *identity),
            facts["num_samples"],
            facts["schema"],
            facts["num_files"],
            facts["index_bytes"],
            facts["index_checksum"],
        )

    def _name(self, number: int) -> str:
        """Return a shard's name. Raises FormatError for one that leads out of the folder."""
        place = self._file.take(_NAMES, np.array([number]))
        start, length = int(place["start"][0]), int(place["length"][0])
        if not 0 <= start <= start + length <= self._file.num_rows(_LETTERS) or length > 4096:
            raise _damaged(self._file.path, f"the name of shard {number} lies outside of it")
        letters = self._file.read(_LETTERS, start, start + length)["value"].tobytes()
        name = letters.decode("utf-8", "surrogateescape")
        if "/" in name or "\0" in name or name in ("", ".", ".."):
            raise _damaged(self._file.path, f"it names {name!r}, which is not in its folder")
        return name


def _notes_on_classes(files: Sequence[IndexFile]) -> Iterator[str]:
    """Yield a note on each file that takes the class names of another."""
    named = next((file for file in files if file.schema.class_names), None)
    for file in files:
        if named is None or file.schema.class_names or "label" not in file.summary.ranges:
            continue
        if _has_labels_in(file, len(named.schema.class_names)):
            yield taken_classes(file.shards[0].path, named.shards[0].path)


def _has_labels_in(file: IndexFile, num_classes: int) -> bool:
    """Return True if some label is in [0, num_classes). Labels are read only if needed."""
    bounds = file.summary.ranges["label"]
    if bounds[0] >= num_classes or bounds[1] < 0:
        return False
    if any(0 <= bound < num_classes for bound in bounds):
        return True
    only_labels = replace(file.schema, fields=(file.schema["label"],))
    labels = flat_values(file.take(np.arange(len(file)), only_labels).columns["label"])
    return bool(((labels >= 0) & (labels < num_classes)).any())


def _damaged(path: Path | None, why: str) -> FormatError:
    message = f"the manifest is damaged ({why}); {_REMEDY}"
    return FormatError(with_location(message, Location(path)))


def _columns_of(
    entries: Iterable[Entry], containers: tuple[str, ...]
) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the table of shards."""
    numbers = {name: number for number, name in enumerate(containers)}
    rows = [
        (
            entry.num_samples,
            numbers.get(entry.shard.container, 0),
            entry.shard.size,
            entry.shard.mtime_ns,
            entry.shard.fingerprint,
            entry.schema,
            entry.num_files,
            entry.index_bytes,
            entry.index_checksum,
        )
        for entry in entries
    ]
    return {
        name: np.array(values, dtype)
        for (name, dtype), values in zip(_COLUMNS.items(), zip(*rows, strict=True), strict=True)
    }
