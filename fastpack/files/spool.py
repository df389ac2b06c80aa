"""Spool: an array that grows batch by batch and is wanted whole at the end, on disk once it is large.

What a pack finds out about its samples is a hundred bytes for each; in memory, that would be the most of what a pack of many takes.
"""

import mmap
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.files.atomic import write_all

# What is held back before it is written.
_HELD_BYTES = 2**20


class _Pages(mmap.mmap):
    """Of a file that nobody writes to any more."""


class Spool:
    """Rows of one dtype, one behind the other. Not thread-safe.

    - folder: where the file lies, should there be one: it has no name, so it goes with whoever uses it.

    Raises OSError when the disk refuses.

    >>> with_few = Spool(Path(getfixture("tmp_path")), np.int64)
    >>> with_few.append([3, 4]); with_few.append([5])
    >>> with_few.whole().tolist()
    [3, 4, 5]
    """

    def __init__(self, folder: Path, dtype: npt.DTypeLike) -> None:
        self._folder, self._dtype = folder, np.dtype(dtype)
        self._held: list[npt.NDArray[Any]] = []
        self._held_bytes = self._written_bytes = 0
        self._file: Any = None

    def __len__(self) -> int:
        return (self._written_bytes + self._held_bytes) // self._dtype.itemsize

    def append(self, rows: npt.ArrayLike) -> None:
        """Copies rows (n,), which may be used for something else afterwards."""
        copied = np.array(rows, self._dtype)
        self._held.append(copied)
        self._held_bytes += copied.nbytes
        if self._held_bytes > _HELD_BYTES:
            self._write()

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115  # closed by `close`
        write_all(self._file.fileno(), self._joined().view(np.uint8).data)
        self._written_bytes += self._held_bytes
        self._held, self._held_bytes = [], 0

    def _joined(self) -> npt.NDArray[Any]:
        return np.concatenate(self._held) if self._held else np.empty(0, self._dtype)

    def whole(self) -> npt.NDArray[Any]:
        """All rows (n,), not to be written to: what is on disk stays there, and comes to memory as it is looked at (see `release`).
        Nothing is appended afterwards."""
        if self._file is None:
            rows, self._held = self._joined(), []
            return rows
        if self._held:
            self._write()
        pages = _Pages(self._file.fileno(), self._written_bytes, access=mmap.ACCESS_READ)
        self.close()
        return np.frombuffer(pages, self._dtype)

    def close(self) -> None:
        """Gives the disk back what `whole` has not been asked for."""
        if self._file is not None:
            self._file.close()
            self._file = None


def release(array: npt.NDArray[Any]) -> None:
    """What was looked at of an array that is on disk leaves memory; it comes again when it is looked at."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    pages = base.obj if isinstance(base, memoryview) else base
    if isinstance(pages, _Pages):
        with suppress(AttributeError):  # of systems that have no such call
            pages.madvise(mmap.MADV_DONTNEED)
