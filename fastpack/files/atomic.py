"""Files that appear whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from fastpack.errors import OutputExistsError, os_errors_at
from fastpack.files.temporary import temporary_in

# Bytes that one call writes. Larger calls hold the page cache's lock longer: see write_rows.c.
_MAX_CALL_BYTES = 128 * 1024


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
    """Waits until the disk has the file's bytes, or the folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
