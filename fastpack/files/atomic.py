"""Atomic writes: a file gets its name when it is complete, or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from fastpack.errors import Location, OutputExistsError, os_errors_at, with_location
from fastpack.files.temporary import temporary_in

# Bytes that one call writes. Larger calls hold the page cache's lock longer: see write_rows.c.
_MAX_CALL_BYTES = 128 * 1024


def check_absent(paths: list[Path], overwrite: bool) -> None:
    """Raise OutputExistsError if a file exists and `overwrite` is false."""
    for path in paths:
        if not overwrite and path.exists():
            message = "the output is there already; ask for overwrite, or choose another name"
            raise OutputExistsError(with_location(message, Location(path)))


@contextlib.contextmanager
def atomic_write(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield the path of a temporary file, which takes the name `path` at the end.

    On an exception the temporary file is removed and `path` is left as it was.

    Args:
        path: name of the complete file.
        sync: wait until the disk has the content and the name.
    """
    with os_errors_at(path), temporary_in(path.parent) as temporary:
        yield temporary
        if sync:
            sync_path(temporary)
        os.replace(temporary, path)
        if sync:
            sync_path(path.parent)


def write_all(
    descriptor: int, data: bytes | bytearray | memoryview, offset: int | None = None
) -> None:
    """Write all bytes of `data`, at the file position or at `offset`. Raises OSError."""
    left = memoryview(data).cast("B")
    while left:
        piece = left[:_MAX_CALL_BYTES]
        num_written = (
            os.write(descriptor, piece) if offset is None else os.pwrite(descriptor, piece, offset)
        )
        left = left[num_written:]
        offset = None if offset is None else offset + num_written


def sync_path(path: Path) -> None:
    """Wait until the disk has the file's bytes, or the folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
