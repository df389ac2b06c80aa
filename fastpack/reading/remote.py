"""RemoteBytes: the stored bytes of samples whose files lie in object stores."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from fastpack.core.cached import cached_property
from fastpack.errors import os_errors_at
from fastpack.files.shard import Shard
from fastpack.formats.index.index import Index
from fastpack.reading.origins import ranges_of
from fastpack.stores.fetched import Fetched
from fastpack.stores.ranges import Ranges, join
from fastpack.stores.reads import DirectReads, Reads, RemoteFile
from fastpack.stores.store import Buffer
from fastpack.stores.store_path import StorePath


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

    def start(self, entries: Index) -> "Window":
        """Start to read the blobs of some samples, neighbors together."""
        joined = join(ranges_of(entries))
        return Window(entries.shards, joined, self._start)


class Window:
    """The bytes of some samples, which are being read.

    Args:
        shards: files by number.
        ranges: what is read of them.
        start: how ranges are read.
    """

    def __init__(self, shards: Sequence[Shard], ranges: Ranges, start: StartReads) -> None:
        used = np.flatnonzero(np.bincount(ranges.files)) if len(ranges) else ranges.files
        self._shards = [shards[number] for number in used.tolist()]
        self._ranges = Ranges(np.searchsorted(used, ranges.files), ranges.starts, ranges.ends)
        self._is_remote = np.array(
            [isinstance(shard.path, StorePath) for shard in self._shards], np.bool_
        )
        self._remote_rows = np.flatnonzero(self._is_remote[self._ranges.files])
        remote = np.flatnonzero(self._is_remote)
        of_stores = self._ranges.take(self._remote_rows)
        of_stores = replace(of_stores, files=np.searchsorted(remote, of_stores.files))
        files = [_remote_file(self._shards[number]) for number in remote.tolist()]
        self._reads = start(files, of_stores)

    @property
    def num_bytes(self) -> int:
        return self._ranges.num_bytes

    @property
    def is_ready(self) -> bool:
        """True if `fetched_for` will not wait for a store."""
        return self._reads.is_done()

    @cached_property
    def _buffers(self) -> list[Buffer]:
        """The bytes of each range. Raises the error of a range that cannot be read."""
        buffers: list[Buffer] = [None] * len(self._ranges)
        for row, buffer in zip(self._remote_rows.tolist(), self._reads.result(), strict=True):
            buffers[row] = buffer
        for row in np.flatnonzero(~self._is_remote[self._ranges.files]).tolist():
            shard = self._shards[int(self._ranges.files[row])]
            buffers[row] = _read_local(
                shard, int(self._ranges.starts[row]), int(self._ranges.ends[row])
            )
        return buffers

    def fetched_for(self, shards: Sequence[Shard]) -> Fetched:
        """Wait for the bytes; return them by the numbers that the files have in `shards`."""
        buffers = self._buffers
        numbers = {shard: number for number, shard in enumerate(shards)}
        known = np.array([numbers.get(shard, -1) for shard in self._shards], np.int64)
        files = known[self._ranges.files]
        rows = np.flatnonzero(files >= 0)
        memories = [buffers[row] for row in rows.tolist()]
        ranges = Ranges(files[rows], self._ranges.starts[rows], self._ranges.ends[rows])
        return Fetched(memories, ranges)

    def cancel(self) -> None:
        """End all requests at once."""
        self._reads.cancel()


def _remote_file(shard: Shard) -> RemoteFile:
    path: Any = shard.path  # a StorePath
    return RemoteFile(path, shard.size, shard.etag)


def _read_local(shard: Shard, start: int, end: int) -> bytes:
    """Read a range of a local file, which a batch has beside remote ones."""
    with os_errors_at(shard.path, "read"), open(shard.path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), end - start, start)


def with_bytes(entries: Index, windows: Sequence[Window]) -> Index:
    """Wait for the bytes of samples, and return their index with them."""
    parts = [window.fetched_for(entries.shards) for window in windows]
    return replace(entries, fetched=Fetched.joined(parts))
