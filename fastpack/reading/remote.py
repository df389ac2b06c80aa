"""RemoteBytes: the stored bytes of samples whose files lie in object stores."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fastpack.core.cached import cached_property
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import offsets_of
from fastpack.errors import Location, OptionError, changed_file_error, os_errors_at
from fastpack.files.shard import OpenShards, Shard
from fastpack.formats.index.index import Index
from fastpack.reading.origins import ranges_of
from fastpack.stores.block_cache import BlockCache, NextUse
from fastpack.stores.cached_reads import StartCached
from fastpack.stores.fetched import Fetched
from fastpack.stores.ranges import Ranges, join
from fastpack.stores.reads import DirectReads, Reads, RemoteFile
from fastpack.stores.store import Buffer
from fastpack.stores.store_path import is_in_store


class StartReads(Protocol):
    """Starts to read ranges of files, directly or through a cache."""

    def __call__(self, files: Sequence[RemoteFile], ranges: Ranges) -> Reads: ...


class RemoteBytes:
    """Reads what the samples of a dataset need from its stores. Thread-safe, and fork-safe.

    Args:
        start: how ranges are read.
    """

    def __init__(self, start: StartReads = DirectReads.start) -> None:
        self._start = start
        self._files = OpenShards()

    @classmethod
    def cached(cls, folder: Path, limit: int, dataset_bytes: int) -> "RemoteBytes":
        """Return reads through a cache. Raises OptionError if it cannot be used."""
        return cls(StartCached(BlockCache(folder.absolute(), limit), dataset_bytes))

    @classmethod
    def joined(cls, parts: "Sequence[RemoteBytes]") -> "RemoteBytes | None":
        """Return the reads of concatenated datasets; None if no part has one.

        Raises OptionError if they have different caches.
        """
        starts = list(dict.fromkeys(part._start for part in parts))
        cached = [start for start in starts if isinstance(start, StartCached)]
        if not cached:
            return parts[0] if parts else None
        caches = {(start.cache.folder.path, start.cache.limit) for start in cached}
        if len(cached) < len(starts) or len(caches) > 1:
            raise OptionError(
                "the readers have different caches; open all with the same cache and cache_size"
            )
        dataset_bytes = sum(start.dataset_bytes for start in cached)
        return cls(StartCached(cached[0].cache, dataset_bytes))

    def follow(self, next_use: NextUse | None) -> None:
        """Let the cache evict blocks by their next use, if there is one."""
        if isinstance(self._start, StartCached):
            self._start.cache.follow(next_use)

    def start(self, entries: Index) -> "Window":
        """Start to read the blobs of some samples, neighbors together."""
        return Window(entries.shards, ranges_of(entries), self._start, self._files)


class Window:
    """The bytes of some samples, which are being read.

    Args:
        shards: files by number.
        ranges: that the samples need.
        start: how ranges of objects are read.
        files: open files, for ranges of local files.
    """

    def __init__(
        self, shards: Sequence[Shard], ranges: Ranges, start: StartReads, files: OpenShards
    ) -> None:
        used = np.flatnonzero(np.bincount(ranges.files)) if len(ranges) else ranges.files
        is_remote = np.array([is_in_store(shards[number].path) for number in used], np.bool_)
        self._local = _Part.of(shards, used[~is_remote], ranges)
        self._remote = _Part.of(shards, used[is_remote], ranges)
        self._files = files
        self._reads = start(list(map(remote_file, self._remote.shards)), self._remote.ranges)
        self._latest: tuple[Sequence[Shard], Fetched] | None = None

    @property
    def num_bytes(self) -> int:
        """Bytes in memory when all have arrived."""
        return max(self._reads.num_bytes, self._reads.ranges.num_bytes)

    @property
    def is_ready(self) -> bool:
        """True if `fetched_for` will not wait for a store."""
        return self._reads.is_done()

    @cached_property
    def _buffers(self) -> list[Buffer]:
        """The bytes of each range. Raises the error of a range that cannot be read."""
        return self._reads.result()

    def fetched_for(self, shards: Sequence[Shard]) -> Fetched:
        """Wait for the bytes; return them by the numbers that the files have in `shards`."""
        latest = self._latest
        if latest is None or latest[0] != shards:
            self._latest = latest = shards, self._numbered(shards)
        return latest[1]

    def _numbered(self, shards: Sequence[Shard]) -> Fetched:
        numbers: dict[Shard, list[int]] = {}
        for number, shard in enumerate(shards):  # `concat` may have a file several times
            numbers.setdefault(shard, []).append(number)
        parts = [_numbered(self._remote.shards, self._reads.ranges, self._buffers, numbers)]
        if self._local.shards:
            ranges = join(self._local.ranges)
            read = _read_local(self._files, self._local.shards, ranges)
            parts.append(_numbered(self._local.shards, ranges, read, numbers))
        return Fetched.joined(parts)

    def cancel(self) -> None:
        """End all requests at once."""
        self._reads.cancel()


@dataclass(frozen=True, eq=False)
class _Part:
    """Some files of a window, and the ranges that it needs of them."""

    shards: list[Shard]
    ranges: Ranges

    @classmethod
    def of(cls, shards: Sequence[Shard], used: Rows, ranges: Ranges) -> "_Part":
        mine = ranges.take(np.flatnonzero(np.isin(ranges.files, used)))
        numbered = replace(mine, files=np.searchsorted(used, mine.files))
        return cls([shards[number] for number in used.tolist()], numbered)


def _numbered(
    shards: Sequence[Shard],
    ranges: Ranges,
    buffers: Sequence[Buffer],
    numbers: dict[Shard, list[int]],
) -> Fetched:
    """Return the ranges of files with numbers, once for each number, and their bytes."""
    known = [numbers.get(shard, []) for shard in shards]
    firsts = offsets_of(list(map(len, known)))
    counts = np.diff(firsts)[ranges.files]
    rows = np.repeat(np.arange(len(ranges)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    flat = np.array([number for each in known for number in each], np.int64)
    files = flat[firsts[ranges.files[rows]] + within]
    return Fetched([buffers[row] for row in rows.tolist()], replace(ranges.take(rows), files=files))


def remote_file(shard: Shard) -> RemoteFile:
    """Return the object of a shard that lies in a store."""
    path: Any = shard.path  # a StorePath
    return RemoteFile(path, shard.size, shard.etag)


def _read_local(files: OpenShards, shards: Sequence[Shard], ranges: Ranges) -> list[bytes]:
    """Read ranges of local files, which a batch has beside remote ones.

    Raises ChangedFileError for a file that is not the one that was indexed.
    """
    descriptors = files.descriptors(shards, ranges.files.astype(np.uint32))
    buffers = []
    columns = (ranges.files.tolist(), ranges.starts.tolist(), ranges.ends.tolist())
    for file, start, end in zip(*columns, strict=True):
        with os_errors_at(shards[file].path, "read"):
            buffers.append(os.pread(int(descriptors[file]), end - start, start))
        if len(buffers[-1]) < end - start:
            raise changed_file_error(Location(shards[file].path))
    return buffers


def with_bytes(entries: Index, windows: Sequence[Window]) -> Index:
    """Wait for the bytes of samples, and return their index with them."""
    parts = [window.fetched_for(entries.shards) for window in windows]
    return replace(entries, fetched=Fetched.joined(parts))
