"""CountedStore: objects in memory, whose requests are counted."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from fastpack.stores import registry
from fastpack.stores.reads import RemoteFile
from fastpack.stores.store_path import StorePath


class CountedStore:
    """The part of a store that reads of ranges need.

    Args:
        objects: content by key.
        before: called with key, start and end before each range is answered.
    """

    root = "memory://test"

    def __init__(
        self,
        objects: dict[str, bytes],
        before: Callable[[str, int, int], object] = lambda *_: None,
    ) -> None:
        self.objects, self.before = objects, before
        self.requests: list[tuple[str, int, int]] = []
        self._lock = threading.Lock()

    def url(self, key: str) -> str:
        return f"{self.root}/{key}"

    def start_ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str = ""
    ) -> "Future[list[Any]]":
        future: Future[list[Any]] = Future()

        def answer() -> None:
            buffers = []
            for start, end in zip(starts, ends, strict=True):
                with self._lock:
                    self.requests.append((key, start, end))
                try:
                    self.before(key, start, end)
                except Exception as error:
                    future.set_exception(error)
                    return
                buffers.append(self.objects[key][start:end])
            if future.set_running_or_notify_cancel():
                future.set_result(buffers)

        threading.Thread(target=answer, daemon=True).start()
        return future

    def file(self, key: str, etag: str = "1") -> RemoteFile:
        """Return an object; this store is that of its root from now on."""
        registry._stores[os.getpid(), self.root, ()] = self  # type: ignore[assignment]
        return RemoteFile(StorePath(self.root, key), len(self.objects[key]), etag)

    @property
    def num_bytes(self) -> int:
        """Bytes that were requested."""
        return sum(end - start for _, start, end in self.requests)
