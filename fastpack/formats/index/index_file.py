"""IndexFile: a saved index. Its header is read when it is opened, and rows when they are needed."""

import json
import re
import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastpack.core.cached import cached_property
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Text, offsets_of
from fastpack.core.schema import Schema
from fastpack.errors import FastpackError, FormatError
from fastpack.files.atomic import atomic_write
from fastpack.files.companions import shard_name
from fastpack.files.scratch import Scratch
from fastpack.files.shard import Shard
from fastpack.files.table_file import Layout, TableFile, advise, save_tables, table_bytes
from fastpack.formats.index.damaged import DATA_ERRORS, damaged_index
from fastpack.formats.index.digest import RecordDigest
from fastpack.formats.index.former_index import is_former, load_former
from fastpack.formats.index.index import Index
from fastpack.formats.index.stored_rows import SAMPLES, StoredRows
from fastpack.formats.index.summary import Summary

INDEX_VERSION = 2
_WORDS = re.compile("seek_points/.*/values")
HELD_BYTES = 2**19  # of an index that is kept in memory; a larger one goes to a scratch file
# At most so many bytes of a saved index are loaded, and so many more for each byte of its files.
# An index has 60 to 100 bytes for a record; a record has at least 40.
SMALL_INDEX_BYTES = 2**26
INDEX_BYTES_A_BYTE = 64
# Layouts whose tables are those of their schema: thousands of files may share one.
_SOUND_LAYOUTS: "weakref.WeakSet[Layout]" = weakref.WeakSet()


