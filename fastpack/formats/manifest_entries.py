"""Entries of a manifest: a row for each shard, in memory or in a table file."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Text
from fastpack.errors import FormatError, Location, with_location
from fastpack.files.shard import Shard
from fastpack.files.table_file import TableFile
from fastpack.stores.store import ObjectFacts, Options
from fastpack.stores.store_path import as_object, as_path, is_in_store, path_named

SHARDS, _RANGES = "shards", "columns/"
_NAMES, _ETAGS = "names", "etags"
_MAX_SAMPLES, _MAX_TOTAL = 2**48, 2**62  # of a shard, as table files allow; of all
_MAX_TEXT_BYTES = 4096  # of a name or an etag
_REMEDY = "delete it, or make it again with `fastpack index`"
COLUMNS = {
    "num_samples": np.dtype(np.int64),
    "container": np.dtype(np.uint8),
    "size": np.dtype(np.int64),
    "mtime_ns": np.dtype(np.int64),
    "fingerprint": np.dtype(np.uint32),
    "schema": np.dtype(np.uint16),
    "num_files": np.dtype(np.uint32),
    "index_bytes": np.dtype(np.int64),
    "index_checksum": np.dtype(np.uint32),
}
ROW = np.dtype(list(COLUMNS.items()))
# The folder of the shards, or None for whole paths; and the options of their store.
Base = tuple[Path | None, Options]
# (k,) least and greatest value of a column in each shard.
Ranges = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True)
class Entry:
    """The facts of a manifest about a shard.

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

    @property
    def containers(self) -> tuple[str, ...]:
        """Names of the containers of the shards."""
        ...

    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> Entry: ...
    def names(self) -> list[str]:
        """Return the names of the shards."""
        ...

    def base(self) -> Base:
        """Return what a copy of the entries needs to find the shards."""
        ...

    def etags(self) -> Sequence[str]:
        """Return the etags of the shards; none for files."""
        ...

    @property
    def have_etags(self) -> bool:
        """True if each shard has an etag."""
        ...

    def etag_checksum(self) -> int:
        """Return a checksum of all etags; 0 for files."""
        ...

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a fact of all shards, (k,)."""
        ...

    def ranges(self, name: str) -> Ranges | None:
        """Return the range of a column in each shard; None if it is not known."""
        ...


class HeldEntries(Entries):
    """Entries in memory.

    Args:
        rows: (k,) of ROW.
        paths: of the shards.
        inodes: (k,) of the shards; 0 if unknown.
        containers: names of the containers, by number.
        tables: min and max by column of numbers.
        etags: of the shards; () for files.
    """

    def __init__(
        self,
        rows: npt.NDArray[Any],
        paths: Sequence[Path],
        inodes: npt.NDArray[np.uint64],
        containers: tuple[str, ...],
        tables: Mapping[str, Mapping[str, npt.NDArray[Any]]],
        etags: Sequence[str] = (),
    ) -> None:
        self._rows, self._paths, self._inodes = rows, paths, inodes
        self._containers, self._tables = containers, tables
        self._etags = etags if any(etags) else ()

    @property
    def containers(self) -> tuple[str, ...]:
        return self._containers

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Entry:
        facts = dict(zip(COLUMNS, self._rows[number].item(), strict=True))
        inode, etag = int(self._inodes[number]), self._etags[number] if self._etags else ""
        return _entry(self._paths[number], self._containers, facts, inode, etag)

    def column(self, name: str) -> npt.NDArray[Any]:
        return self._rows[name]

    def ranges(self, name: str) -> Ranges | None:
        found = self._tables.get(name)
        return None if found is None else (found["min"], found["max"])

    def names(self) -> list[str]:
        return [path.name for path in self._paths]

    def base(self) -> Base:
        options = [as_object(path).options for path in self._paths if is_in_store(path)]
        return None, options[0] if options else ()

    def etags(self) -> Sequence[str]:
        return self._etags

    @property
    def have_etags(self) -> bool:
        return bool(self._etags) and all(self._etags)

    def etag_checksum(self) -> int:
        return crc32c(Text.of(self._etags).values)

    def paths(self) -> Sequence[Path]:
        """Return the paths of the shards."""
        return self._paths

    def tables(self, names: Iterator[str]) -> dict[str, dict[str, npt.NDArray[Any]]]:
        """Return the tables of a file with these entries.

        - names: of the shards, as the file has them.
        """
        etags = _text_tables(_ETAGS, Text.of(self._etags)) if self._etags else {}
        ranges = {f"{_RANGES}{name}": dict(table) for name, table in self._tables.items()}
        return {
            SHARDS: {name: np.ascontiguousarray(self._rows[name]) for name in COLUMNS},
            **_text_tables(_NAMES, Text.of(names)),
            **etags,
            **ranges,
        }


class SavedEntries(Entries):
    """Entries in a table file, read when they are needed.

    Args:
        file: the table file.
        folder: that of the shards; None if the file has their whole paths.
        containers: names of the containers, by number.
        options: of the stores of whole paths that are URLs.
    """

    def __init__(
        self,
        file: TableFile,
        folder: Path | None,
        containers: tuple[str, ...],
        options: Options = (),
    ) -> None:
        self.file, self.folder, self._containers = file, folder, containers
        self._options = options

    def base(self) -> Base:
        return self.folder, self._options

    @property
    def containers(self) -> tuple[str, ...]:
        return self._containers

    def __len__(self) -> int:
        return self.file.num_rows(SHARDS)

    def column(self, name: str) -> npt.NDArray[Any]:
        return self.file.read(SHARDS, columns=[name])[name]

    def ranges(self, name: str) -> Ranges | None:
        table = f"{_RANGES}{name}"
        if table not in self.file.layout.tables or self.file.num_rows(table) != len(self):
            return None
        found = self.file.read(table)
        return (found["min"], found["max"]) if {"min", "max"} <= found.keys() else None

    def checked_counts(self, num_shards: int | None, num_schemas: int) -> Rows:
        """Return the samples of each shard. Raises ValueError for numbers that cannot be."""
        # Before a row is read: rows without bytes cost a forger nothing.
        num_rows, texts = len(self), [_NAMES, *([_ETAGS] if self._has_etags else [])]
        are_complete = all(self.file.num_rows(table) == num_rows for table in texts)
        if not num_rows or not are_complete or num_shards not in (None, num_rows):
            raise ValueError("it has more or fewer shards than there are files")
        if dict(self.file.layout.tables[SHARDS]) != COLUMNS:
            raise ValueError("it has other columns")
        if any(self.file.num_rows(_letters(table)) > _MAX_TEXT_BYTES * num_rows for table in texts):
            raise ValueError("its names are too long")
        names = ("num_samples", "schema", "size", "container", "index_bytes")
        columns = self.file.read(SHARDS, columns=names)
        counts: Rows = columns["num_samples"]
        if counts.max() > _MAX_SAMPLES or float(counts.sum(dtype=np.float64)) > _MAX_TOTAL:
            raise ValueError("it claims more samples than there can be")
        if min(columns[name].min() for name in ("num_samples", "size", "index_bytes")) < 0:
            raise ValueError("it has a negative size")
        if columns["schema"].max() >= num_schemas:
            raise ValueError("it names a schema that it does not have")
        if columns["container"].max() >= len(self.containers):
            raise ValueError("it names a format that it does not have")
        return counts

    @property
    def _has_etags(self) -> bool:
        return {_ETAGS, _letters(_ETAGS)} <= self.file.layout.tables.keys()

    def names(self) -> list[str]:
        """Return the names of the shards. Raises FormatError if they lie outside of the file."""
        return self._texts(_NAMES)

    def etags(self) -> list[str]:
        return self._texts(_ETAGS) if self._has_etags else []

    @property
    def have_etags(self) -> bool:
        return self._has_etags and bool(self.file.read(_ETAGS)["length"].min() > 0)

    def etag_checksum(self) -> int:
        return crc32c(self.file.read(_letters(_ETAGS))["value"]) if self._has_etags else 0

    def _texts(self, table: str) -> list[str]:
        places = self.file.read(table)
        starts, lengths = (places[name].astype(np.int64) for name in ("start", "length"))
        letters = self.file.read(_letters(table))["value"].tobytes()
        ends = starts + lengths
        if starts.min() < 0 or lengths.min() < 0 or ends.min() < 0 or ends.max() > len(letters):
            raise damaged(self.file.path, "a name lies outside of it")
        pairs = zip(starts.tolist(), ends.tolist(), strict=True)
        return [os.fsdecode(letters[start:end]) for start, end in pairs]

    def __getitem__(self, number: int) -> Entry:
        row = self.file.take(SHARDS, np.array([number]))
        facts = {name: values[0].item() for name, values in row.items()}
        etag = self._text(_ETAGS, number) if self._has_etags else ""
        return _entry(self._path(number), self.containers, facts, etag=etag)

    def _path(self, number: int) -> Path:
        """Return a shard's path. Raises FormatError for a name that leads out of the folder."""
        name = self._text(_NAMES, number)
        if self.folder is None:
            return path_named(name, self._options)
        if "/" in name or "\0" in name or name in ("", ".", ".."):
            raise damaged(self.file.path, f"it names {name!r}, which is not in its folder")
        return self.folder / name

    def _text(self, table: str, number: int) -> str:
        place, letters = self.file.take(table, np.array([number])), _letters(table)
        start, length = int(place["start"][0]), int(place["length"][0])
        end = start + length
        if not 0 <= start <= end <= self.file.num_rows(letters) or length > _MAX_TEXT_BYTES:
            raise damaged(self.file.path, f"the name of shard {number} lies outside of it")
        found: bytes = self.file.read(letters, start, end)["value"].tobytes()
        return found.decode("utf-8", "surrogateescape")


def _letters(table: str) -> str:
    return f"{table}/values"


def _text_tables(name: str, text: Text) -> dict[str, dict[str, npt.NDArray[Any]]]:
    return {
        name: {"start": text.offsets[:-1], "length": text.lengths},
        _letters(name): {"value": text.values},
    }


def _entry(
    path: Path,
    containers: tuple[str, ...],
    facts: Mapping[str, int],
    inode: int = 0,
    etag: str = "",
) -> Entry:
    identity = facts["size"], facts["mtime_ns"], facts["fingerprint"], inode, etag
    if is_in_store(path):
        at = as_object(path)
        path = as_path(at.with_facts(ObjectFacts(at.key, identity[0], etag, identity[1])))
    return Entry(
        Shard(path, containers[facts["container"]], *identity),
        facts["num_samples"],
        facts["schema"],
        facts["num_files"],
        facts["index_bytes"],
        facts["index_checksum"],
    )


def damaged(path: Path | None, why: str) -> FormatError:
    """Return the error of a damaged manifest."""
    message = f"the manifest is damaged ({why}); {_REMEDY}"
    return FormatError(with_location(message, Location(path)))
