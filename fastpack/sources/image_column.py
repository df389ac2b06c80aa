"""ImageColumn: encoded images of a source, in files or in the cells of a table."""

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fastpack.core.buffer_pool import BufferPool
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged, digest, offsets_of
from fastpack.errors import FastpackError, Location, SourceError, os_errors_at, with_location
from fastpack.files.file_names import FileNames, path_of
from fastpack.images.headers import ProbedFiles, probe_blobs, raise_probe_status
from fastpack.sources.links import links_out

_MAX_BLOCKS = 32  # batches whose memory is reused, one for each thread


class ImageColumn(Protocol):
    """One blob for each of n samples. `sizes`: bytes, (n,). `faults`: known errors."""

    sizes: npt.NDArray[np.int64]
    faults: Mapping[int, FastpackError]

    def __len__(self) -> int: ...

    def location(self, row: int) -> Location: ...

    def read(self, rows: Rows) -> Ragged:
        """Return the blobs.

        Raises the error of the first that cannot be read, with its place.
        """
        ...

    def fingerprints(self) -> dict[str, str]: ...


class ImagePathColumn:
    """Images in files.

    Args:
        paths: of the files, (n,).
        root: refuse files outside of this folder, once links are followed. None allows all.
        faults: known errors by row. These files are not opened.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        root: str | os.PathLike[str] | None = None,
        faults: Mapping[int, FastpackError] = MappingProxyType({}),
    ) -> None:
        self.files = paths if isinstance(paths, FileNames) else FileNames(paths)
        self._memory = BufferPool(max_blocks=_MAX_BLOCKS)
        external = {} if root is None else links_out(self.files, str(path_of("root", root)))
        refused = {**external, **faults}
        self.sizes, times, not_files = self.files.stat(refused)
        self._times = digest(times)
        self.faults: Mapping[int, FastpackError] = not_files | refused

    def __len__(self) -> int:
        return len(self.files)

    def location(self, row: int) -> Location:
        return Location(self.files[row])

    def read(self, rows: Rows) -> Ragged:
        offsets = offsets_of(self.sizes[rows])
        images = self.files.read(rows, self._memory.empty((int(offsets[-1]),), np.uint8), offsets)
        _refuse_unreadable(images, rows, self)
        return images

    def fingerprints(self) -> dict[str, str]:
        return {
            "names of the files": self.files.digest(),
            "sizes of the files": digest(self.sizes),
            "times of the files": self._times,
        }


class ImageBytesColumn:
    """Images, or other bytes, in the cells of a table.

    Args:
        cells: the bytes, (n,).
        table: its path, for messages.
        are_images: refuse bytes that are not an image.
    """

    def __init__(
        self, cells: Ragged, table: str | os.PathLike[str], *, are_images: bool = True
    ) -> None:
        self._cells, self._table, self._are_images = cells, table, are_images
        self.sizes = cells.lengths
        missing = np.flatnonzero(self.sizes == 0).tolist() if are_images else ()
        self.faults: Mapping[int, FastpackError] = {row: self._missing(row) for row in missing}

    def _missing(self, row: int) -> FastpackError:
        message = "the row has no image; leave the row out, or use on_error='skip'"
        return SourceError(with_location(message, self.location(row)))

    def __len__(self) -> int:
        return len(self._cells)

    def location(self, row: int) -> Location:
        return Location(self._table, record=row)

    def read(self, rows: Rows) -> Ragged:
        cells = ProbedFiles.of(self._cells.take(rows))
        if self._are_images:
            _refuse_unreadable(cells, rows, self)
        return cells

    def fingerprints(self) -> dict[str, str]:
        with os_errors_at(self._table, "read the table"):
            time = os.stat(self._table).st_mtime_ns
        return {"sizes of the images": digest(self.sizes), "time of the table": f"{time}"}


def _refuse_unreadable(images: Ragged, rows: Rows, column: ImageColumn) -> None:
    _, statuses = probe_blobs(images)
    if statuses.any():
        row = int(np.flatnonzero(statuses)[0])
        raise_probe_status(int(statuses[row]), images.bytes(row), column.location(int(rows[row])))
