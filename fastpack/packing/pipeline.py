"""Pipeline: several threads process portions; the results are appended in order."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastpack.core.threads import num_cores, run_in_threads

Portion = TypeVar("Portion")
Piece = TypeVar("Piece")


@dataclass(frozen=True)
class Stages(Generic[Portion, Piece]):
    """The three steps for each portion.

    Args:
        make: called from several threads at once, in any order.
        append: called for one portion at a time, in order.
        finish: called after `append` by the same thread, while other portions are appended.
    """

    make: Callable[[Portion], Piece]
    append: Callable[[Portion, Piece], None]
    finish: Callable[[Portion, Piece], None]


class Pipeline(Generic[Portion, Piece]):
    """Runs `portions` through `stages` in `num_workers` threads.

    An idle thread appends the next piece, if it is ready and no other thread is appending. Else it
    makes another piece. So no thread waits for a slow one. At most `num_ahead` pieces are in
    memory; a thread that would exceed them waits.

    >>> squares = []
    >>> stages = Stages(lambda n: n * n, lambda n, square: squares.append(square), lambda *_: None)
    >>> Pipeline([3, 1, 2], stages, 2).run()
    >>> squares
    [9, 1, 4]
    """

    def __init__(
        self,
        portions: Sequence[Portion],
        stages: Stages[Portion, Piece],
        num_workers: int | None = None,
        num_ahead: int | None = None,
    ) -> None:
        self._portions, self._stages = portions, stages
        self._num_workers = num_cores() if num_workers is None else max(1, num_workers)
        self._num_ahead = self._num_workers + 1 if num_ahead is None else max(1, num_ahead)
        self._changed = threading.Condition()
        self._waiting: dict[int, Piece] = {}
        self._num_taken = self._num_appended = self._num_done = 0
        self._is_appending = False
        self._failures: dict[int, Exception] = {}
        self._is_stopped = False

    def run(self) -> None:
        """Run all stages; raises the error of the first failed portion."""
        run_in_threads(self._work, self._num_workers)
        if self._failures:
            raise self._failures[min(self._failures)]

    def _work(self) -> None:
        try:
            while (task := self._take()) is not None:
                number, act = task
                try:
                    act(number)
                except Exception as error:
                    self._failures[number] = error
                    self._stop()
        except BaseException:
            self._stop()
            raise

    def _take(self) -> tuple[int, Callable[[int], None]] | None:
        """Wait for the next task: a portion and its step; None if there is no more to do."""
        with self._changed:
            while not self._is_stopped and self._num_appended < len(self._portions):
                if not self._is_appending and self._num_appended in self._waiting:
                    self._is_appending = True
                    return self._num_appended, self._append
                has_room = self._num_taken - self._num_done < self._num_ahead
                if self._num_taken < len(self._portions) and has_room:
                    self._num_taken += 1
                    return self._num_taken - 1, self._make
                self._changed.wait()
            return None

    def _make(self, number: int) -> None:
        piece = self._stages.make(self._portions[number])
        with self._changed:
            self._waiting[number] = piece  # no notify: this thread takes the next task itself

    def _append(self, number: int) -> None:
        with self._changed:
            piece = self._waiting.pop(number)
        self._stages.append(self._portions[number], piece)
        with self._changed:
            self._is_appending = False
            self._num_appended += 1
            self._changed.notify_all()
        self._stages.finish(self._portions[number], piece)
        with self._changed:
            self._num_done += 1
            self._changed.notify_all()

    def _stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
