"""Prefetch: items made ahead, in order, on threads of the pool."""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from fastpack.core.threads import submit
from fastpack.errors import StateError

Item = TypeVar("Item")


class Prefetch(Generic[Item]):
    """Items 0 to num_items, each made by one of `makers`, at most `depth` of them ahead of those that were asked for.

    Each maker is a lane: it makes one item at a time, while the others make the next ones. A thread works as long as
    there is room, and goes back to the pool when there is none; nothing waits for a consumer that may never come.
    One that waits already makes room, so that a lane goes on at once and need not be woken again.
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
        """True in a child process, which has neither the threads nor, perhaps, the lock that one of them held."""
        return self._process != os.getpid()

    def take(self) -> Item:
        """The next item, when it is made. Raises what making it raised; StopIteration behind the last, and StateError when another
        thread closes this while it waits."""
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
            del (
                failure
            )  # its traceback holds this frame: a circle, that would hold the items' memory

    def close(self, *, wait: bool = False) -> None:
        """Lets go of all that was made and makes no more; with `wait`, returns when the threads have left."""
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
                self._depth = 0  # no thread can be started: each item is made when it is asked for, by whoever asks
                self._work_here(make, number)

    def _work_here(self, make: Callable[[int], Item], number: int) -> None:
        """In the caller's thread, which has the lock, and gives it to the other lanes meanwhile."""
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
                del outcome  # what was taken is the taker's alone
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
