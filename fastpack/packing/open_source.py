"""The source at a path: image files, or a packed dataset."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastpack.errors import EmptySourceError, Location, OptionError, with_location
from fastpack.files.classes import ClassFolder
from fastpack.files.file_names import path_of
from fastpack.formats import registry
from fastpack.reading.open import open as open_dataset
from fastpack.sources import TABLE_SUFFIXES, Source, from_folder, is_table, source_of
from fastpack.stores.store_path import is_in_store


def open_source(
    path: str | os.PathLike[str],
    *,
    fields: Sequence[str] | None = None,
    index_dir: Path | None = None,
    save_index: bool = False,
    allow_external: bool = False,
    class_folder: ClassFolder | None = None,
    sidecars: Sequence[str] | None = None,
    **columns: Any,
) -> Source:
    """Open a folder of images, a table of images or a packed dataset.

    In a store, it is a packed dataset or a folder of images.

    `columns` are arguments of `from_table`; they are refused for another source. Raises
    MissingFileError, EmptySourceError, or FormatError for another kind of file.
    """
    path = path_of("path", path)

    def dataset() -> Source:
        return open_dataset(
            path,
            decode=False,
            save_index=save_index,
            index_dir=index_dir,
            allow_external=allow_external,
            class_folder=class_folder,
            sidecars=sidecars,
        )

    if is_in_store(path):
        _refuse_table(path)
    elif is_table(path):
        return source_of(
            path,
            fields=fields,
            allow_external=allow_external,
            class_folder=class_folder,
            sidecars=sidecars,
            **columns,
        )
    if given := [name for name, value in columns.items() if value is not None]:
        raise OptionError(f"{given[0]}=... is for a table, and {path} is not one; leave it out")
    if not _is_folder(path):
        return dataset()
    try:
        return from_folder(
            path, allow_external=allow_external, class_folder=class_folder, sidecars=sidecars
        )
    except EmptySourceError as no_images:
        try:
            return dataset()
        except EmptySourceError:
            raise no_images from None


def _refuse_table(path: Path) -> None:
    if path.suffix.lower() in TABLE_SUFFIXES:
        message = "a table must be on a local disk; copy it there"
        raise OptionError(with_location(message, Location(path)))


def _is_folder(path: Path) -> bool:
    """Return True for a folder; in a store, for a name that no object, set or glob has."""
    if not is_in_store(path):
        return path.is_dir()
    is_packed = registry.is_packed_name(path.name) or any(letter in path.name for letter in "*?[")
    return not is_packed and not path.is_file()
