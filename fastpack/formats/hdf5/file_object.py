"""HDF5's library over a disk on which nothing fails, as far as the library can see.

When a write is refused, the library stays with a file half closed: it may forget the failure, write the rest later, or crash.
So all that it writes goes through here. The first failure is kept, what comes after it is thrown away, and whoever
uses the file is told.
"""

import errno
import gc
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import h5py
from h5py._objects import phil

Mode = Literal["w", "r+"]
_FLAGS = {"w": os.O_RDWR | os.O_CREAT | os.O_TRUNC, "r+": os.O_RDWR}
# What one call writes: see write_rows.c.
_CALL_BYTES = 128 * 1024


class WrittenFile:
    """A file that is written through HDF5's library. Raises OSError, as the system told it, when a write was refused.

    - file: for the library's calls, which are made within `calls`.
    - libver: the oldest and the newest form of HDF5 that may be used; "earliest" is what every reader since 1.6 opens.
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
        """Tells what the disk refused the library in the calls within, not what the library made of it."""
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
        """Lets go of the file, in whatever state it is; what the library still wants to write, nobody wants."""
        self._disk.give_up()
        with suppress(Exception), _undisturbed():
            self.file.close()
        self._disk.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Within, the library's calls to our Python are safe: it must not be entered again from there, which happens when the
    garbage collector, at whatever allocation, finds an old object of h5py's and lets go of it."""
    with phil:  # h5py's own lock: no other thread is in the library, or in here
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if was_enabled:
                gc.enable()


class _Disk(io.RawIOBase):
    """What h5py asks of a file object, read and written at its own position."""

    def __init__(self, path: Path, mode: Mode) -> None:
        self.failure: OSError | None = None
        self._position = 0
        self._descriptor = os.open(path, _FLAGS[mode] | os.O_CLOEXEC, 0o666)

    def give_up(self) -> None:
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
        """Nothing is held back."""

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
