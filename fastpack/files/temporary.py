"""Temporary files: unique names, and removal of files of dead writers.

A writer creates `.fastpack.<16 hex digits>.tmp` with O_EXCL. It has a flock on the file until the
file is renamed or removed. The OS releases the lock when the writer dies, so a file that can be
locked is a leftover. A process id would not do: containers that share a folder each have a
process 1.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"\.fastpack\.[0-9a-f]{16}\.tmp")
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def create_temporary(folder: int, mode: int = 0o666) -> tuple[str, int]:
    """Create and lock a file in an open folder. Returns its name and its descriptor.

    `mode` has the permissions, less the umask. The caller closes the descriptor after renaming or
    removing the file.
    """
    while True:
        name = f".fastpack.{os.urandom(8).hex()}.tmp"
        descriptor = os.open(name, _FLAGS, mode, dir_fd=folder)
        # Some file systems have no locks. No leftover is removed there.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_named(name, descriptor, folder):
            return name, descriptor
        os.close(descriptor)  # remove_leftovers locked it first


@contextlib.contextmanager
def temporary_in(folder: Path) -> Iterator[Path]:
    """Yield the path of a new, empty file.

    It is removed at the end, unless it was renamed.
    """
    with _opened(folder) as above:
        name, descriptor = create_temporary(above)
        try:
            yield folder / name
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=above)
            os.close(descriptor)


def create_owned(folder: Path) -> tuple[Path, int]:
    """Create a private file that outlives the call. Removes leftovers first. Raises OSError.

    Returns its path and its descriptor, which has the lock. See `remove_owned`.
    """
    remove_leftovers(folder)
    with _opened(folder) as above:
        name, descriptor = create_temporary(above, 0o600)
    return folder / name, descriptor


def remove_owned(path: Path, descriptor: int, owner: int) -> None:
    """Remove such a file, in the process `owner` that created it.

    A forked child has the object that the file belongs to, too, but does not own the file.
    """
    if os.getpid() == owner:
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):
            os.close(descriptor)


def remove_leftovers(folder: Path | int) -> None:
    """Remove the temporary files of dead writers from a folder.

    Ignores errors of the OS.
    """
    with contextlib.suppress(OSError), _opened(folder) as above:
        for name in filter(_NAME.fullmatch, os.listdir(above)):
            with contextlib.suppress(OSError):  # being written, or another user's
                _remove_leftover(name, above)


def _remove_leftover(name: str, folder: int) -> None:
    descriptor = os.open(
        name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_named(name, descriptor, folder):
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(descriptor)


def _is_named(name: str, descriptor: int, folder: int) -> bool:
    """Return True if the open file still has that name."""
    try:
        return os.path.samestat(
            os.fstat(descriptor), os.stat(name, dir_fd=folder, follow_symlinks=False)
        )
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _opened(folder: Path | int) -> Iterator[int]:
    if isinstance(folder, int):
        yield folder
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
