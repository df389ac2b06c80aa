"""One bounded pool of threads for the kernels.

The pool is the library's only state. It is made at first use and belongs to one process: after a fork
the child finds no pool under its own id and makes another.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if (
    TYPE_CHECKING
):  # else imported when the pool is made: it takes a tenth of the time that the library may
    from concurrent.futures import Future, ThreadPoolExecutor

Result = TypeVar("Result")

_pools: "dict[int, ThreadPoolExecutor]" = {}


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def max_threads() -> int:
    """Threads that the pool has at most."""
    return max(32, num_cores())


def _pool() -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor

    process = os.getpid()
    if process not in _pools:
        # setdefault keeps one of two pools that racing threads make; the other never gets a thread.
        _pools.setdefault(process, ThreadPoolExecutor(max_threads(), "fastpack"))
    return _pools[process]


def import_threads() -> None:
    """Imports what making threads imports. Whoever will read calls this before: a child that is forked while a thread imports
    a module waits for that module for ever."""
    import concurrent.futures.thread  # noqa: F401
    import logging  # noqa: F401  # a Loader tells it which samples failed


def submit(work: Callable[..., object], *arguments: Any) -> bool:
    """Runs `work` on a thread of the pool, when one is free. False, and nothing is run, when no thread can be started."""
    future = _offered(partial(work, *arguments))
    return not future.cancelled()


def run_in_threads(work: Callable[[], Result], num_workers: int | None = None) -> list[Result]:
    """Runs `work` on `num_workers` threads at once, the caller's among them, and gives what each returned.

    `work` takes its portions from a counter of its own, so it does not matter how many run it: where the system starts no more
    threads, fewer do. When one raises, the others are waited for and the first exception goes on.
    """
    workers = num_cores() if num_workers is None else num_workers
    if workers <= 1:
        return [work()]
    others = [
        _future() for _ in range(workers - 1)
    ]  # all known before the first begins, so that Ctrl-C loses none
    interruption = None
    try:
        for other in others:
            _offer(work, other)
            if other.cancelled():
                break  # the next would not start either
        mine = work()
    finally:
        # Nothing may still write into the caller's arrays once this returns, not even after one Ctrl-C and another. Threads
        # that have not begun are not needed any more; waiting for them could be waiting for ourselves.
        while True:
            try:
                begun = _begun(others)
                break
            except BaseException as error:
                interruption = error
        if interruption is not None:
            raise interruption
    return [mine, *(future.result() for future in begun)]


def _begun(futures: "list[Future[Result]]") -> "list[Future[Result]]":
    """Withdraws those that have not begun; waits for the others, and gives them."""
    from concurrent.futures import wait

    begun = [future for future in futures if not future.cancel()]
    wait(begun)
    return begun


def _future() -> "Future[Any]":
    from concurrent.futures import Future

    return Future()


def _offered(work: Callable[[], Result]) -> "Future[Result]":
    future: Future[Result] = _future()
    _offer(work, future)
    return future


def _offer(work: Callable[[], Result], future: "Future[Result]") -> None:
    """Lets a thread of the pool run `work` for `future`, which is cancelled when none can be started.

    A future of our own: when it cannot start a thread, the pool raises, gives none, and yet keeps the work for the threads it has.
    """
    try:
        _pool().submit(_run, work, future)
    except RuntimeError:  # also when the interpreter ends
        future.cancel()


def _run(work: Callable[[], Result], future: "Future[Result]") -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
        del future  # the traceback holds this frame: a circle, that would hold what the work held
