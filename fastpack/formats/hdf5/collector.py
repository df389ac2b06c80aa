"""The garbage collector, stopped while HDF5's library calls our Python.

Any allocation may start it. If it frees an object of h5py, it calls the library. That would be
within the library's call of our Python, or in another thread, which waits for the library's lock.
"""

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Stopped:
    """How many blocks need the collector stopped, and whether it ran before."""

    def __init__(self) -> None:
        self.lock, self.count, self.was_enabled = threading.Lock(), 0, False

    def start_again(self) -> None:
        """Start it in a forked child, which has none of the threads with such blocks."""
        if self.count and self.was_enabled:
            gc.enable()
        self.__init__()  # type: ignore[misc]


_stopped = _Stopped()
os.register_at_fork(after_in_child=_stopped.start_again)


@contextmanager
def without_collector() -> Iterator[None]:
    """Stop the collector while such blocks of any threads run."""
    with _stopped.lock:
        if not _stopped.count:
            _stopped.was_enabled = gc.isenabled()
            gc.disable()
        _stopped.count += 1
    try:
        yield
    finally:
        with _stopped.lock:
            _stopped.count -= 1
            if not _stopped.count and _stopped.was_enabled:
                gc.enable()
