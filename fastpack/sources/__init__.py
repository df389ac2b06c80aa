"""Sources: the samples to pack, from a folder, a list or a table."""

import errno
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
from fastpack.sources.image_files import ImageFiles
from fastpack.sources.sheet import TABLE_SUFFIXES, is_table
from fastpack.sources.table import from_table


class Source(Protocol):
    """The n samples that `pack` writes: thread-safe, read by number.

    A Reader with decode=False is a Source too. A source may have more attributes:

    - `fingerprints() -> dict[str, str]`: checksums that change if the source changes, by a name for
      messages. A pack is resumed only if all are equal.
    - `faults`: sample -> error, known before anything is read. A pack stops before it begins.
    - `notes`: guesses and omissions, a tuple of sentences.
    - `sizes_beside`: bytes of each sample's further blobs together, (n,) int64, or 0.

    Example:
        >>> import fastpack
        >>> reader = fastpack.open(getfixture("digits"), decode=False)
        >>> reader.sizes.shape, reader.read(np.array([3, 5]))["label"]
        ((10,), array([3, 5]))
    """

    @property
    def schema(self) -> Schema:
        """The fields of a sample, and the class names."""
        ...

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each sample's encoded image, (n,), exactly as `read` returns it."""
        ...

    def __len__(self) -> int: ...

    def location(self, row: int) -> Location:
        """Return the place of a sample, for messages."""
        ...

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Return the samples with these numbers, (k,); several threads call it at once.

        Images are a Ragged of encoded bytes.
        """
        ...


def source_of(
    path: str | Path,
    *,
    allow_external: bool = False,
    class_folder: ClassFolder | None = None,
    sidecars: Sequence[str] | None = None,
    **columns: Any,
) -> ImageFiles:
    """Return the source at a path: a folder of images, or a table.

    Args:
        path: of the folder or table.
        allow_external: follow links that lead out of the folder.
        class_folder: for a folder; see `from_folder`.
        sidecars: for a folder; see `from_folder`.
        columns: for a table; see `from_table`.

    Returns:
        The images with labels, keys and further columns.

    Raises:
        MissingFileError: there is nothing at the path.
        OptionError: an option is for the other kind of source.
        SourceError: the path is neither a folder nor a table.

    Example:
        >>> photos = Path(getfixture("tmp_path"), "photos")
        >>> (photos / "cat").mkdir(parents=True)
        >>> _ = (photos / "cat" / "1.jpg").write_bytes(b"...")
        >>> source_of(photos).schema.class_names
        ('cat',)
    """
    path = path_of("path", path)
    if not path.exists():
        message = "there is nothing to pack here; check the path"
        raise MissingFileError(errno.ENOENT, with_location(message, Location(path)))
    if is_table(path):
        if class_folder is not None or sidecars is not None:
            message = "class_folder and sidecars are for a folder of images; a table has columns"
            raise OptionError(with_location(message, Location(path)))
        return from_table(path, allow_external=allow_external, **columns)
    if path.is_dir():
        return from_folder(
            path, allow_external=allow_external, class_folder=class_folder, sidecars=sidecars
        )
    message = f"a source is a folder or a table ({', '.join(TABLE_SUFFIXES)})"
    raise SourceError(with_location(message, Location(path)))


__all__ = [
    "TABLE_SUFFIXES",
    "ImageFiles",
    "Source",
    "from_folder",
    "from_table",
    "is_table",
    "source_of",
]
