"""The source at a path: image files, or a packed dataset."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastpack.errors import EmptySourceError, OptionError
from fastpack.files.classes import ClassFolder
from fastpack.files.file_names import path_of
from fastpack.reading.open import open as open_dataset
from fastpack.sources import Source, from_folder, is_table, source_of
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

    In a store, it must be a packed dataset.

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
        return dataset()
    if is_table(path):
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
    if not path.is_dir():
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
