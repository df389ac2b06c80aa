"""Pipeline: portions of work done by several threads at once, whose results take their places in order."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastpack.core.threads import num_cores, run_in_threads

Portion = TypeVar("Portion")
Piece = TypeVar("Piece")


@dataclass(frozen=True)
class Stages(Generic[Portion, Piece]):
    """What is done with each portion.

    - make: by any thread, for several portions at once.
    - append: of one portion at a time, in their order.
    - finish: right after, by the thread that placed it, while others place the next ones.
    """

    make: Callable[[Portion], Piece]
    append: Callable[[Portion, Piece], None]
    finish: Callable[[Portion, Piece], None]


class Pipeline(Generic[Portion, Piece]):
    """Runs `portions` through `stages` in `num_workers` threads.

    A thread that is free places the piece that is next in order, if it is there and nobody else is placing; else it makes
    another. So nobody waits for a slow neighbour; but at most `num_ahead` pieces are in memory, and a thread that would
    make one more waits.

    >>> found = []
    >>> Pipeline([3, 1, 2], Stages(lambda n: n * n, lambda n, square: found.append(square), lambda n, square: None), 2).run()
    >>> found
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
        self._num_taken = self._num_placed = self._num_done = 0
        self._is_placing = False
        self._failures: dict[int, Exception] = {}
        self._is_stopped = False

    def run(self) -> None:
        """Raises what a stage raised, for the first portion that failed; then no other portion is begun."""
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
        """What is to be done next, and with which portion; None when nothing more is to be begun."""
        with self._changed:
            while not self._is_stopped and self._num_placed < len(self._portions):
                if not self._is_placing and self._num_placed in self._waiting:
                    self._is_placing = True
                    return self._num_placed, self._append
                if (
                    self._num_taken < len(self._portions)
                    and self._num_taken - self._num_done < self._num_ahead
                ):
                    self._num_taken += 1
                    return self._num_taken - 1, self._make
                self._changed.wait()
            return None

    def _make(self, number: int) -> None:
        piece = self._stages.make(self._portions[number])
        with self._changed:
            self._waiting[number] = (
                piece  # nobody need be told: whoever made it is the next to look
            )

    def _append(self, number: int) -> None:
        with self._changed:
            piece = self._waiting.pop(number)
        self._stages.append(self._portions[number], piece)
        with self._changed:
            self._is_placing = False
            self._num_placed += 1
            self._changed.notify_all()
        self._stages.finish(self._portions[number], piece)
        with self._changed:
            self._num_done += 1
            self._changed.notify_all()

    def _stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
