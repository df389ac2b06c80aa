"""Iteration: the rest of a loader's epoch, read ahead."""

from collections.abc import Iterator
from typing import Protocol

from fastpack.errors import StateError
from fastpack.images.batch import Batch
from fastpack.loading.options import LoaderOptions
from fastpack.loading.prefetch import Prefetch
from fastpack.loading.read_ahead import RemotePrefetch
from fastpack.loading.schedule import Schedule
from fastpack.reading.reader import Reader


class Delivering(Protocol):
    """The part of a loader that an iteration needs."""

    @property
    def dataset(self) -> Reader: ...
    @property
    def options(self) -> LoaderOptions: ...
    @property
    def schedule(self) -> Schedule: ...
    @property
    def epoch(self) -> int: ...
    @property
    def position(self) -> int: ...
    def count(self, batch: Batch) -> None: ...


class Iteration(Iterator[Batch]):
    """The rest of an epoch.

    It refers to its loader, and the loader only weakly to it: dropping it stops the prefetching.
    """

    def __init__(self, loader: Delivering) -> None:
        self._loader = loader
        self._epoch = loader.epoch
        self._prefetch: Prefetch[Batch] | None = None
        self._is_done = self._is_closed = False

    def __next__(self) -> Batch:
        if self._is_done or (not self._is_closed and self._loader.epoch != self._epoch):
            self._is_done = True
            self._stop(wait=False)
            raise StopIteration
        if self._is_closed:
            raise StateError(
                "the loader has left this iterator: it was closed, moved, or started another; "
                "iterate it again"
            )
        try:
            batch = self._next()
        except BaseException:  # Ctrl-C too: the loader stays where it was
            self._stop(wait=False)
            raise
        self._loader.count(batch)
        return batch

    def _next(self) -> Batch:
        loader = self._loader
        if loader.options.prefetch == 0:
            return loader.schedule.read(loader.dataset, self._epoch, loader.position)
        if self._prefetch is None or self._prefetch.is_forked:
            return (
                self._first_remote() if loader.dataset.samples.remote is not None else self._first()
            )
        return self._prefetch.take()

    def _first_remote(self) -> Batch:
        """Request the bytes of the next steps from the stores, and return the first batch."""
        loader = self._loader
        start = self._epoch, loader.position
        self._prefetch = RemotePrefetch(
            loader.schedule, loader.dataset, start, loader.options.prefetch
        )
        return self._prefetch.take()

    def _first(self) -> Batch:
        """Read a batch with all threads, so that it comes soon; then start to read ahead."""
        loader, options = self._loader, self._loader.options
        place = self._epoch, loader.position
        batch = loader.schedule.read_first(loader.dataset, place, options.read_ahead)
        start = self._epoch, loader.schedule.partition.end(loader.position)
        depth, read_ahead = options.prefetch, options.read_ahead
        self._prefetch = loader.schedule.prefetch(loader.dataset, start, depth, read_ahead)
        self._prefetch.start()
        return batch

    def close(self) -> None:
        """End the iteration, and wait until no thread reads for it."""
        self._is_closed = True
        self._stop(wait=True)

    def _stop(self, *, wait: bool) -> None:
        if self._prefetch is not None:
            self._prefetch.close(wait=wait)
        self._prefetch = None

    def __del__(self) -> None:
        self._stop(wait=False)
