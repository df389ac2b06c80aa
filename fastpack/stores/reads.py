"""Reads: many byte ranges of many objects at once, started now and awaited later."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fastpack.stores.engine import Future
from fastpack.stores.ranges import Ranges
from fastpack.stores.store import Buffer
from fastpack.stores.store_path import StorePath


@dataclass(frozen=True)
class RemoteFile:
    """An object with the identity that its bytes must have.

    Args:
        path: of the object.
        size: in bytes.
        etag: identity; "" if the store has none.
    """

    path: StorePath
    size: int
    etag: str


class Reads(Protocol):
    """Ranges that are being read."""

    def result(self) -> list[Buffer]:
        """Wait for all ranges; return their bytes, in the order in which they were given.

        Raises the error of a range that cannot be read, and ends the other reads then.
        """
        ...

    def is_done(self) -> bool:
        """Return True if `result` will not wait."""
        ...

    def cancel(self) -> None:
        """End all requests at once."""
        ...


class DirectReads(Reads):
    """Ranges read from the stores, without a cache."""

    def __init__(self, futures: "list[Future[list[Buffer]]]", num_ranges: int) -> None:
        self._futures, self._num_ranges = futures, num_ranges
        self._places: list[np.ndarray] = []

    @classmethod
    def start(cls, files: Sequence[RemoteFile], ranges: Ranges) -> "DirectReads":
        """Start to read ranges of files, by their numbers in `files`."""
        reads = cls([], len(ranges))
        order = np.argsort(ranges.files, kind="stable")
        ends = np.flatnonzero(np.diff(ranges.files[order])) + 1
        for rows in np.split(order, ends) if len(order) else ():
            file = files[int(ranges.files[rows[0]])]
            starts, stops = ranges.starts[rows].tolist(), ranges.ends[rows].tolist()
            path = file.path
            reads._futures.append(path.store.start_ranges(path.key, starts, stops, file.etag))
            reads._places.append(rows)
        return reads

    def result(self) -> list[Buffer]:
        buffers: list[Buffer] = [None] * self._num_ranges
        try:
            for future, rows in zip(self._futures, self._places, strict=True):
                for row, buffer in zip(rows.tolist(), future.result(), strict=True):
                    buffers[row] = buffer
        except BaseException:  # Ctrl-C too
            self.cancel()
            raise
        return buffers

    def is_done(self) -> bool:
        return all(future.done() for future in self._futures)

    def cancel(self) -> None:
        for future in self._futures:
            future.cancel()

    def __del__(self) -> None:
        self.cancel()
