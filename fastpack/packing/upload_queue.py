"""UploadQueue: uploads finished shards while the next ones are written."""

import threading
import time
from collections import deque
from collections.abc import Callable

NUM_THREADS = 2
# Shards that may wait for their upload before the next one is begun.
MAX_WAITING = 2
_STOP_SECONDS = 20.0


class QueueStoppedError(Exception):
    """The queue was stopped, so an upload ends."""


class UploadQueue:
    """Threads that upload shards by number.

    The first error ends all uploads; `wait_for_room` and `finish` raise it.

    Args:
        upload: uploads a shard.
    """

    def __init__(self, upload: Callable[[int], None]) -> None:
        self._upload = upload
        self._changed = threading.Condition()
        self._numbers: deque[int] = deque()
        self._num_unfinished = 0
        self._is_stopped = self._is_complete = False
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, name="fastpack-upload", daemon=True)
            for _ in range(NUM_THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, number: int) -> None:
        """Add a shard."""
        with self._changed:
            self._raise_error()
            self._numbers.append(number)
            self._num_unfinished += 1
            self._changed.notify_all()

    def wait_for_room(self, has_space: Callable[[], bool]) -> None:
        """Wait until few shards are not uploaded.

        - has_space: the disk has room for the next one, so uploads need not end before.
        """

        def has_room() -> bool:
            count = self._num_unfinished
            return self._error is not None or not count or (count <= MAX_WAITING and has_space())

        with self._changed:
            self._changed.wait_for(has_room)
            self._raise_error()

    def finish(self) -> None:
        """Wait until all shards are uploaded."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or not self._num_unfinished)
            self._raise_error()

    def refuse_stopped(self, done: int, total: int) -> None:
        """Raise QueueStoppedError if the queue was stopped. A progress function of uploads."""
        if self._is_stopped:
            raise QueueStoppedError

    def stop(self) -> None:
        """End all uploads, and wait for the threads, unless the store does not answer."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        until = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (number := self._next()) is not None:
            try:
                self._upload(number)
            except BaseException as error:
                with self._changed:
                    self._is_stopped = True
                    self._error = self._error or error
            with self._changed:
                self._num_unfinished -= 1
                self._changed.notify_all()

    def _next(self) -> int | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or self._numbers)
            return None if self._is_stopped else self._numbers.popleft()
