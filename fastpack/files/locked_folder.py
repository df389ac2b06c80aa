"""LockedFolder: a hidden folder of ours beside an output, for one program at a time.

The folder holds `fastpack.lock`, which marks it as ours and is locked while a program works there. The system releases
the lock when the program dies. The file is made right after the folder and goes last, so a folder that holds something
else and no such file is not ours: it is left alone.
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
    """A folder that is not ours yet, until `lock` is called.

    Args:
        path: where the folder is or will be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def lock(self) -> None:
        """Makes the folder if it is missing, and locks it.

        Raises OutputExistsError when something of that name is not ours, StagingBusyError when another program holds it.
        """
        while True:
            if not os.path.lexists(self.path):
                self.path.mkdir(exist_ok=True)
            self._refuse_others()
            if self.relock():
                return
            # Otherwise the program before us has just removed its folder.

    def relock(self) -> bool:
        """Whether the lock of an existing folder of ours could be taken. Raises StagingBusyError."""
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
        """Whether the folder is locked by us now."""
        try:
            return self._descriptor >= 0 and os.path.samestat(
                os.fstat(self._descriptor), os.stat(self.path / LOCK_NAME)
            )
        except FileNotFoundError:
            return False

    def unlock(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = (
                self._descriptor,
                -1,
            )  # first, so that none is ever closed twice
            os.close(descriptor)

    def clear(self, last: Sequence[str] = ()) -> None:
        """Removes all files but the lock; those called `last` go last, in that order."""
        names = [name for name in os.listdir(self.path) if name != LOCK_NAME]
        for name in sorted(names, key=lambda name: last.index(name) if name in last else -1):
            os.unlink(self.path / name)

    def remove(self, last: Sequence[str] = ()) -> None:
        """Removes the folder. The lock goes last: a program that makes one of its own before we are done keeps the folder."""
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
        message = "fastpack needs this name for a folder of its own, and another file, folder or link has it; rename or remove it"
        raise OutputExistsError(errno.EEXIST, with_location(message, Location(self.path)))


def is_ours(path: Path) -> bool:
    """Whether a folder is empty or has our mark. Links are not followed. Raises FileNotFoundError."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        return False
    names = os.listdir(path)
    return not names or (LOCK_NAME in names and stat.S_ISREG(os.lstat(path / LOCK_NAME).st_mode))


def is_held(path: Path) -> bool:
    """Whether a program works in a folder of ours now."""
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
    """The content of a small file of ours. Raises OSError for a link, a pipe or a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)
