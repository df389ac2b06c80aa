"""Files that appear whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from fastpack.errors import FastpackError, OutputExistsError, from_os_error
from fastpack.files.temporary import temporary_in


def check_absent(paths: list[Path], overwrite: bool) -> None:
    for path in paths:
        if not overwrite and path.exists():
            raise OutputExistsError(
                f"the output is there already; ask for overwrite, or choose another name - at {path}"
            )


@contextlib.contextmanager
def atomic_write(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Gives the path of a temporary file beside `path`; its content at the end is synced and takes the name.

    On an exception the temporary file is removed and `path` is left as it was.
    """
    try:
        with temporary_in(path.parent) as temporary:
            yield temporary
            if sync:
                sync_path(temporary)
            os.replace(temporary, path)
            if sync:
                sync_path(path.parent)
    except OSError as error:
        if isinstance(error, FastpackError):
            raise
        raise from_os_error(error, "write", path) from error


def sync_path(path: Path) -> None:
    """Waits until the disk has the file's bytes, or the folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
