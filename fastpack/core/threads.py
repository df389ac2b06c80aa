"""One bounded thread pool for the kernels.

The pool is the library's only global state. It is made at first use and belongs to one process: a
forked child finds no pool for its own process id and makes another.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # the pool imports it at first use: `import fastpack` would take 10% longer
    from concurrent.futures import Future, ThreadPoolExecutor

Result = TypeVar("Result")

_pools: "dict[int, ThreadPoolExecutor]" = {}


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def max_threads() -> int:
    """Return how many threads the pool has at most."""
    return max(32, num_cores())


def _pool() -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor

    process = os.getpid()
    if process not in _pools:
        # setdefault keeps one of two pools that racing threads make; the other starts no thread.
        _pools.setdefault(process, ThreadPoolExecutor(max_threads(), "fastpack"))
    return _pools[process]


def import_threads() -> None:
    """Import the modules that starting a thread needs; a Reader calls this when it is made.

    A child that is forked during another thread's import would wait for that import without end.
    """
    import concurrent.futures.thread  # noqa: F401
    import logging  # noqa: F401  # a Loader logs failed samples


def submit(work: Callable[..., object], *arguments: Any) -> bool:
    """Run `work` on a thread of the pool; return False if no thread can be started."""
    future: Future[object] = _future()
    _offer(partial(work, *arguments), future)
    return not future.cancelled()


def run_in_threads(work: Callable[[], Result], num_workers: int | None = None) -> list[Result]:
    """Run `work` on `num_workers` threads, the caller's included; return all results.

    Each call of `work` takes portions from a shared counter, so the number of threads is free. If
    the OS starts fewer, fewer run. If one raises, the others finish first.
    """
    workers = num_cores() if num_workers is None else num_workers
    if workers <= 1:
        return [work()]
    # All exist before the first one starts, so that Ctrl-C loses none.
    others: list[Future[Result]] = [_future() for _ in range(workers - 1)]
    interruption = None
    try:
        for other in others:
            _offer(work, other)
            if other.cancelled():
                break  # the next one would not start either
        mine = work()
    finally:
        # No thread may write into the caller's arrays after the return, even after several Ctrl-C.
        # Threads that have not started are withdrawn: to wait for them could be a deadlock.
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
    """Withdraw the futures that have not started; wait for the others and return them."""
    from concurrent.futures import wait

    begun = [future for future in futures if not future.cancel()]
    wait(begun)
    return begun


def _future() -> "Future[Any]":
    from concurrent.futures import Future

    return Future()


def _offer(work: Callable[[], Result], future: "Future[Result]") -> None:
    """Let a thread of the pool run `work` for `future`; cancel it if no thread can be started.

    The pool's own future does not serve. A pool that cannot start a thread raises, but keeps the
    work for the threads that it has.
    """
    try:
        _pool().submit(_run, work, future)
    except RuntimeError:  # also at the interpreter's end
        future.cancel()


def _run(work: Callable[[], Result], future: "Future[Result]") -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
        del future  # the traceback holds this frame; a circle would keep the work's objects alive
