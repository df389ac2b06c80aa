"""Scratch: bytes in a temporary file, which all processes of a machine share.

A pickle has the path instead of the bytes. The processes that map the file share its pages.
"""

import contextlib
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.errors import (
    ChangedFileError,
    Location,
    MissingFileError,
    os_errors_at,
    with_location,
)
from fastpack.files.atomic import write_all
from fastpack.files.temporary import create_owned, remove_owned


class Scratch:
    """Bytes in a temporary file, read-only, and removed with the object that `write` returned.

    Thread-safe, fork-safe and picklable. Copies from pickles do not own the file.

    - path: of the file. Use `opened` or `mapped`, which compare the file with what was written.
    - num_bytes: bytes of the file.

    >>> Scratch.write(b"shared").mapped().tobytes()
    b'shared'
    """

    def __init__(self, path: Path, num_bytes: int, crc: int) -> None:
        self.path, self.num_bytes, self._crc = path, num_bytes, crc

    @classmethod
    def write(cls, data: bytes | bytearray | memoryview) -> "Scratch":
        """Write bytes to a new temporary file (mode 0600).

        This process removes the file when the returned object or the process ends. A process that
        was killed leaves its file. The next `write` of the same user removes it.

        Raises:
            FastpackError: there is no folder for temporary files, or its disk is full.
        """
        plain = memoryview(data).cast("B")
        folder = _folder()
        with os_errors_at(folder):
            path, descriptor = _written(folder, plain)
        scratch = cls(path, len(plain), crc32c(_bytes(plain)))
        weakref.finalize(scratch, remove_owned, path, descriptor, os.getpid())
        return scratch

    def __reduce__(self) -> tuple[Any, ...]:
        return Scratch, (self.path, self.num_bytes, self._crc)

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """Yield a descriptor of the file, for reading. Compares its size.

        Raises:
            MissingFileError: the process that wrote the file has ended.
            ChangedFileError: the file has another size.
        """
        with os_errors_at(self.path, "read"):
            try:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                raise MissingFileError(
                    with_location(
                        "this part of an open dataset was in a temporary file of another process, "
                        "which has ended; open the dataset again",
                        Location(self.path),
                    )
                ) from None
            try:
                if os.fstat(descriptor).st_size != self.num_bytes:
                    raise self._changed()
                yield descriptor
            finally:
                os.close(descriptor)

    def mapped(self) -> memoryview:
        """Return the bytes, mapped read-only. Compares their checksum.

        The map outlives the file's name.

        Raises:
            MissingFileError: the process that wrote the file has ended.
            ChangedFileError: the file has other bytes.
        """
        with self.opened() as descriptor:
            if not self.num_bytes:
                return memoryview(b"")
            pages = memoryview(mmap.mmap(descriptor, self.num_bytes, access=mmap.ACCESS_READ))
        if crc32c(_bytes(pages)) != self._crc:
            raise self._changed()
        return pages

    def _changed(self) -> ChangedFileError:
        message = "a temporary file of fastpack was modified; open the dataset again"
        return ChangedFileError(with_location(message, Location(self.path)))


def _folder() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise MissingFileError(
            "there is no writable folder for temporary files; set the environment variable TMPDIR "
            "to one"
        ) from error


def _written(folder: Path, data: memoryview) -> tuple[Path, int]:
    """Write a new file. Returns its path and its descriptor, which has the lock."""
    path, descriptor = create_owned(folder)
    try:
        write_all(descriptor, data)
    except BaseException:
        remove_owned(path, descriptor, os.getpid())
        raise
    return path, descriptor


def _bytes(data: memoryview) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)
