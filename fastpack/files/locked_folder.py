"""LockedFolder: a hidden folder beside an output, for one program at a time.

The folder has a file `fastpack.lock`, which marks it as fastpack's. A program that works there
locks the file; the OS releases the lock when the program dies. The file is made right after the
folder and removed last. So a folder with other files and without it is not fastpack's, and stays.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from fastpack.errors import Location, OutputExistsError, StagingBusyError, with_location

LOCK_NAME = "fastpack.lock"


class LockedFolder:
    """A folder that `lock` makes and locks.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def lock(self) -> None:
        """Make the folder if it is missing, and lock it.

        Raises OutputExistsError if something else has that name, StagingBusyError if another
        program has the lock.
        """
        while True:
            if not os.path.lexists(self.path):
                self.path.mkdir(exist_ok=True)
            self._refuse_others()
            if self.relock():
                return
            # Otherwise another program has just removed its folder.

    def relock(self) -> bool:
        """Lock the folder if it exists and is fastpack's. Raises StagingBusyError."""
        self.unlock()
        try:
            if not is_ours(self.path):
                return False
            self._descriptor = os.open(
                self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
            )
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            self.unlock()
            message = "another pack writes to this output now; wait for it, or choose another name"
            raise StagingBusyError(with_location(message, Location(self.path))) from None
        return self.holds()

    def holds(self) -> bool:
        """Return True if this object has the lock of the folder that exists now."""
        try:
            return self._descriptor >= 0 and os.path.samestat(
                os.fstat(self._descriptor), os.stat(self.path / LOCK_NAME)
            )
        except FileNotFoundError:
            return False

    def unlock(self) -> None:
        if self._descriptor >= 0:
            # Forgotten first, so that it is never closed twice.
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def clear(self, last: Sequence[str] = ()) -> None:
        """Remove all files except the lock; those named in `last` at the end."""
        names = [name for name in os.listdir(self.path) if name != LOCK_NAME]
        for name in sorted(names, key=lambda name: last.index(name) if name in last else -1):
            os.unlink(self.path / name)

    def remove(self, last: Sequence[str] = ()) -> None:
        """Remove the folder, the lock last.

        The folder stays if another program makes its own lock meanwhile.
        """
        self.clear(last)
        os.unlink(self.path / LOCK_NAME)
        try:
            os.rmdir(self.path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise

    def _refuse_others(self) -> None:
        try:
            if is_ours(self.path):
                return
        except FileNotFoundError:
            return
        message = "fastpack needs this name for a folder; a file, folder or link has it"
        text = with_location(f"{message}; rename or remove it", Location(self.path))
        raise OutputExistsError(errno.EEXIST, text)


def is_ours(path: Path) -> bool:
    """Return True if a folder is empty or has fastpack's lock. Links are not followed.

    Raises FileNotFoundError.
    """
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        return False
    names = os.listdir(path)
    return not names or (LOCK_NAME in names and stat.S_ISREG(os.lstat(path / LOCK_NAME).st_mode))


def is_held(path: Path) -> bool:
    """Return True if a program has the folder's lock now."""
    try:
        descriptor = os.open(path / LOCK_NAME, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_note(path: Path) -> bytes:
    """Return the content of a small file.

    Raises OSError for a link, a pipe or a folder.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)
