"""Manifest: the root of a dataset, with what opening needs of each shard.

Opening a dataset reads its manifest alone. A shard and its index are opened when a sample of it is
read first. A manifest is derived from the indexes: without one, opening reads the header of each.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.core.cached import cached_property
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import offsets_of
from fastpack.core.schema import Schema
from fastpack.errors import ChangedFileError, FastpackError, Location, with_location
from fastpack.files.atomic import atomic_write
from fastpack.files.scratch import Scratch
from fastpack.files.shard import Shard
from fastpack.files.table_file import TableFile, save_tables, table_bytes
from fastpack.formats.index.damaged import DATA_ERRORS
from fastpack.formats.index.summary import Summary
from fastpack.formats.manifest_entries import Entries, HeldEntries, Ranges, SavedEntries, damaged
from fastpack.stores.store import Options

MANIFEST_VERSION = 1
_ABOUT = {"manifest": MANIFEST_VERSION}
_KEPT_BYTES = 2**20  # of a file whose pages stay in memory
_PICKLED_BYTES = 2**18  # of a manifest without a file, about 3,000 shards; else a scratch file


class Manifest:
    """The shards of a dataset.

    A pickle has the path of the manifest's file, and the checksum of the file. A manifest in memory
    pickles as its table, or as a scratch file with it.

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
        self._held: bytes | Scratch | None = None  # the table of a pickle

    def __reduce__(self) -> Any:
        if isinstance(self.entries, SavedEntries) and self.saved_path is not None:
            return _reopened, (self.saved_path, self.entries.folder, self.entries.file.checksum)
        if self._held is None:
            self._held = _held(self._table_bytes())
        return _of_held, (self._held, *self.entries.base())

    @property
    def saved_path(self) -> Path | None:
        """The file of the manifest; None if it is only in memory."""
        return None if self.file is None else self.file.path

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def file(self) -> TableFile | None:
        """The saved manifest of a set; None for one in memory."""
        entries = self.entries
        if isinstance(entries, SavedEntries) and entries.folder is not None:
            return entries.file
        return None

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

    @property
    def paths(self) -> Sequence[Path]:
        """Paths of the shards."""
        if isinstance(self.entries, HeldEntries):
            return self.entries.paths()
        return [self.entries[number].shard.path for number in range(len(self))]

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a fact of all shards, (k,)."""
        return self.entries.column(name)

    def column_range(self, name: str) -> Ranges | None:
        """Return the least and the greatest value of a column in each shard, both (k,).

        They are int64 or float64. A shard without a value has 0 and -1, or NaN. Returns None if
        some shard's range is not known.
        """
        return self.entries.ranges(name)

    @cached_property
    def digest(self) -> str:
        """A checksum of the sizes and contents of the files, and of their numbers of samples."""
        parts = [self.column(name) for name in ("size", "fingerprint")]
        checksum = self.entries.etag_checksum()
        for part in (*parts, self.firsts):
            checksum = crc32c(np.ascontiguousarray(part).view(np.uint8), checksum)
        return f"{checksum:08x}"

    @cached_property
    def containers(self) -> set[str]:
        """Names of the containers of the shards."""
        return set(self.entries.containers)

    @cached_property
    def _first_shards(self) -> list[Shard]:
        """The first shard of each schema."""
        schemas = self.column("schema")
        firsts = (int(np.argmax(schemas == number)) for number in range(len(self.schemas)))
        return [self.entries[first].shard for first in firsts]

    def first_shard(self, schema: int) -> Shard:
        """Return the first shard with a schema."""
        return self._first_shards[schema]

    def sampled(self, count: int) -> list[int]:
        """Return the numbers of at most `count` shards from all over the dataset."""
        numbers = np.linspace(0, len(self) - 1, min(count, len(self))).astype(int)
        return sorted(set(numbers.tolist()))  # np.unique would import numpy.ma

    def save(self, path: Path, names_digest: str) -> None:
        """Write the manifest of shards that lie in its folder.

        - names_digest: checksum of the names that the set's folder has (see `saved_manifest`).
        """
        tables, own = self._tables(lambda shard: shard.name), self._own(names_digest)
        with atomic_write(path, sync=False) as temporary:
            save_tables(temporary, tables, about=_ABOUT, own=own)

    def root_bytes(self) -> bytes:
        """Return what `save` writes, for an object beside the shards."""
        return table_bytes(self._tables(lambda shard: shard.name), about=_ABOUT, own=self._own(""))

    def _tables(self, name_of: Callable[[Path], str]) -> dict[str, dict[str, npt.NDArray[Any]]]:
        assert isinstance(self.entries, HeldEntries)
        return self.entries.tables(map(name_of, self.entries.paths()))

    def _table_bytes(self) -> bytes:
        return table_bytes(self._tables(str), about=_ABOUT, own=self._own(""))

    def _own(self, names_digest: str) -> str:
        own = {
            "schemas": [schema.to_json() for schema in self.schemas],
            "containers": self.entries.containers,
            "summary": self.summary.to_json(),
            "notes": self.notes,
            "names": names_digest,
        }
        return json.dumps(own, sort_keys=True)

    @classmethod
    def load(
        cls, path: Path, folder: Path, num_shards: int | None = None
    ) -> "tuple[Manifest, str]":
        """Return a saved manifest, and its checksum of names.

        Raises FormatError if it is damaged, hostile or of another version.

        - num_shards: raise FormatError for another number of shards.
        """
        is_small = path.stat().st_size <= _KEPT_BYTES
        return cls._of_file(TableFile.open(path, "manifest", keep=is_small), folder, num_shards)

    @classmethod
    def of_bytes(cls, data: bytes, folder: Path) -> "Manifest":
        """Return the manifest of a folder's shards that is in memory. Raises FormatError."""
        manifest, _ = cls._of_file(TableFile.of_bytes(data), folder)
        manifest._held = _held(data)
        return manifest

    @classmethod
    def _of_file(
        cls,
        file: TableFile,
        folder: Path | None,
        num_shards: int | None = None,
        options: Options = (),
    ) -> "tuple[Manifest, str]":
        try:
            if file.layout.about != _ABOUT:
                raise ValueError("it is of another version")
            own = json.loads(file.own)
            containers = tuple(map(str, own["containers"]))
            entries = SavedEntries(file, folder, containers, options)
            counts = entries.checked_counts(num_shards, len(own["schemas"]))
            schemas = tuple(map(Schema.from_json, own["schemas"]))
            summary = Summary.of_json(own["summary"])
            summary.check_fit(schemas)
            notes = tuple(map(str, own["notes"]))
            return cls(entries, counts, schemas, summary, notes), str(own["names"])
        except FastpackError:
            raise
        except DATA_ERRORS as error:
            raise damaged(file.path, str(error)) from error


def _reopened(path: Path, folder: Path, checksum: int) -> Manifest:
    """Load a manifest in another process. Raises ChangedFileError if it was replaced."""
    manifest, _ = Manifest.load(path, folder)
    assert isinstance(manifest.entries, SavedEntries)
    if manifest.entries.file.checksum != checksum:
        message = "the manifest was replaced since the dataset was opened; open it again"
        raise ChangedFileError(with_location(message, Location(path)))
    return manifest


def _held(data: bytes) -> bytes | Scratch:
    return data if len(data) <= _PICKLED_BYTES else Scratch.write(data)


def _of_held(held: bytes | Scratch, folder: Path | None, options: Options) -> Manifest:
    """Load a manifest without a file of its own."""
    manifest, _ = Manifest._of_file(TableFile.of_held(held), folder, options=options)
    manifest._held = held
    return manifest