class IndexFile:
    """A saved index: facts of its header, and rows on demand. Immutable and thread-safe.

    Args:
        tables: the table file.
        shard: the path of the file that the index is of.
        held: the bytes of an index that is not saved, or the scratch file with them.
    """

    def __init__(self, tables: TableFile, shard: Path, held: bytes | Scratch | None = None) -> None:
        self.tables, self.shard, self.held = tables, shard, held
        try:
            self.schema = _schema_of(tables.layout)
        except (FastpackError, *DATA_ERRORS) as error:
            raise self._damaged(error) from error
        self._refuse_other_tables()

    @classmethod
    def open(cls, path: Path, shard: Path, *, keep: bool = False) -> "IndexFile":
        """Open the saved index of a shard.

        Raises FormatError if it is damaged or of another version.

        - keep: rows that were read stay in memory.
        """
        file = cls(TableFile.open(path, "index", keep=keep), shard)
        file.refuse_oversized(sum(shard.size for shard in file.shards))
        return file

    @classmethod
    def of(cls, index: Index) -> "IndexFile":
        """Make the file of an index that is not saved: in memory, or a scratch file if large."""
        data = _bytes_of(index)
        held = data if len(data) <= HELD_BYTES else Scratch.write(data)
        return cls.of_held(held, index.shards[0].path).identified(index.shards)

    @classmethod
    def of_held(cls, held: bytes | Scratch, shard: Path) -> "IndexFile":
        """Open the index of a shard that is not saved."""
        return cls(TableFile.of_held(held), shard, held)

    def save_as(self, path: Path) -> None:
        """Save an index that is held. Raises UnreadableFileError if the OS refuses the file."""
        held = self.held
        assert held is not None
        with atomic_write(path, sync=False) as temporary:
            temporary.write_bytes(held.mapped() if isinstance(held, Scratch) else held)

    def __reduce__(self) -> Any:
        if self.held is not None:
            return IndexFile.of_held, (self.held, self.shard)
        return IndexFile.open, (self.tables.path, self.shard)

    def __len__(self) -> int:
        return self.tables.num_rows(SAMPLES)

    @cached_property
    def _own(self) -> dict[str, Any]:
        try:
            own = json.loads(self.tables.own)
            if not isinstance(own, dict):
                raise ValueError("not an object")
            return own
        except DATA_ERRORS as error:
            raise self._damaged(error) from error

    def _damaged(self, why: object) -> FormatError:
        if isinstance(why, FormatError) and why.location is not None:
            return why
        return damaged_index(why, self.tables.path)

    def _fact(self, name: str, make: Any) -> Any:
        """Return a fact of the header, converted by `make`. Raises FormatError without it."""
        try:
            return make(self._own[name])
        except DATA_ERRORS as error:
            raise self._damaged(error) from error

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """The files that the index names. The first is the one that it is of."""
        return tuple(self._fact("shards", self._shards_of))

    def identified(self, shards: tuple[Shard, ...]) -> "IndexFile":
        """Take shards that equal those of the index, but also have their inodes."""
        self.__dict__["shards"] = shards
        return self

    def _shards_of(self, saved: Any) -> list[Shard]:
        first, *others = saved
        if any("\0" in name for name, *_ in others):
            raise ValueError("a file's name has a NUL")
        folder = self.shard.parent
        beside = (Shard.of_json(folder / other[0], other) for other in others)
        return [Shard.of_json(self.shard, first), *beside]

    @property
    def notes(self) -> tuple[str, ...]:
        if "notes" not in self._own:
            return ()
        return tuple(self._fact("notes", lambda notes: tuple(map(str, notes))))

    @property
    def receipt(self) -> str:
        return str(self._own.get("receipt", ""))

    @property
    def original_digest(self) -> RecordDigest | None:
        return self._digest("first_seal")

    @property
    def record_digest(self) -> RecordDigest | None:
        """Digest of the file's records; None if there are no blobs, or several files."""
        return self._digest("digest")

    def _digest(self, name: str) -> RecordDigest | None:
        return self._fact(name, RecordDigest.of_json) if name in self._own else None

    @cached_property
    def summary(self) -> Summary:
        """Facts about all samples."""
        summary: Summary = self._fact("summary", self._summary_of)
        return summary

    def _summary_of(self, saved: Any) -> Summary:
        summary = Summary.of_json(saved)
        summary.check_fit([self.schema])
        return summary

    @property
    def seek_point_bytes(self) -> int:
        """Bytes of the tables of seek points."""
        names = [name for name in self.tables.layout.tables if _WORDS.fullmatch(name)]
        return sum(8 * self.tables.num_rows(name) for name in names)

    @property
    def is_whole(self) -> bool:
        """True if the samples are the records 0, 1, 2 ... of the file."""
        if len(self.shards) > 1:
            return True
        is_counting = self.tables.is_counting(SAMPLES, "record_numbers")
        return is_counting and (
            len(self) == 0 or self.tables.constant(SAMPLES, "shard_numbers") == 0
        )

    @cached_property
    def is_plain(self) -> bool:
        """True if the samples are the records 0, 1, 2 ... of the only file."""
        return len(self.shards) == 1 and self.is_whole

    @property
    def is_saved(self) -> bool:
        return self.held is None

    @property
    def has_lost(self) -> bool:
        return "lost" in self.tables.layout.tables[SAMPLES]

    def take(self, rows: Rows, schema: Schema | None = None) -> Index:
        """Return the given samples, in that order.

        - schema: some of the fields; None for all.
        """
        return take_index([self], np.zeros(len(rows), np.int64), rows, schema)

    def load(self) -> Index:
        """Return all samples. It takes memory for each."""
        index = replace(self.take(np.arange(len(self))), **self.facts())
        try:
            index.check_chunks()
        except ValueError as error:
            raise self._damaged(error) from error
        return index

    def keys(self) -> Text | None:
        """Return the keys of all samples in memory; None without keys."""
        if "key" not in self.schema or self.schema["key"].kind != "text":
            return None
        only_keys = replace(self.schema, fields=(self.schema["key"],))
        return cast(Text, self.take(np.arange(len(self)), only_keys).columns["key"])

    def facts(self) -> dict[str, Any]:
        """Return the fields of Index that are no tables."""
        names = ("original_digest", "notes", "receipt")
        return {name: getattr(self, name) for name in names}

    def refuse_oversized(self, num_bytes: int) -> None:
        """Raise FormatError if the tables claim more memory than files of `num_bytes` need.

        A table whose rows have no bytes in the file may claim any number of rows.
        """
        tables = self.tables.layout.tables.items()
        claimed = sum(
            self.tables.num_rows(name) * sum(dtype.itemsize for dtype in columns.values())
            for name, columns in tables
        )
        if claimed > SMALL_INDEX_BYTES + INDEX_BYTES_A_BYTE * num_bytes:
            raise self._damaged(f"its tables are too large for files of {num_bytes} bytes")

    def _refuse_other_tables(self) -> None:
        """Raise FormatError unless the tables are those of the schema's fields."""
        layout, num_rows = self.tables.layout, self.tables.num_rows
        # Names of fields have no slash there; tables of values and chunks have two.
        per_sample = [name for name in layout.tables if name.count("/") == 1]
        if SAMPLES not in layout.tables or any(num_rows(name) != len(self) for name in per_sample):
            raise self._damaged("its tables have other numbers of rows")
        if layout in _SOUND_LAYOUTS:
            return
        try:
            nothing = np.zeros(0, np.int64)
            rows = StoredRows([self.tables], nothing, nothing, self.schema, np.arange(2))
            Index.from_rows(rows, ()).check_fit(rows)
        except DATA_ERRORS as error:
            raise self._damaged(error) from error
        _SOUND_LAYOUTS.add(layout)


