"""ShardIndexes: the indexes of a dataset's shards, opened when they are needed.

An index may be lost, damaged or replaced at any time. It is derived, so it is built again.
"""

import contextlib
import errno
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from fastpack.core.cached import cached_property
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.errors import (
    ChangedFileError,
    FastpackError,
    Location,
    UnreadableFileError,
    changed_file_error,
    os_errors_at,
    with_location,
)
from fastpack.files.companions import index_path
from fastpack.files.shard import Shard, max_open
from fastpack.formats.file_index import FileIndex
from fastpack.formats.held_indexes import HeldIndexes
from fastpack.formats.index.index_file import IndexFile
from fastpack.formats.index.kinds import kinds_of_schema
from fastpack.formats.index_options import IndexOptions
from fastpack.formats.manifest import Manifest
from fastpack.formats.manifest_entries import Entry
from fastpack.formats.saved_manifest import discard_manifest
from fastpack.stores.store_path import is_in_store

# The indexes of a dataset are kept in memory, page by page as they are read, if they are together
# no larger. Larger ones are read from the OS's page cache, which all processes share.
_KEPT_BYTES = 2**24
_DOWNLOADS = 32  # of indexes at once
_BY_DEFAULT = IndexOptions()


@dataclass(frozen=True)
class Opening:
    """How a table opens the indexes of its shards.

    Args:
        index_dir: the folder of the indexes; None for those of the shards.
        save: save an index that had to be built.
        limits: for what files claim.
        options: how files are indexed.
    """

    index_dir: Path | None = None
    save: bool = True
    limits: Limits = DEFAULT_LIMITS
    options: IndexOptions = _BY_DEFAULT


class ShardIndexes:
    """The indexes of a dataset's shards, by number. Thread-safe, and fork-safe.

    Args:
        manifest: the shards.
        opening: how indexes are opened.
        held: indexes that are not saved, by number of the shard.
    """

    def __init__(self, manifest: Manifest, opening: Opening, held: Mapping[int, IndexFile]) -> None:
        self._manifest, self.opening, self.held = manifest, opening, HeldIndexes(held)
        self.are_kept = manifest.index_bytes <= _KEPT_BYTES
        # Without locks, which a fork could leave locked: each step is one call.
        self._open: OrderedDict[int, IndexFile] = OrderedDict()
        self._max_open = max_open(8)

    def __getitem__(self, number: int) -> IndexFile:
        """Return the index of a shard.

        Raises ChangedFileError if the shard is not the one of the manifest.
        """
        held = self.held.get(number)
        if held is not None:
            return held
        file = self._open.pop(number, None)
        if file is None:
            return self._used(number, self._new(self._manifest.entries[number]))
        self._open[number] = file  # as the one that was used last
        return file

    def opened(self, numbers: Sequence[int]) -> list[IndexFile]:
        """Return the indexes of several shards. Those of stores are downloaded together."""
        if len(numbers) > 1 and self._are_remote:
            missing = [n for n in numbers if n not in self._open and n not in self.held]
            with ThreadPoolExecutor(min(_DOWNLOADS, max(1, len(missing)))) as threads:
                found = dict(zip(missing, threads.map(self.__getitem__, missing), strict=True))
            return [found.get(number) or self[number] for number in numbers]
        return [self[number] for number in numbers]

    @cached_property
    def _are_remote(self) -> bool:
        return is_in_store(self._manifest.entries[0].shard.path)

    def restored(self, number: int, file: IndexFile) -> IndexFile:
        """Return another index in place of one that cannot be read: all of it can be read."""
        now = self.held.get(number) or self._open.get(number)
        if now is not None and now is not file:  # another thread was faster
            return now
        self.held.pop(number, None)
        self._open.pop(number, None)
        entry = self._manifest.entries[number]
        self._refuse_changed(entry)
        return self._used(number, self._restored(entry))

    def _used(self, number: int, file: IndexFile) -> IndexFile:
        """Note an index. All that are not saved are held; of the others the last ones are open."""
        if not file.is_saved:
            self.held[number] = file
            return file
        self._open[number] = file
        while len(self._open) > self._max_open:
            with contextlib.suppress(KeyError):  # another thread was faster
                self._open.popitem(last=False)
        return file

    def _new(self, entry: Entry) -> IndexFile:
        """Open the index of a shard. If too many files are open, close the other indexes first."""
        try:
            return self._opened(entry)
        except UnreadableFileError as error:
            if error.errno != errno.EMFILE:
                raise
        self._open.clear()  # closes the indexes that are not being read
        return self._opened(entry)

    def _opened(self, entry: Entry) -> IndexFile:
        """Open the saved index of a shard, or build it if that is lost, damaged or replaced."""
        path = entry.shard.path
        self._refuse_changed(entry)
        try:
            saved = index_path(path, self.opening.index_dir)
            file = IndexFile.open(saved, path, keep=self.are_kept)
            if self._is_of(file, entry):
                return file.identified((entry.shard, *file.shards[1:]))
        except FastpackError as error:
            if isinstance(error, UnreadableFileError) and error.errno == errno.EMFILE:
                raise
        return self._restored(entry)

    def _restored(self, entry: Entry) -> IndexFile:
        """Build the index of a shard and save it, unless the saved one is whole."""
        opening = self.opening
        kinds = kinds_of_schema(self._manifest.schemas[entry.schema])
        index = FileIndex(entry.shard.path, opening.index_dir, opening.limits, entry.index_checksum)
        file = index.restore(replace(opening.options, kinds=kinds), save=opening.save)
        if not self._is_of(file, entry):
            self._refuse_other(entry)
        return file.identified((entry.shard, *file.shards[1:]))

    def _is_of(self, file: IndexFile, entry: Entry) -> bool:
        """Return True if an index is that of a manifest's shard, with files of its folder only."""
        return (
            file.shards[0] == entry.shard
            and len(file) == entry.num_samples
            and len(file.shards) == entry.num_files
            and file.schema == self._manifest.schemas[entry.schema]
            and file.is_whole
            and (len(file.shards) == 1 or _lie_in_its_folder(file.shards))
        )

    def _refuse_changed(self, entry: Entry) -> None:
        """Raise ChangedFileError if a shard has another size or time than in the manifest.

        One that is missing is noticed when its bytes are read: columns do not need it. So is an
        object that was replaced, as each read of it compares the etag.
        """
        shard = entry.shard
        if shard.container == "folder" or is_in_store(shard.path):  # files are compared one by one
            return
        with os_errors_at(shard.path, "read"):
            try:
                facts = os.stat(shard.path)
            except FileNotFoundError:
                return
        if (facts.st_size, facts.st_mtime_ns) != (shard.size, shard.mtime_ns):
            self._discard_manifest()
            raise changed_file_error(Location(shard.path))

    def _refuse_other(self, entry: Entry) -> NoReturn:
        """Raise the error of a shard that the manifest describes wrongly."""
        self._refuse_changed(entry)
        self._discard_manifest()
        message = "the file is not the one that the dataset's manifest describes"
        remedy = "open the dataset again; delete the manifest if that is not enough"
        raise ChangedFileError(with_location(f"{message}; {remedy}", Location(entry.shard.path)))

    def _discard_manifest(self) -> None:
        """Remove a saved manifest that does not fit its shards, so that it is made again."""
        if self.opening.save:
            discard_manifest(self._manifest)


def _lie_in_its_folder(shards: Sequence[Shard]) -> bool:
    """Return True if all files lie in the folder of the first, also where names are links."""
    first, *others = (shard.path for shard in shards)
    folder = first.parent.resolve()
    return all(path.parent == first.parent and path.resolve().parent == folder for path in others)
