"""Pipeline: portions of work done by several threads at once, whose results take their places in order."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastpack.pool import num_cores, share

Portion = TypeVar("Portion")
Piece = TypeVar("Piece")


@dataclass(frozen=True)
class Stages(Generic[Portion, Piece]):
    """What is done with each portion.

    - make: by any thread, for several portions at once.
    - place: of one portion at a time, in their order.
    - store: by any thread again.
    """

    make: Callable[[Portion], Piece]
    place: Callable[[Portion, Piece], None]
    store: Callable[[Portion, Piece], None]


class Pipeline(Generic[Portion, Piece]):
    """Runs `portions` through `stages` in `num_workers` threads.

    Whoever makes the piece that is next in order places it and all that waited for it, so nobody waits for a slow
    neighbour; but at most `num_ahead` pieces are in memory, and a thread that would make one more waits.

    >>> found = []
    >>> Pipeline([3, 1, 2], Stages(lambda n: n * n, lambda n, square: found.append(square), lambda n, square: None), 2).run()
    >>> found
    [9, 1, 4]
    """

    def __init__(
        self, portions: Sequence[Portion], stages: Stages[Portion, Piece], num_workers: int | None = None, num_ahead: int | None = None
    ) -> None:
        self._portions, self._stages = portions, stages
        self._num_workers = num_cores() if num_workers is None else max(1, num_workers)
        self._num_ahead = self._num_workers + 1 if num_ahead is None else max(1, num_ahead)
        self._changed = threading.Condition()
        self._placing = threading.Lock()
        self._waiting: dict[int, Piece] = {}
        self._num_taken = self._num_placed = self._num_stored = 0
        self._failures: dict[int, Exception] = {}
        self._is_stopped = False

    def run(self) -> None:
        """Raises what a stage raised, for the first portion that failed; then no other portion is begun."""
        share(self._work, self._num_workers)
        if self._failures:
            raise self._failures[min(self._failures)]

    def _work(self) -> None:
        try:
            while (number := self._take()) is not None:
                self._finish(number)
        except BaseException:
            self._stop()
            raise

    def _take(self) -> int | None:
        with self._changed:
            while not self._is_stopped and self._num_taken < len(self._portions):
                if self._num_taken - self._num_stored < self._num_ahead:
                    self._num_taken += 1
                    return self._num_taken - 1
                self._changed.wait()
            return None

    def _finish(self, number: int) -> None:
        """Makes one piece; places and stores all whose turn it is."""
        try:
            piece = self._stages.make(self._portions[number])
        except Exception as error:
            self._fail(number, error)
            return
        with self._changed:
            self._waiting[number] = piece
        del piece  # it is placed and let go of by whoever has its turn
        for placed, next_piece in self._place_ready():
            try:
                self._stages.store(self._portions[placed], next_piece)
            except Exception as error:
                self._fail(placed, error)
            with self._changed:
                self._num_stored += 1
                self._changed.notify_all()

    def _place_ready(self) -> list[tuple[int, Piece]]:
        placed: list[tuple[int, Piece]] = []
        with self._placing:
            while not self._failures and (piece := self._waiting.pop(self._num_placed, None)) is not None:
                try:
                    self._stages.place(self._portions[self._num_placed], piece)
                except Exception as error:
                    self._fail(self._num_placed, error)
                    break
                placed.append((self._num_placed, piece))
                self._num_placed += 1
        return placed

    def _fail(self, number: int, error: Exception) -> None:
        with self._changed:
            self._failures[number] = error
        self._stop()

    def _stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
