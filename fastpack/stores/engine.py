"""Engine: runs requests in one thread of this process, until they succeed or time is up.

The thread runs an event loop: a request that is cancelled ends at once, and its connection closes.
The caller waits in its own thread, so Ctrl-C reaches it.
"""

import asyncio
import concurrent.futures
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from fastpack.errors import FastpackError
from fastpack.stores.client import settle
from fastpack.stores.limiter import Limiter

Result = TypeVar("Result")
Future = concurrent.futures.Future

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_FIRST_SECONDS = 20.0  # a wrong name or address is mostly in the user's options
_STOP_SECONDS = 5.0


class TransientError(Exception):
    """A failure that may not happen again: the reason, as the final message has it.

    Args:
        reason: of the failure.
        is_slow_down: the store asks for fewer requests.
        is_answer: it came from the store, so there is one.
    """

    def __init__(self, reason: str, *, is_slow_down: bool = False, is_answer: bool = False) -> None:
        super().__init__(reason)
        self.is_slow_down, self.is_answer = is_slow_down, is_answer


@dataclass(frozen=True)
class Patience:
    """How long a request may take.

    Args:
        timeout: seconds for one attempt.
        deadline: seconds for all attempts together.
    """

    timeout: float = 30.0
    deadline: float = 120.0

    def deadline_of(self, *, is_reached: bool) -> float:
        """Return the deadline: a shorter one for a store that was never reached."""
        return self.deadline if is_reached else min(self.deadline, _FIRST_SECONDS)


async def until_done(
    attempt: Callable[[], Coroutine[Any, Any, Result]],
    limiter: Limiter,
    patience: Patience,
    give_up: Callable[[str, int, float], FastpackError],
    *,
    num_slots: int = 1,
    num_bytes: int = 0,
    may_hedge: bool = True,
) -> Result:
    """Repeat an attempt while it raises TransientError. The pauses between attempts double.

    - give_up: makes the error of (last reason, number of attempts, seconds).
    - num_slots: requests that an attempt has open at once.
    - num_bytes: that a successful attempt receives.
    - may_hedge: send a slow request a second time; not one that writes.
    """
    start, pause, num_attempts = time.monotonic(), _FIRST_PAUSE, 0
    while True:
        num_attempts += 1
        left = start + patience.deadline - time.monotonic()
        try:
            # Not wait_for: in Python 3.11 it ignores a cancellation if the slots come just then.
            async with asyncio.timeout(max(left, 0.001)):
                await limiter.acquire(num_slots)
        except TimeoutError:
            reason = "no request could be sent in time"
            raise give_up(reason, num_attempts, time.monotonic() - start) from None
        try:
            began = time.monotonic()
            left = start + patience.deadline - began
            seconds = max(0.001, min(patience.timeout, left))
            result = await _hedged(attempt, limiter, seconds, may_hedge=may_hedge)
            limiter.succeeded(time.monotonic() - began, num_bytes)
            return result
        except TransientError as failure:
            if failure.is_slow_down:
                limiter.slow_down()
            limiter.is_reached |= failure.is_answer
            seconds = time.monotonic() - start
            pause = min(_LONGEST_PAUSE, 2 * pause)
            if seconds + pause > patience.deadline_of(is_reached=limiter.is_reached):
                raise give_up(str(failure), num_attempts, seconds) from None
        finally:
            limiter.release(num_slots)
        await asyncio.sleep(random.uniform(pause / 2, pause))  # not all at the same time again


async def _hedged(
    attempt: Callable[[], Coroutine[Any, Any, Result]],
    limiter: Limiter,
    timeout: float,
    *,
    may_hedge: bool,
) -> Result:
    """Await an attempt; if it is slow, make a second one and take the first answer."""
    tasks = [asyncio.ensure_future(attempt())]
    began = time.monotonic()
    try:
        slow = limiter.hedge_seconds if may_hedge else None
        if slow is not None and slow < timeout:
            await asyncio.wait(tasks, timeout=slow)
            if not tasks[0].done() and limiter.may_hedge():
                tasks.append(asyncio.ensure_future(attempt()))
        while True:
            left = timeout - (time.monotonic() - began)
            pending = [task for task in tasks if not task.done()]
            if pending and not any(map(_has_succeeded, tasks)):
                await asyncio.wait(
                    pending, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED
                )
            for task in tasks:
                if _has_succeeded(task):
                    return task.result()
            if all(task.done() for task in tasks):
                return tasks[0].result()  # raises
            if time.monotonic() - began >= timeout:
                raise TransientError(f"no answer in {timeout:.1f} s", is_slow_down=True)
    finally:
        for task in tasks:
            task.cancel()
            if task.done() and not task.cancelled():
                task.exception()  # it was seen


def _has_succeeded(task: "asyncio.Future[Any]") -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


class Engine:
    """The event loop of this process for all stores, in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fastpack-stores", daemon=True)
        self._thread.start()
        self._is_stopped = False
        # Before Python waits for the threads of pools at its end, since these may wait for
        # requests. `atexit` comes after that. The function is the one that these pools use.
        threading._register_atexit(self.stop)  # type: ignore[attr-defined]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Start work; cancelling the future ends its requests at once."""
        if self._is_stopped:
            work.close()
            raise RuntimeError("no request can be sent any more: the program ends")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Wait for work. If the wait is interrupted, the work is cancelled."""
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call_later(self, seconds: float, call: Callable[[], None]) -> Callable[[], object]:
        """Make a call later, in the thread. Return a function that prevents it."""
        timers: list[asyncio.TimerHandle] = []

        def start() -> None:
            timers.append(self._loop.call_later(seconds, call))

        def prevent() -> None:
            for timer in timers:
                timer.cancel()

        self._loop.call_soon_threadsafe(start)
        return partial(self._loop.call_soon_threadsafe, prevent)

    def stop(self) -> None:
        """End all requests and the thread."""
        self._is_stopped = True
        if self._loop.is_closed() or not self._thread.is_alive():
            return
        ended = asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop)
        with_timeout = concurrent.futures.wait([ended], timeout=_STOP_SECONDS)
        if with_timeout.done:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOP_SECONDS)
        settle()


async def _cancel_all() -> None:
    mine = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not mine]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


_engines: dict[int, Engine] = {}
_starting = threading.Lock()
os.register_at_fork(after_in_child=_starting._at_fork_reinit)  # type: ignore[attr-defined]


def engine() -> Engine:
    """Return the engine of this process, started at first use."""
    process = os.getpid()
    if process not in _engines:
        with _starting:
            if process not in _engines:
                _engines[process] = Engine()
    return _engines[process]


def awaited(value: Awaitable[Result]) -> Coroutine[Any, Any, Result]:
    """Return an awaitable of the client as a coroutine."""

    async def wait() -> Result:
        return await value

    return wait()
