"""Shard: one file of a dataset. Its identity, how it comes into being whole, and its open descriptor."""

import contextlib
import errno
import os
import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.errors import Location, UnreadableFileError, changed_file_error, from_os_error

# Enough of both ends of a file to tell it from another of the same size and time.
_FINGERPRINT_BYTES = 4096
_MIN_KEPT = 16  # files that stay open, however few a process may have


@dataclass(frozen=True)
class Shard:
    """One file as it was when it was indexed: size in bytes, modification time in ns, a checksum of its ends.

    The inode, where it is known, spares reading the ends again. It is not compared: a copy has another, and some network file systems
    give a file another one now and then.
    """

    path: Path
    container: str
    size: int
    mtime_ns: int
    fingerprint: int
    inode: int = field(default=0, compare=False)

    @classmethod
    def of(cls, path: Path, container: str) -> "Shard":
        try:
            with open(path, "rb", buffering=0) as file:
                return cls.of_open(file.fileno(), path, container)
        except OSError as error:
            raise from_os_error(error, "read", path) from error

    @classmethod
    def of_open(cls, descriptor: int, path: Path, container: str) -> "Shard":
        status = os.fstat(descriptor)
        return cls(
            path,
            container,
            status.st_size,
            status.st_mtime_ns,
            _fingerprint(descriptor),
            status.st_ino,
        )

    def is_open_at(self, descriptor: int) -> bool:
        """True when the open file is this one."""
        status = os.fstat(descriptor)
        if (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns):
            return False
        return status.st_ino == self.inode or _fingerprint(descriptor) == self.fingerprint


def _fingerprint(descriptor: int) -> int:
    """A checksum of both ends of an open file."""
    last = max(0, os.fstat(descriptor).st_size - _FINGERPRINT_BYTES)
    return crc32c(
        os.pread(descriptor, _FINGERPRINT_BYTES, last),
        crc32c(os.pread(descriptor, _FINGERPRINT_BYTES, 0)),
    )


class Descriptors(np.ndarray[Any, np.dtype[np.int32]]):
    """Descriptors by shard number, -1 for shards that were not asked for. The files stay open for as long as this lives."""

    files: "list[_OpenFile]"


class OpenShards:
    """The descriptors of the shards, opened when first needed; the one owner of them.

    A descriptor is only ever read at given offsets, so threads and forked children may share it. Of the files that a process may have
    open, no more than a part stay open for the next read: a dataset may have thousands.

    Each file is compared with its shard when it is opened, and again when it was written to while it stayed open. A file that
    another one replaced is still read as long as it stays open: its bytes are those that were indexed.
    """

    def __init__(self, shards: tuple[Shard, ...]) -> None:
        self._shards = shards
        self._kept: OrderedDict[int, _OpenFile] = (
            OrderedDict()
        )  # without locks, which a fork could leave held: each step is one call
        self._max_kept = _max_kept()

    def __reduce__(self) -> Any:
        return OpenShards, (self._shards,)

    def descriptors(self, shard_numbers: npt.NDArray[np.uint32]) -> Descriptors:
        """Of the shards with these numbers."""
        table = np.full(len(self._shards), -1, np.int32).view(Descriptors)
        table.files = []
        for number in np.flatnonzero(
            np.bincount(shard_numbers)
        ).tolist():  # np.unique would import numpy.ma first
            file = self._file(number)
            table.files.append(file)
            table[number] = file.descriptor
        return table

    def _file(self, number: int) -> "_OpenFile":
        shard, file = self._shards[number], self._kept.pop(number, None)
        if file is None or not shard.is_open_at(file.descriptor):
            file = self._open(shard)
        self._kept[number] = file  # as the one that was used last
        while len(self._kept) > self._max_kept:
            with contextlib.suppress(KeyError):  # another thread was faster
                self._kept.popitem(last=False)
        return file

    def _open(self, shard: Shard) -> "_OpenFile":
        try:
            return _open_unchanged(shard)
        except UnreadableFileError as error:
            if error.errno != errno.EMFILE:
                raise
        self._kept.clear()  # closes those that nobody reads now
        return _open_unchanged(shard)


class _OpenFile:
    """Owns a descriptor, for its readers and for those who may come."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


def _max_kept() -> int:
    """A quarter of the files that this process may have open."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(_MIN_KEPT, most // 4) if most != resource.RLIM_INFINITY else sys.maxsize


def _open_unchanged(shard: Shard) -> _OpenFile:
    try:
        file = _OpenFile(os.open(shard.path, os.O_RDONLY | os.O_CLOEXEC))
        is_unchanged = shard.is_open_at(file.descriptor)
    except OSError as error:
        raise from_os_error(error, "read", shard.path) from error
    if not is_unchanged:
        raise changed_file_error(Location(shard.path))
    return file
