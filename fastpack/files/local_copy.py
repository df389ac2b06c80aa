"""Local copies: whole objects in temporary files, for programs that need a file."""

import contextlib
import errno
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from fastpack.core.progress import BytesDone
from fastpack.core.threads import num_cores
from fastpack.errors import (
    FastpackError,
    LocatedMessage,
    Location,
    UnreadableFileError,
    os_errors_at,
    with_location,
)
from fastpack.files.free_space import free_bytes
from fastpack.files.temporary import create_owned, remove_owned
from fastpack.stores.download import download
from fastpack.stores.store_path import StorePath

# Copies at once, so that the disk has to hold only few objects.
_slots = threading.BoundedSemaphore(num_cores())
os.register_at_fork(after_in_child=lambda: _slots.__init__(num_cores()))  # type: ignore[misc]


@contextlib.contextmanager
def local_copy(path: StorePath, progress: BytesDone | None = None) -> Iterator[Path]:
    """Yield a temporary file with the bytes of an object; it is removed at the end.

    Errors of the block that name the file name the object instead. If the process is killed, the
    next copy removes the file.
    """
    with _slots:
        folder = _folder_for(path)
        with os_errors_at(folder):
            local, descriptor = create_owned(folder)
        try:
            with os_errors_at(local):
                download(path, descriptor, progress)
            with errors_named(local, path):
                yield local
        finally:
            remove_owned(local, descriptor, os.getpid())


def _folder_for(path: StorePath) -> Path:
    """Return the folder for temporary files. Raises UnreadableFileError without enough space."""
    folder, size = Path(tempfile.gettempdir()), path.facts().size
    if (num_free := free_bytes(folder)) < size:
        message = f"a local copy of this object needs {size:,} bytes, and {folder} has {num_free:,}"
        remedy = "set the environment variable TMPDIR to a folder with more space"
        text = with_location(f"{message}; {remedy}", Location(path))
        raise UnreadableFileError(errno.ENOSPC, text)
    return folder


@contextlib.contextmanager
def errors_named(local: Path, path: StorePath) -> Iterator[None]:
    """Let errors that name a local file name an object instead."""
    try:
        yield
    except FastpackError as error:
        raise _renamed(error, local, path) from None


def named_as(path: StorePath, local: Path, text: str) -> str:
    """Return a message about a local copy as one about its object."""
    return text.replace(str(local), str(path))


def _renamed(error: FastpackError, local: Path, path: StorePath) -> FastpackError:
    text = str(error)
    message = named_as(path, local, text)
    at = error.location
    if at is not None and at.path is not None and str(at.path) == str(local):
        head = named_as(path, local, text.removesuffix(f" - at {at}"))
        message = with_location(head, Location(path, at.record, at.offset, at.key))
    elif isinstance(error.args[-1], LocatedMessage):
        located = LocatedMessage(message)
        located.location = error.args[-1].location
        message = located
    return type(error)(*error.args[:-1], message)
