"""FileLock: an exclusive lock of an open file, which the OS releases when its process dies."""

import contextlib
import fcntl
import os
import time
import weakref

_PAUSE_SECONDS = 0.01


class FileLock:
    """The lock of an open file. It ends with the object.

    A forked child has copies of all descriptors, and the lock lasts while one is open. So the
    child closes its copies at once, and only the process that took the lock releases it.

    Args:
        descriptor: of the file, which the object owns.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self._process = descriptor, os.getpid()
        _locks.add(self)

    def take(self, seconds: float = 0.0) -> bool:
        """Take the lock; return False if another process or object has it for so long."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
            time.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor < 0:
            return
        if self._process == os.getpid():
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)

    def __del__(self) -> None:
        self.close()


_locks: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


def _close_in_child() -> None:
    for lock in list(_locks):
        lock.close()


os.register_at_fork(after_in_child=_close_in_child)
