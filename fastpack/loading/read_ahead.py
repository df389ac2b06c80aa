"""ReadAhead: the bytes of the next steps, requested from object stores before they are needed.

The order is a pure function of the position, so the next thousand samples are known. They are read
in windows. Some orders have windows of their own, whose samples lie in few places of the files:
`windows_of(positions)` numbers them. Other windows are a few steps.
"""

import concurrent.futures
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpack.core.threads import submit
from fastpack.errors import StateError
from fastpack.images.batch import Batch
from fastpack.loading.next_use import NextUse
from fastpack.loading.prefetch import Prefetch
from fastpack.loading.schedule import Schedule, lane_readers
from fastpack.reading.reader import Reader
from fastpack.reading.remote import Window

# Bytes requested ahead of the step that is read. At 150 MB/s, which two cores decode, 64 MiB last
# 0.4 s: several round trips. The number doubles when a step has to wait.
_FIRST_AHEAD = 2**26
_GREATEST_AHEAD = 2**29
# Steps whose bytes are requested together: their neighbors share requests.
_STEPS_TOGETHER = 2

Numbers = npt.NDArray[np.int64]
WindowsOf = Callable[[Numbers], Numbers]


@dataclass(frozen=True, eq=False)
class WindowPlan:
    """The positions of a window.

    Args:
        steps: that have samples of it.
        positions: in the epoch, (n,).
        num_complete: steps whose samples are all in this window or in earlier ones.
    """

    steps: range
    positions: Numbers
    num_complete: int


def window_plans(schedule: Schedule, epoch: int, first: int) -> Iterator[WindowPlan]:
    """Divide the steps of an epoch into windows, from position `first` on."""
    partition = schedule.partition
    num_steps = partition.num_steps(first)
    steps = (
        schedule.positions(epoch, first + step * partition.step_size) for step in range(num_steps)
    )
    windows_of: WindowsOf | None = getattr(schedule.order, "windows_of", None)
    if windows_of is None:
        return _few_steps(steps, num_steps)
    numbered = ((positions, windows_of(positions % partition.num_positions)) for positions in steps)
    return _by_window(numbered, num_steps)


def _few_steps(steps: Iterator[Numbers], num_steps: int) -> Iterator[WindowPlan]:
    """Take the first step alone, so that it comes soon."""
    first = 0
    while first < num_steps:
        end = min(num_steps, first + (_STEPS_TOGETHER if first else 1))
        positions = np.concatenate([next(steps) for _ in range(first, end)])
        yield WindowPlan(range(first, end), positions, end)
        first = end


def _by_window(steps: Iterator[tuple[Numbers, Numbers]], num_steps: int) -> Iterator[WindowPlan]:
    """Divide where the windows of the order end, which may be within a step.

    - steps: positions of each step, and the number of the window of each position.
    """
    parts: list[Numbers] = []
    window = first = 0
    for step, (positions, numbers) in enumerate(steps):
        bounds = np.flatnonzero(np.diff(numbers)) + 1
        firsts = numbers[np.append(0, bounds)].tolist()
        parts_of_step = zip(firsts, np.split(positions, bounds), strict=True)
        for place, (number, part) in enumerate(parts_of_step):
            if parts and number != window:
                end = step + 1 if place else step
                yield WindowPlan(range(first, end), np.concatenate(parts), step)
                parts, first = [], step
            window = number
            parts.append(part)
    if parts:
        yield WindowPlan(range(first, num_steps), np.concatenate(parts), num_steps)


