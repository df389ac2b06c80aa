"""StoreSpeed: latency and bandwidth of an object store, measured with ranges of its files."""

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastpack.errors import EmptySourceError
from fastpack.files.shard import Shard
from fastpack.stores.store_path import as_object

_SMALL_BYTES = 2**12
_NUM_SMALL = 9  # the first one connects, and does not count
_RANGE_BYTES = 2**21
_LEVELS = (1, 2, 4, 8, 16, 32, 64)
_REPEATED = 3  # ranges one after another, for the first level
_MAX_BYTES = 2**28
_ENOUGH = 0.9  # of the highest bandwidth


@dataclass(frozen=True)
class Level:
    """Requests of a store that ran at once.

    Args:
        num_requests: at once.
        bytes_per_second: of all together.
    """

    num_requests: int
    bytes_per_second: float


@dataclass(frozen=True)
class StoreSpeed:
    """Speed of a store from this machine.

    Args:
        latency: seconds until a range of 4 KiB has arrived, median.
        range_bytes: bytes of each request of `levels`.
        levels: bandwidth by number of requests at once, from 1 on. It ends where doubling
            them twice adds less than a tenth, or where time or bytes are used up.
        num_requests: requests that the measurement made.
        num_bytes: bytes that it read.
    """

    latency: float
    range_bytes: int
    levels: tuple[Level, ...]
    num_requests: int
    num_bytes: int

    @property
    def bandwidth(self) -> float:
        """Bytes per second of requests side by side."""
        return max(level.bytes_per_second for level in self.levels)

    @property
    def best(self) -> Level:
        """The fewest requests at once with at least 0.9 of the bandwidth."""
        return next(
            level for level in self.levels if level.bytes_per_second >= _ENOUGH * self.bandwidth
        )

    def seconds(self, num_bytes: float) -> float:
        """Return the time of one request alone: its latency, and its bytes at the rate of one."""
        whole = self.range_bytes / self.levels[0].bytes_per_second
        transfer = max(whole - self.latency, self.range_bytes / self.bandwidth)
        return self.latency + num_bytes / self.range_bytes * transfer

    def rate(self, num_bytes: float, at_once: int) -> float:
        """Return bytes per second of requests of some size, `at_once` of them side by side."""
        return min(self.bandwidth, at_once * num_bytes / self.seconds(num_bytes))

    def at_once(self, num_bytes: float, rate: float) -> int:
        """Return how many requests of some size at once give bytes at a rate: Little's law."""
        return max(1, -(-int(rate * self.seconds(num_bytes)) // int(num_bytes)))


def measure(shards: Sequence[Shard], seconds: float, seed: int = 0) -> StoreSpeed:
    """Measure a store with random ranges of files.

    It reads at most 256 MiB in about 140 requests, and takes a few times `seconds` at most.

    Raises EmptySourceError if all files are empty.
    """
    ranges = _Ranges(shards, seed)
    latencies = [ranges.read(1, _SMALL_BYTES) for _ in range(_NUM_SMALL)]
    latency = statistics.median(latencies[1:])
    alone = min(ranges.read(1, _RANGE_BYTES) for _ in range(_REPEATED))
    levels = [Level(1, ranges.num_bytes_of(_RANGE_BYTES) / alone)]
    left = seconds
    for count in _LEVELS[1:]:
        num_bytes = count * ranges.num_bytes_of(_RANGE_BYTES)
        expected = num_bytes / levels[-1].bytes_per_second
        if expected > 2 * left or ranges.num_bytes + num_bytes > _MAX_BYTES:
            break
        took = ranges.read(count, _RANGE_BYTES)
        left -= took
        levels.append(Level(count, num_bytes / took))
        if _has_settled(levels):
            break
    size = ranges.num_bytes_of(_RANGE_BYTES)
    return StoreSpeed(latency, size, tuple(levels), ranges.num_requests, ranges.num_bytes)


def _has_settled(levels: Sequence[Level]) -> bool:
    """Return True if doubling the requests twice added less than a tenth."""
    rates = [level.bytes_per_second for level in levels]
    return len(rates) > 2 and max(rates[-2:]) < max(rates[:-2]) / _ENOUGH


class _Ranges:
    """Random ranges of files, no two the same: a store must not answer from its memory."""

    def __init__(self, shards: Sequence[Shard], seed: int) -> None:
        self._smallest = min(_RANGE_BYTES, max(shard.size for shard in shards))
        if not self._smallest:
            raise EmptySourceError("all files are empty; there is nothing to measure")
        self._shards = [shard for shard in shards if shard.size >= self._smallest]
        self._random = random.Random(seed)
        self.num_requests = self.num_bytes = 0

    def num_bytes_of(self, size: int) -> int:
        """Return the bytes of a range: fewer than `size` if all files are smaller."""
        return min(size, self._smallest)

    def read(self, count: int, size: int) -> float:
        """Read ranges at once; return the seconds until all are here."""
        size = self.num_bytes_of(size)
        chosen = [self._place(size) for _ in range(count)]
        _allow(as_object(self._shards[0].path).store, count)
        started = time.perf_counter()
        futures = [
            path.store.start_ranges(path.key, [start], [start + size], shard.etag)
            for shard, start in chosen
            for path in [as_object(shard.path)]
        ]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()
        self.num_requests += count
        self.num_bytes += count * size
        return max(time.perf_counter() - started, 1e-9)

    def _place(self, size: int) -> tuple[Shard, int]:
        shard = self._random.choice(self._shards)
        return shard, self._random.randrange(shard.size - size + 1)


def _allow(store: Any, count: int) -> None:
    """Let a store have as many requests at once; it begins with fewer and learns."""
    limiter = getattr(store, "limiter", None)
    if limiter is not None:
        limiter.limit = max(limiter.limit, count)
