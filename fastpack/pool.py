"""One bounded pool of threads for the kernels.

The pool is the library's only state. It is made at first use and belongs to one process: after a fork
the child finds no pool under its own id and makes another.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # else imported when the pool is made: it takes a tenth of the time that the library may
    from concurrent.futures import Future, ThreadPoolExecutor

Result = TypeVar("Result")

_pools: "dict[int, ThreadPoolExecutor]" = {}


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def most_threads() -> int:
    """Threads that the pool has at most."""
    return max(32, num_cores())


def _pool() -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor

    process = os.getpid()
    if process not in _pools:
        # setdefault keeps one of two pools that racing threads make; the other never gets a thread.
        _pools.setdefault(process, ThreadPoolExecutor(most_threads(), "fastpack"))
    return _pools[process]


def submit(work: Callable[..., Result], *arguments: Any) -> "Future[Result]":
    """Runs `work` on a thread of the pool, when one is free."""
    return _pool().submit(work, *arguments)


def share(work: Callable[[], Result], num_workers: int | None = None) -> list[Result]:
    """Runs `work` on `num_workers` threads at once, the caller's among them, and gives what each returned.

    `work` takes its portions from a counter of its own, so it does not matter how many run it.
    When one raises, the others are waited for and the first exception goes on.
    """
    workers = num_cores() if num_workers is None else num_workers
    if workers <= 1:
        return [work()]
    from concurrent.futures import wait

    others: list[Future[Result]] = [_pool().submit(work) for _ in range(workers - 1)]
    try:
        mine = work()
    finally:
        # Nothing may still write into the caller's arrays once this returns, not even after Ctrl-C. Threads
        # that have not begun are not needed any more; waiting for them could be waiting for ourselves.
        begun = [future for future in others if not future.cancel()]
        wait(begun)
    return [mine, *(future.result() for future in begun)]