class ReadAhead:
    """Requests the windows of the steps of an epoch, in order. Thread-safe.

    Each step is taken once. A thread of the pool starts windows while there is room; then it
    returns to the pool.

    Args:
        schedule: of the loader.
        reader: of the samples.
        start: epoch and position of step 0.
    """

    def __init__(self, schedule: Schedule, reader: Reader, start: tuple[int, int]) -> None:
        self._schedule, self._reader = schedule, reader
        self._epoch, first = start
        self._next_use = NextUse.of(reader, schedule, self._epoch)
        if reader.samples.remote is not None:
            reader.samples.remote.follow(self._next_use)
        self._plans = window_plans(schedule, self._epoch, first)
        self._changed = threading.Condition()
        self._windows: dict[int, list[Window]] = {}
        self._begun: weakref.WeakSet[Window] = weakref.WeakSet()
        self._num_complete = self._num_wanted = 0
        self._max_ahead = _FIRST_AHEAD
        self._is_starting = self._is_closed = self._is_done = False
        self._failure: BaseException | None = None

    def take(self, number: int) -> list[Window]:
        """Return the windows with the bytes of a step.

        Raises the error of an index that cannot be read, and StateError if another thread closes
        this meanwhile.
        """
        with self._changed:
            self._num_wanted = max(self._num_wanted, number + 1)
            while number >= self._num_complete and not self._is_closed and not self._failure:
                if self._is_starting:
                    self._changed.wait()
                else:
                    self._start_next()  # here: the pool may have no thread left
            if self._is_closed:
                raise StateError("the loader was closed while a batch was read; iterate it again")
            if number >= self._num_complete:
                assert self._failure is not None
                raise self._failure
            windows = self._windows.pop(number)
            self._begun.update(windows)
            if number and not all(window.is_ready for window in windows):
                self._max_ahead = min(_GREATEST_AHEAD, 2 * self._max_ahead)
            self._begin()
        return windows

    def close(self) -> None:
        """End all requests at once."""
        with self._changed:
            self._is_closed = True
            windows = {window for found in self._windows.values() for window in found}
            windows.update(self._begun)  # a lane may wait for them
            self._windows.clear()
            self._changed.notify_all()
        for window in windows:
            window.cancel()

    def _begin(self) -> None:
        """Let a thread of the pool start windows, if there is room and none does it."""
        if not self._is_starting and self._has_room():
            submit(self._start_windows)

    def _has_room(self) -> bool:
        if self._is_closed or self._is_done or self._failure is not None:
            return False
        if self._num_complete <= self._num_wanted:
            return True
        known = {window for windows in self._windows.values() for window in windows}
        num_ahead = sum(window.num_bytes for window in known if window not in self._begun)
        return num_ahead < self._max_ahead

    def _start_windows(self) -> None:
        with self._changed:
            while not self._is_starting and self._has_room():
                self._start_next()

    def _start_next(self) -> None:
        """Start the next window. The lock is released meanwhile."""
        failure: BaseException | None = None
        window: Window | None = None
        plan: WindowPlan | None = None
        self._is_starting = True
        self._changed.release()
        try:
            plan = next(self._plans, None)
            if plan is not None:
                window = self._start(plan)
        except BaseException as error:
            failure = error
        finally:
            self._changed.acquire()
        self._failure, self._is_done = failure, plan is None and failure is None
        if plan is not None and window is not None:
            self._note(plan, window)
        self._is_starting = False
        self._changed.notify_all()

    def _start(self, plan: WindowPlan) -> Window:
        positions = plan.positions % self._schedule.partition.num_positions
        if self._next_use is not None:
            self._next_use.position = int(positions[0])
        samples = self._schedule.order.samples_at(self._epoch, positions).samples
        return self._reader.samples.start_reads(samples)

    def _note(self, plan: WindowPlan, window: Window) -> None:
        if self._is_closed:
            window.cancel()
            return
        for step in plan.steps:
            self._windows.setdefault(step, []).append(window)
        self._num_complete = plan.num_complete


class _Lane:
    """Reads whole batches, whose bytes were requested ahead, with its share of the threads."""

    def __init__(
        self, ahead: ReadAhead, schedule: Schedule, reader: Reader, start: tuple[int, int]
    ):
        self._ahead, self._schedule, self._reader = ahead, schedule, reader
        self._epoch, self._first = start

    def __call__(self, number: int) -> Batch:
        position = self._first + number * self._schedule.partition.step_size
        windows = self._ahead.take(number)
        try:
            return self._schedule.read(self._reader, self._epoch, position, windows)
        except concurrent.futures.CancelledError as error:
            message = "the loader was closed while a batch was read; iterate it again"
            raise StateError(message) from error


class RemotePrefetch(Prefetch[Batch]):
    """The batches of an epoch whose files lie in stores.

    Args:
        schedule: of the loader.
        reader: of the samples.
        start: epoch and position of the first batch.
        depth: batches to make ahead.
    """

    def __init__(
        self, schedule: Schedule, reader: Reader, start: tuple[int, int], depth: int
    ) -> None:
        self._ahead = ReadAhead(schedule, reader, start)
        lanes = [
            _Lane(self._ahead, schedule, of_lane, start) for of_lane in lane_readers(reader, depth)
        ]
        super().__init__(lanes, schedule.partition.num_steps(start[1]), depth)

    def close(self, *, wait: bool = False) -> None:
        if not self.is_forked:
            self._ahead.close()  # first: a lane may wait for a store
        super().close(wait=wait)
