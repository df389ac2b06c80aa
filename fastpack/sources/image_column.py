"""Blobs of samples, as a source gives them: files, each read when it is asked for; or bytes that a table holds."""

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fastpack.core.buffer_pool import BufferPool
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged, digest, offsets_of
from fastpack.errors import FastpackError, Location, SourceError, with_location
from fastpack.files.file_names import FileNames, path_of
from fastpack.images.headers import ProbedFiles, probe_blobs, raise_probe_status
from fastpack.sources.links import links_out

# Batches of as many threads are read into memory that is there already.
_MAX_BLOCKS = 32


class ImageColumn(Protocol):
    """One blob for each sample. `sizes` are their bytes; `faults` is what is known to be wrong with some."""

    sizes: npt.NDArray[np.int64]
    faults: Mapping[int, FastpackError]

    def __len__(self) -> int: ...

    def location(self, row: int) -> Location: ...

    def read(self, rows: Rows) -> Ragged:
        """Raises what the first that cannot be read meets, with its place."""
        ...

    def fingerprints(self) -> dict[str, str]: ...


class ImagePathColumn:
    """Image files.

    - root: refuse files that lie outside it once links are followed, without looking at them; None takes them wherever they are.
    - faults: files that are known to be bad and are not looked at.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        root: str | os.PathLike[str] | None = None,
        faults: Mapping[int, FastpackError] = MappingProxyType({}),
    ) -> None:
        self.files = paths if isinstance(paths, FileNames) else FileNames(paths)
        self._memory = BufferPool(max_blocks=_MAX_BLOCKS)
        refused = {
            **(links_out(self.files, str(path_of("root", root))) if root is not None else {}),
            **faults,
        }
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
    """Bytes that a table holds.

    - table: for messages.
    - are_images: refuse what is not an image.
    """

    def __init__(
        self, cells: Ragged, table: str | os.PathLike[str], *, are_images: bool = True
    ) -> None:
        self._cells, self._table, self._are_images = cells, table, are_images
        self.sizes = cells.lengths
        missing = np.flatnonzero(self.sizes == 0).tolist() if are_images else ()
        self.faults: Mapping[int, FastpackError] = {row: self._missing(row) for row in missing}

    def _missing(self, row: int) -> FastpackError:
        return SourceError(
            with_location(
                "the row has no image; leave the row out, or use on_error='skip'",
                self.location(row),
            )
        )

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
        about = os.stat(self._table)
        return {
            "sizes of the images": digest(self.sizes),
            "time of the table": f"{about.st_mtime_ns}",
        }


def _refuse_unreadable(images: Ragged, rows: Rows, encoded: ImageColumn) -> None:
    _, statuses = probe_blobs(images)
    if statuses.any():
        row = int(np.flatnonzero(statuses)[0])
        raise_probe_status(int(statuses[row]), images.bytes(row), encoded.location(int(rows[row])))
