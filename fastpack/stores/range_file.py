"""RangeFile: an object as a read-only file, of which only those parts are read that are needed.

They go to a sparse temporary file, so kernels may read them by its descriptor: `need` brings what
they will read. All parts are of one content of the object.
"""

import io
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.errors import FastpackError, os_errors_at
from fastpack.stores.ranges import MAX_GAP, MAX_REQUEST, Ranges, join
from fastpack.stores.store_path import StorePath, as_object, is_in_store

_BLOCK = 2**16
# A read brings this much, and twice as much each time that it goes on where the last one ended.
_FIRST_AHEAD, _MAX_AHEAD = 2**18, MAX_REQUEST
_WRITTEN_AT_ONCE = 2**26  # bytes in memory

Numbers = npt.NDArray[Any]


class RangeFile(io.RawIOBase):
    """An open object, with a position of its own.

    Files of one object share the parts that were read, as long as one of them lives. `readinto`
    waits without other threads of Python: HDF5's library calls it while it has a lock that they
    may need. It raises nothing, since the library would lose the error: see `failure`.
    """

    def __init__(self, path: StorePath) -> None:
        self._parts, self._position = _parts_of(path), 0

    @property
    def failure(self) -> FastpackError | None:
        """The error of the first read that failed."""
        return self._parts.failure

    @property
    def num_read(self) -> int:
        """Bytes that were read from the store."""
        return self._parts.num_read

    def need(self, starts: Numbers, lengths: Numbers) -> None:
        """Read some ranges, many at once, so that `fileno` has them. Raises FastpackError."""
        self._parts.need(starts, lengths)

    def fileno(self) -> int:
        return self._parts.descriptor

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        view = view[: max(0, self._parts.size - self._position)]
        if not self._parts.has_read(self._position, len(view)):
            return 0
        num_read = os.preadv(self.fileno(), [view], self._position) if view else 0
        self._position += num_read
        return num_read

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence, self._parts.size)
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Do nothing: it is only read."""


class _Parts:
    """The parts of one content of an object that were read, in a sparse file."""

    def __init__(self, path: StorePath) -> None:
        facts = path.facts()
        self._path, self._etag, self.size = path, facts.etag, facts.size
        self.failure: FastpackError | None = None
        self.num_read = 0
        self._has = np.zeros(-(-self.size // _BLOCK), np.bool_)
        self._next, self._ahead = -1, _FIRST_AHEAD
        with os_errors_at(Path(tempfile.gettempdir())):
            self.descriptor, name = tempfile.mkstemp(prefix="fastpack-")
            os.unlink(name)
            weakref.finalize(self, os.close, self.descriptor)
            os.ftruncate(self.descriptor, self.size)

    def need(self, starts: Numbers, lengths: Numbers) -> None:
        firsts = starts.astype(np.int64) // _BLOCK
        ends = -(-(starts.astype(np.int64) + lengths.astype(np.int64)) // _BLOCK)
        change = np.zeros(len(self._has) + 1, np.int64)
        within = (lengths > 0) & (firsts < len(self._has))
        np.add.at(change, firsts[within], 1)
        np.add.at(change, np.minimum(ends[within], len(self._has)), -1)
        missing = np.flatnonzero((np.cumsum(change[:-1]) > 0) & ~self._has)
        if not len(missing):
            return
        blocks = missing * _BLOCK
        ranges = Ranges(
            np.zeros(len(missing), np.int64), blocks, np.minimum(blocks + _BLOCK, self.size)
        )
        joined = join(ranges, MAX_GAP, MAX_REQUEST)
        part = np.cumsum(joined.ends - joined.starts) // _WRITTEN_AT_ONCE
        for number in range(int(part[-1]) + 1):
            rows = np.flatnonzero(part == number)
            wanted = joined.starts[rows].tolist(), joined.ends[rows].tolist()
            read = self._path.store.read_ranges(self._path.key, *wanted, self._etag)
            for start, data in zip(wanted[0], read, strict=True):
                self._keep(start, memoryview(data))

    def has_read(self, start: int, length: int) -> bool:
        """Read a range, in this thread alone; return False if that fails."""
        first, end = start // _BLOCK, -(-(start + length) // _BLOCK)
        try:
            while len(missing := np.flatnonzero(~self._has[first:end])):
                self._read_from(first + int(missing[0]), end)
            return True
        except FastpackError as error:
            self.failure = self.failure or error
            return False

    def _read_from(self, block: int, end: int) -> None:
        """Read on from a missing block, at most to the next one that is there."""
        is_next = block == self._next
        self._ahead = min(2 * self._ahead, _MAX_AHEAD) if is_next else _FIRST_AHEAD
        last = max(min(end, block + _MAX_AHEAD // _BLOCK), block + self._ahead // _BLOCK)
        present = np.flatnonzero(self._has[block:last])
        last = block + int(present[0]) if len(present) else min(last, len(self._has))
        start, stop = block * _BLOCK, min(last * _BLOCK, self.size)
        if start >= stop:  # another thread was faster
            return
        data = self._path.store.read_alone(  # type: ignore[attr-defined]
            self._path.key, start, stop, self._etag
        )
        self._keep(start, memoryview(data))
        self._next = last

    def _keep(self, start: int, data: memoryview) -> None:
        with os_errors_at(Path(tempfile.gettempdir())):
            done = 0
            while done < len(data):
                done += os.pwrite(self.descriptor, data[done : done + 2**20], start + done)
        self.num_read += len(data)
        self._has[start // _BLOCK : -(-(start + len(data)) // _BLOCK)] = True


_open_parts: "weakref.WeakValueDictionary[tuple[Any, ...], _Parts]" = weakref.WeakValueDictionary()


def _parts_of(path: StorePath) -> _Parts:
    known = os.getpid(), path, path.facts().etag
    parts = _open_parts.get(known)
    if parts is None or parts.failure is not None:
        _open_parts[known] = parts = _Parts(path)
    return parts


def can_read_alone(path: Path) -> bool:
    """Return True if the store of an object can be read without other threads of Python."""
    return hasattr(as_object(path).store, "read_alone")


def open_bytes(path: Path) -> Any:
    """Open a file or an object to read it without a buffer. Raises OSError or FastpackError."""
    return RangeFile(as_object(path)) if is_in_store(path) else open(path, "rb", buffering=0)


def need(file: Any, starts: Numbers, lengths: Numbers) -> None:
    """Bring some ranges to the descriptor of an open object; files have them."""
    if isinstance(file, RangeFile):
        file.need(starts, lengths)