def take_index(
    files: Sequence[IndexFile],
    numbers: npt.NDArray[np.int64],
    rows: Rows,
    schema: Schema | None = None,
) -> Index:
    """Return rows of indexes with the same tables: row rows[i] of files[numbers[i]].

    The shards are those of these files. Raises FormatError for damage.
    """
    schema = files[0].schema if schema is None else schema
    shards = tuple(shard for file in files for shard in file.shards)
    first_shards = offsets_of([len(file.shards) for file in files])
    tables = [file.tables for file in files]
    try:
        is_plain = all(file.is_plain for file in files)
        stored = StoredRows(tables, numbers, rows, schema, first_shards, is_plain=is_plain)
        index = Index.from_rows(stored, shards)
        if schema.has_fixed_sizes:
            index.check_fit(stored)
        index.check_spans()
        index.check_chunks(of_batch=True)
    except FastpackError:
        raise
    except DATA_ERRORS as error:
        if len(files) > 1:  # the error names the first file that is damaged
            for number, file in enumerate(files):
                file.take(rows[numbers == number], schema)
        raise files[0]._damaged(error) from error
    return index


def advise_rows(files: Sequence[IndexFile], numbers: npt.NDArray[np.int64], rows: Rows) -> None:
    """Ask the OS to load what `take_index` reads of blobs."""
    tables = [file.tables for file in files]
    for name in tables[0].layout.tables:
        if name.startswith("blob/") and not name.endswith("/values"):
            advise(tables, numbers, name, rows)


@lru_cache(maxsize=64)
def _schema_of(layout: Layout) -> Schema:
    """Return the schema of a layout. Raises ValueError for another version."""
    version = layout.about["version"]
    if version != INDEX_VERSION:
        raise ValueError(f"it has version {version}, not {INDEX_VERSION}")
    return Schema.from_json(layout.about["schema"])


def save_index(index: Index, path: Path, *, sync: bool = False) -> None:
    """Write a saved index, a table file.

    Args:
        index: the index.
        path: the file to write.
        sync: wait until the disk has the file.

    Raises:
        UnreadableFileError: the OS refuses the file.

    Example:
        >>> import fastpack
        >>> save_index(fastpack.open(getfixture("digits")).index, getfixture("tmp_path") / "saved")
    """
    with atomic_write(path, sync=sync) as temporary:
        save_tables(temporary, index.to_tables(), about=_about(index), own=_own_text(index))


def _bytes_of(index: Index) -> bytes:
    return table_bytes(index.to_tables(), about=_about(index), own=_own_text(index))


def _about(index: Index) -> dict[str, Any]:
    """Return what the indexes of a dataset's files have in common."""
    return {"version": INDEX_VERSION, "schema": index.schema.to_json()}


def _own_text(index: Index) -> str:
    """Return what only this index has. The first file's name is that of the index."""
    folder = index.shards[0].path.parent
    first, *others = (shard.to_json(folder) for shard in index.shards)
    own: dict[str, Any] = {
        "shards": [["", *first[1:]], *others],
        "summary": Summary.of(index).to_json(),
    }
    if index.notes:
        own["notes"] = index.notes
    if index.receipt:
        own["receipt"] = index.receipt
    for name, digest in (("digest", index.record_digest), ("first_seal", index.original_digest)):
        if digest is not None:
            own[name] = [digest.num_records, digest.digest]
    return json.dumps(own)


def load_index(path: Path, folder: Path | None = None, *, max_bytes: int | None = None) -> Index:
    """Load a saved index whole, also one of an earlier version.

    Args:
        path: the file.
        folder: the folder of the shards; None for the folder of the file.
        max_bytes: the largest size that a file of an earlier version may have.

    Returns:
        The Index.

    Raises:
        FormatError: the file is damaged, hostile or of another version.

    Example:
        >>> import fastpack
        >>> path = getfixture("digits")
        >>> _ = fastpack.build_indexes(path)
        >>> len(load_index(path.with_name(f"{path.name}.fpindex")))
        10
    """
    folder = path.parent if folder is None else folder
    if is_former(path):
        return load_former(path, folder, max_bytes)
    return IndexFile.open(path, folder / shard_name(path)).load()
