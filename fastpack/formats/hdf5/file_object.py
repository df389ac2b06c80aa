"""Files that HDF5's library writes through Python, so that it never sees a failed write.

After a failed write the library has a half-closed file: it may lose the error, write the rest
later, or crash. Here the first failure is kept, later writes are discarded, and the caller gets the
error.
"""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import h5py
from h5py._objects import phil

from fastpack.formats.hdf5.collector import without_collector

Mode = Literal["w", "r+"]
_FLAGS = {"w": os.O_RDWR | os.O_CREAT | os.O_TRUNC, "r+": os.O_RDWR}
# Bytes that one call writes: see write_rows.c.
_CALL_BYTES = 128 * 1024


class WrittenFile:
    """A file that HDF5's library writes; a failed write raises the OS's OSError.

    Calls of the library are made on `file`, inside `calls`.

    Args:
        path: of the file.
        mode: "w" or "r+".
        libver: oldest and newest version of the format to use; all readers since 1.6 open
            "earliest".
    """

    def __init__(
        self, path: Path, mode: Mode = "w", libver: tuple[str, str] = ("earliest", "v108")
    ) -> None:
        self._disk = _Disk(path, mode)
        try:
            with self.calls():
                self.file = h5py.File(self._disk, mode, libver=libver, locking=False)
        except BaseException:
            self._disk.close()
            raise

    @contextmanager
    def calls(self) -> Iterator[None]:
        """Raise the OSError of a failed write inside, instead of the library's own error."""
        try:
            with _undisturbed():
                yield
        except Exception as error:
            raise self._disk.failure or error from None
        if self._disk.failure is not None:
            raise self._disk.failure

    def __enter__(self) -> h5py.File:
        return self.file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self.calls():
                self.file.close()
                if isinstance(error, Exception):
                    raise error
        finally:
            self._disk.close()

    def abandon(self) -> None:
        """Close without flushing; pending writes of the library are discarded."""
        self._disk.give_up()
        with suppress(Exception), _undisturbed():
            self.file.close()
        self._disk.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Make the library's calls to our Python safe: no other call of it may interrupt them."""
    with phil, without_collector():  # h5py's own lock keeps other threads out of the library
        yield


class _Disk(io.RawIOBase):
    """A file object for h5py, with its own position."""

    def __init__(self, path: Path, mode: Mode) -> None:
        self.failure: OSError | None = None
        self._position = 0
        self._descriptor = os.open(path, _FLAGS[mode] | os.O_CLOEXEC, 0o666)

    def give_up(self) -> None:
        """Discard all later writes."""
        self.failure = self.failure or OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        num_read = os.preadv(self._descriptor, [view], self._position)
        self._position += num_read
        return num_read

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        num_bytes = len(left)
        with self._kept():
            while left and self.failure is None:
                written = os.pwrite(self._descriptor, left[:_CALL_BYTES], self._position)
                left, self._position = left[written:], self._position + written
        self._position += len(left)
        return num_bytes

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        self._position = (os.fstat(self._descriptor).st_size if start is None else start) + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def truncate(self, size: int | None = None) -> int:
        size = self._position if size is None else size
        with self._kept():
            if self.failure is None and size != os.fstat(self._descriptor).st_size:
                os.ftruncate(self._descriptor, size)
        return size

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error
