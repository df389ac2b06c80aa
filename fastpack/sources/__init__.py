"""Sources: where samples to pack come from, a module for each kind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastpack.core.schema import Schema
from fastpack.errors import Location, MissingFileError, OptionError, SourceError, with_location
from fastpack.files.classes import ClassFolder
from fastpack.files.file_names import path_of
from fastpack.images.batch import Batch
from fastpack.sources.folder import from_folder
from fastpack.sources.paths import ImageFiles
from fastpack.sources.rows import TABLE_SUFFIXES, is_table
from fastpack.sources.table import from_table


class Source(Protocol):
    """A sized, random-access, thread-safe giver of samples. A Reader with decode=False is one too.

    It may have a method `fingerprints() -> dict[str, str]` besides: what changes when the source does, under the names that
    a message can call it by. An interrupted pack goes on only where all are what they were. And `faults`, sample -> error: what
    is known to be wrong before anything is read, so that a pack need not begin. And `notes`, a tuple of sentences: what was
    guessed or left out. And `sizes_beside`: bytes of each sample's further blobs together, (n,), or 0.
    """

    @property
    def schema(self) -> Schema: ...

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each sample's encoded image, (n,). What `read` gives has exactly these sizes."""
        ...

    def __len__(self) -> int: ...

    def location(self, row: int) -> Location:
        """Where a sample comes from, for messages."""
        ...

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        """The samples with these numbers; images as a Ragged of undecoded bytes. Several threads ask at once."""
        ...


def source_of(
    path: str | Path,
    *,
    allow_external: bool = False,
    class_folder: ClassFolder | None = None,
    sidecars: Sequence[str] | None = None,
    **columns: Any,
) -> ImageFiles:
    """The source at a path: a folder of images, or a CSV, JSONL or Parquet table of them.

    - allow_external: follow links that lead out of the folder.
    - class_folder, sidecars: of a folder; see `from_folder`.
    - columns: of a table; see `from_table`. A folder has none.
    """
    path = path_of("path", path)
    if not path.exists():
        raise MissingFileError(
            2, with_location("there is nothing to pack here; check the path", Location(path))
        )
    if is_table(path):
        if class_folder is not None or sidecars is not None:
            raise OptionError(
                with_location(
                    "class_folder and sidecars are for a folder of images; a table has columns",
                    Location(path),
                )
            )
        return from_table(path, allow_external=allow_external, **columns)
    if path.is_dir():
        return from_folder(
            path, allow_external=allow_external, class_folder=class_folder, sidecars=sidecars
        )
    raise SourceError(
        with_location(
            f"a source is a folder or a table ({', '.join(TABLE_SUFFIXES)})", Location(path)
        )
    )


__all__ = [
    "TABLE_SUFFIXES",
    "ImageFiles",
    "Source",
    "from_folder",
    "from_table",
    "is_table",
    "source_of",
]
