"""Limiter: how many requests a process has open at a store.

By Little's law a store needs (bandwidth x latency / bytes of a request) requests at once. Neither
is known before, so the limit grows while growing gives more bytes a second. It is halved when the
store answers that requests come too fast, or does not answer in time.
"""

import asyncio
import contextlib
import time
from collections import deque

_FIRST_LIMIT = 32
_LEAST_LIMIT = 4
GREATEST_LIMIT = 256
_GROWTH = 1.5
_GAIN = 1.05  # more bytes a second that justify another growth
_WINDOW_SECONDS = 0.5
_KEPT_DURATIONS = 128
_FEWEST_DURATIONS = 20  # before a slow request is known to be slow
_SLOW_FACTOR = 3
_LEAST_HEDGE_SECONDS = 0.25
_HEDGED_SHARE = 20  # at most one request in 20 is sent twice


class Limiter:
    """Slots for requests, and what is known of their durations. For one event loop."""

    def __init__(self) -> None:
        self.limit = float(_FIRST_LIMIT)
        self.in_flight = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._durations: deque[float] = deque(maxlen=_KEPT_DURATIONS)
        self._num_requests = self._num_hedged = 0
        self._window_start, self._window_bytes, self._is_limited = 0.0, 0, False
        self._last_rate = 0.0
        self._last_slow_down = 0.0
        self.is_reached = False  # the store has answered some request

    async def acquire(self, count: int) -> None:
        """Wait for `count` slots. One that asks for more than there are gets all of them."""
        if not self._waiting and self._has_room(count):
            self.in_flight += count
            return
        self._is_limited = True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (count, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(count)
            else:
                with contextlib.suppress(ValueError):  # `release` has dropped it
                    self._waiting.remove(entry)
            raise

    def release(self, count: int) -> None:
        self.in_flight -= count
        while self._waiting and self._has_room(self._waiting[0][0]):
            taken, turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += taken
                turn.set_result(None)

    def _has_room(self, count: int) -> bool:
        return self.in_flight == 0 or self.in_flight + count <= self.limit

    def succeeded(self, seconds: float, num_bytes: int) -> None:
        """Note a request that was answered; perhaps raise the limit."""
        self._num_requests += 1
        self.is_reached = True
        self._durations.append(seconds)
        now = time.monotonic()
        self._window_bytes += num_bytes
        elapsed = now - self._window_start
        if elapsed < _WINDOW_SECONDS:
            return
        if elapsed < 4 * _WINDOW_SECONDS and self._is_limited:
            rate = self._window_bytes / elapsed
            if rate > _GAIN * self._last_rate:
                self._last_rate = rate
                self.limit = min(GREATEST_LIMIT, self.limit * _GROWTH)
        self._window_start, self._window_bytes, self._is_limited = now, 0, False

    def slow_down(self) -> None:
        """Halve the limit, at most once a second."""
        now = time.monotonic()
        if now - self._last_slow_down >= 1:
            self._last_slow_down = now
            self._last_rate = 0.0
            self.limit = max(_LEAST_LIMIT, self.limit / 2)

    @property
    def hedge_seconds(self) -> float | None:
        """After how long a request is slow; None while that is not known."""
        if len(self._durations) < _FEWEST_DURATIONS:
            return None
        slow = sorted(self._durations)[-1 - len(self._durations) // 20]
        return max(_LEAST_HEDGE_SECONDS, _SLOW_FACTOR * slow)

    def may_hedge(self) -> bool:
        """Return True, and count it, if one more request may be sent a second time."""
        if self._num_hedged * _HEDGED_SHARE > self._num_requests:
            return False
        self._num_hedged += 1
        return True
