"""Shard: one file of a dataset and its identity.

OpenShards: the open files of a dataset.
"""

import contextlib
import errno
import os
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.errors import Location, UnreadableFileError, changed_file_error, os_errors_at
from fastpack.stores.store import ObjectFacts
from fastpack.stores.store_path import as_object, is_in_store

# Enough of both ends of a file to distinguish it from another of the same size and time.
_FINGERPRINT_BYTES = 4096
_MIN_KEPT = 16  # files that stay open, whatever the limit of the process


@dataclass(frozen=True)
class Shard:
    """One file, or object in a store, as it was when it was indexed.

    Args:
        path: the file; for an object a StorePath, which has the same interface.
        container: name of its container.
        size: in bytes.
        mtime_ns: modification time in ns; 0 for an object with an etag.
        fingerprint: CRC-32C of the file's ends; 0 for an object.
        inode: 0 if unknown. An equal inode spares reading the ends again. It is not compared: a
            copy has another, and some network file systems change it.
        etag: the store's identity of the object's content; "" for a file.
    """

    path: Path
    container: str
    size: int
    mtime_ns: int
    fingerprint: int
    inode: int = field(default=0, compare=False)
    etag: str = ""

    @classmethod
    def of(cls, path: Path, container: str) -> "Shard":
        """Return the shard that the file is now."""
        if is_in_store(path):
            return cls.of_object(path, container, as_object(path).facts())
        with os_errors_at(path, "read"), open(path, "rb", buffering=0) as file:
            return cls.of_open(file.fileno(), path, container)

    @classmethod
    def of_open(cls, descriptor: int, path: Path, container: str) -> "Shard":
        """Return the shard that an open file is now. Raises OSError."""
        status = os.fstat(descriptor)
        fingerprint = _fingerprint(descriptor)
        return cls(path, container, status.st_size, status.st_mtime_ns, fingerprint, status.st_ino)

    @classmethod
    def of_object(cls, path: Path, container: str, facts: ObjectFacts) -> "Shard":
        """Return the shard of an object with these facts."""
        mtime_ns = 0 if facts.etag else facts.mtime_ns
        return cls(path, container, facts.size, mtime_ns, 0, etag=facts.etag)

    def to_json(self, folder: Path) -> list[str | int]:
        """Return the path relative to `folder`, and the identity, for a saved index."""
        path = _relative(self.path, folder)
        etag = [self.etag] if self.etag else []
        return [path, self.container, self.size, self.mtime_ns, self.fingerprint, *etag]

    @classmethod
    def of_json(cls, path: Path, saved: Sequence[Any]) -> "Shard":
        """Return the shard with a path and an identity of `to_json`. Raises ValueError."""
        _, container, *numbers = saved
        etag = numbers.pop() if len(numbers) > 3 else ""
        if not all(isinstance(number, int) for number in numbers) or not isinstance(etag, str):
            raise ValueError("a file's identity is not of numbers")
        size, mtime_ns, fingerprint = numbers
        return cls(path, container, size, mtime_ns, fingerprint, etag=etag)

    @property
    def content(self) -> int:
        """A checksum of what is known of the content, for the digest of a dataset."""
        return crc32c(self.etag.encode()) if self.etag else self.fingerprint

    def is_open_at(self, descriptor: int) -> bool:
        """Return True if the open file is this one."""
        status = os.fstat(descriptor)
        if (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns):
            return False
        return status.st_ino == self.inode or _fingerprint(descriptor) == self.fingerprint


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if is_in_store(path) else os.path.relpath(path, folder)


def fingerprint_spans(size: int) -> tuple[list[int], list[int]]:
    """Return starts and ends of the bytes of a file that its fingerprint is of, in order."""
    starts = [0, max(0, size - _FINGERPRINT_BYTES)]
    return starts, [min(size, start + _FINGERPRINT_BYTES) for start in starts]


def _fingerprint(descriptor: int) -> int:
    """Return a checksum of both ends of an open file."""
    checksum = 0
    for start, end in zip(*fingerprint_spans(os.fstat(descriptor).st_size), strict=True):
        checksum = crc32c(os.pread(descriptor, end - start, start), checksum)
    return checksum


class Descriptors(np.ndarray[Any, np.dtype[np.int32]]):
    """Descriptors by shard number, -1 for other shards.

    The files stay open as long as it lives.
    """

    files: "list[_OpenFile]"


class OpenShards:
    """Owns the descriptors of a dataset's shards, opened when first needed.

    A descriptor is only read at given offsets, so threads and forked children may share it. A part
    of the files that the process may have open stay open for the next read.

    Each file is compared with its shard when it is opened, and if it was written to since. A file
    that was replaced is still read while it is open: its bytes are those that were indexed.
    """

    def __init__(self) -> None:
        # Without locks, which a fork could leave locked: each step is one call.
        self._kept: OrderedDict[Shard, _OpenFile] = OrderedDict()
        self._max_kept = max_open(4)

    def __reduce__(self) -> Any:
        return OpenShards, ()

    def descriptors(self, shards: Sequence[Shard], numbers: npt.NDArray[np.uint32]) -> Descriptors:
        """Return the descriptors of the shards with these numbers, (len(shards),) int32."""
        table = np.full(len(shards), -1, np.int32).view(Descriptors)
        table.files = []
        # Not np.unique, which would import numpy.ma first.
        for number in np.flatnonzero(np.bincount(numbers)).tolist():
            file = self._file(shards[number])
            table.files.append(file)
            table[number] = file.descriptor
        return table

    def _file(self, shard: Shard) -> "_OpenFile":
        file = self._kept.pop(shard, None)
        if file is None or not file.is_unchanged(shard):
            file = self._open(shard)
        self._kept[shard] = file  # as the one that was used last
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
        self._kept.clear()  # closes the files that are not being read
        return _open_unchanged(shard)


class _OpenFile:
    """Owns a descriptor, which is closed when the last reader releases it."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def is_unchanged(self, shard: Shard) -> bool:
        """Return True if nothing was written to the file since it was compared with its shard."""
        status = os.fstat(self.descriptor)
        return (status.st_size, status.st_mtime_ns) == (shard.size, shard.mtime_ns)

    def __del__(self) -> None:
        os.close(self.descriptor)


def max_open(share: int) -> int:
    """Return how many files may stay open: one `share`-th of those of this process, or 16."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else max(_MIN_KEPT, limit // share)


def _open_unchanged(shard: Shard) -> _OpenFile:
    with os_errors_at(shard.path, "read"):
        file = _OpenFile(os.open(shard.path, os.O_RDONLY | os.O_CLOEXEC))
        is_unchanged = shard.is_open_at(file.descriptor)
    if not is_unchanged:
        raise changed_file_error(Location(shard.path))
    return file
