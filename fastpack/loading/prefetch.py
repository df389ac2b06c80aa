"""Prefetch: items made ahead, in order, by threads of the pool."""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from fastpack.core.threads import submit
from fastpack.errors import StateError

Item = TypeVar("Item")


class Prefetch(Generic[Item]):
    """Items 0 to num_items, each made by one of `makers`, at most `depth` ahead of the consumer.

    Each maker is a lane: it makes one item at a time, while other lanes make the next ones. A
    thread works while there is room, then returns to the pool: no thread waits for a consumer.
    A consumer that waits makes room, so its lane continues at once.
    """

    def __init__(self, makers: Sequence[Callable[[int], Item]], num_items: int, depth: int) -> None:
        self._idle = list(makers)
        self._num_lanes = len(self._idle)
        self._num_items, self._depth = num_items, depth
        self._num_begun = self._num_asked = 0
        self._made: dict[int, tuple[Item | None, BaseException | None]] = {}
        self._changed = threading.Condition()
        self._is_closed = False
        self._process = os.getpid()

    @property
    def is_forked(self) -> bool:
        """True in a child process: it has none of the threads, and a lock may stay held."""
        return self._process != os.getpid()

    def start(self) -> None:
        """Begin to make items, before the first is asked for."""
        with self._changed:
            self._start_lanes()

    def take(self) -> Item:
        """Wait for the next item.

        Raises the maker's error, StopIteration after the last item, and StateError if another
        thread closes this meanwhile.
        """
        with self._changed:
            if self._num_asked == self._num_items:
                raise StopIteration
            number = self._num_asked
            self._num_asked += 1
            self._start_lanes()
            while number not in self._made:
                if self._is_closed:
                    raise StateError(
                        "the loader was closed while a batch was awaited; iterate it again"
                    )
                self._changed.wait()
            item, failure = self._made.pop(number)
        if failure is None:
            return item  # type: ignore[return-value]  # there is an item where there is no failure
        try:
            raise failure
        finally:
            # The traceback refers to this frame: that circle would keep the items' memory.
            del failure

    def close(self, *, wait: bool = False) -> None:
        """Drop all items and make no more; with `wait`, return after the threads have ended."""
        if self.is_forked:
            return
        with self._changed:
            self._is_closed = True
            self._made.clear()
            self._changed.notify_all()
            while wait and len(self._idle) < self._num_lanes:
                self._changed.wait()

    def _start_lanes(self) -> None:
        while self._idle and self._has_room():
            make, number = self._idle.pop(), self._begin()
            if not submit(self._work, make, number):
                self._depth = 0  # no thread can start: the consumer makes each item
                self._work_here(make, number)

    def _work_here(self, make: Callable[[int], Item], number: int) -> None:
        """Work in the caller's thread, without its lock, so that other lanes can finish."""
        self._changed.release()
        try:
            self._work(make, number)
        finally:
            self._changed.acquire()

    def _has_room(self) -> bool:
        return not self._is_closed and self._num_begun < min(
            self._num_items, self._num_asked + self._depth
        )

    def _begin(self) -> int:
        self._num_begun += 1
        return self._num_begun - 1

    def _work(self, make: Callable[[int], Item], number: int) -> None:
        while True:
            outcome = _outcome_of(make, number)
            with self._changed:
                if not self._is_closed:
                    self._made[number] = outcome
                del outcome  # the consumer is then the only owner
                self._changed.notify_all()
                if not self._has_room():
                    self._idle.append(make)
                    return
                number = self._begin()


def _outcome_of(
    make: Callable[[int], Item], number: int
) -> tuple[Item | None, BaseException | None]:
    try:
        return make(number), None
    except BaseException as failure:
        return None, failure
