"""Reads: many byte ranges of many objects at once, started now and awaited later."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fastpack.stores.engine import Future
from fastpack.stores.ranges import Ranges, join
from fastpack.stores.store import Buffer
from fastpack.stores.store_path import StorePath

Rows = npt.NDArray[np.int64]


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
    """Ranges that are being read.

    - ranges: that `result` returns; they cover those that were given.
    """

    ranges: Ranges

    @property
    def num_bytes(self) -> int:
        """Bytes that are requested from stores."""
        ...

    def result(self) -> list[Buffer]:
        """Wait for all ranges; return their bytes.

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

    def __init__(self, ranges: Ranges) -> None:
        self.ranges = ranges
        self._futures: list[Future[list[Buffer]]] = []
        self._places: list[Rows] = []
        self._process = os.getpid()

    @property
    def num_bytes(self) -> int:
        return self.ranges.num_bytes

    @classmethod
    def start(cls, files: Sequence[RemoteFile], ranges: Ranges) -> "DirectReads":
        """Start to read ranges of files, by their numbers in `files`; neighbors share a request."""
        return cls.of_joined(files, join(ranges))

    @classmethod
    def of_joined(cls, files: Sequence[RemoteFile], ranges: Ranges) -> "DirectReads":
        """Start to read ranges of files, each in a request of its own."""
        reads = cls(ranges)
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
        buffers: list[Buffer] = [None] * len(self.ranges)
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

    def when_done(self, call: Callable[[], None]) -> None:
        """Call a function when the last range has arrived, failed or was cancelled."""
        left = iter(range(len(self._futures) - 1))
        calls = [call]  # emptied: a future keeps its callbacks, which may refer to its bytes

        def note(_: object) -> None:
            if next(left, None) is None:
                calls.pop()()

        for future in self._futures:
            future.add_done_callback(note)

    def cancel(self) -> None:
        if self._process != os.getpid():
            return  # a fork: the requests are the parent's, and a lock may stay held
        for future in self._futures:
            future.cancel()

    def __del__(self) -> None:
        self.cancel()
