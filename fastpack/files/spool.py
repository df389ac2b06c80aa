"""Spool: an array that grows by batches, on disk once it is large.

A pack learns about 100 bytes of each sample. In memory, they would be most of what a pack needs.
"""

import mmap
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.files.atomic import write_all

_HELD_BYTES = 2**20  # collected in memory before they are written


class _Pages(mmap.mmap):
    """The pages of a file that is complete."""


class Spool:
    """Rows of one dtype, appended one after another. Not thread-safe. Raises OSError.

    Args:
        folder: of the file. The file has no name, so it goes when the process ends.
        dtype: of the rows.

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
        """Append a copy of rows (n,)."""
        copied = np.array(rows, self._dtype)
        self._held.append(copied)
        self._held_bytes += copied.nbytes
        if self._held_bytes > _HELD_BYTES:
            self._write()

    def _write(self) -> None:
        if self._file is None:
            # Closed by `close`.
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
        write_all(self._file.fileno(), self._joined().view(np.uint8).data)
        self._written_bytes += self._held_bytes
        self._held, self._held_bytes = [], 0

    def _joined(self) -> npt.NDArray[Any]:
        return np.concatenate(self._held) if self._held else np.empty(0, self._dtype)

    def whole(self) -> npt.NDArray[Any]:
        """Return all rows (n,), read-only. Nothing can be appended afterwards.

        Rows on disk are mapped: they come to memory when they are read (see `release`).
        """
        if self._file is None:
            rows, self._held = self._joined(), []
            return rows
        if self._held:
            self._write()
        pages = _Pages(self._file.fileno(), self._written_bytes, access=mmap.ACCESS_READ)
        self.close()
        return np.frombuffer(pages, self._dtype)

    def close(self) -> None:
        """Free the disk. Only an array that `whole` returned keeps its rows."""
        if self._file is not None:
            self._file.close()
            self._file = None


def release(array: npt.NDArray[Any]) -> None:
    """Free the memory of a `Spool.whole` array; reads bring its pages back."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    pages = base.obj if isinstance(base, memoryview) else base
    if isinstance(pages, _Pages):
        with suppress(AttributeError):  # some systems have no madvise
            pages.madvise(mmap.MADV_DONTNEED)
