"""A store in memory: no server, no client; each read can be delayed or made to fail."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from fastpack.errors import Location, MissingFileError, StoreError, changed_file_error
from fastpack.errors import with_location as located
from fastpack.stores import registry
from fastpack.stores.store import Buffer, ObjectFacts


class MemoryStore:
    """See Store. Its etag is a number, a new one for each put.

    Args:
        root: its URL.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._objects: dict[str, tuple[ObjectFacts, bytes]] = {}
        self._numbers = iter(range(1_000_000))
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(4)
        self.num_reads = 0
        # Called with the number of each read of ranges, from 0; may wait, or raise.
        self.before: Callable[[int], None] = lambda number: None

    def put(self, key: str, data: bytes) -> None:
        facts = ObjectFacts(key, len(data), f"{next(self._numbers)}", 0)
        self._objects[key] = facts, data

    def put_folder(self, folder: Path, prefix: str) -> None:
        for path in sorted(folder.iterdir()):
            if path.is_file():
                self.put(f"{prefix}/{path.name}", path.read_bytes())

    def fail_at(self, *numbers: int) -> None:
        """Fails the next reads with these numbers, counted from now."""
        self.num_reads = 0

        def fail(number: int) -> None:
            if number in numbers:
                message = located("the store of this test is away", Location(self.root))
                raise StoreError(5, message)

        self.before = fail

    def recover(self) -> None:
        self.before = lambda number: None

    def url(self, key: str) -> str:
        return f"{self.root}/{key}"

    def facts(self, key: str) -> ObjectFacts:
        return self._object(key)[0]

    def _object(self, key: str) -> tuple[ObjectFacts, bytes]:
        if key not in self._objects:
            raise MissingFileError(2, located("no such object", Location(self.url(key))))
        return self._objects[key]

    def list_objects(self, prefix: str) -> Iterator[ObjectFacts]:
        return iter([self.facts(key) for key in sorted(self._objects) if key.startswith(prefix)])

    def list_pages(self, folder: str) -> Iterator[list[ObjectFacts]]:
        if page := [*self.list_objects(folder)]:
            yield page

    def list_folder(self, folder: str) -> tuple[list[ObjectFacts], list[str]]:
        rest = {facts.key[len(folder) :]: facts for facts in self.list_objects(folder)}
        names = sorted({name.partition("/")[0] for name in rest if "/" in name})
        return [facts for name, facts in rest.items() if "/" not in name], names

    def read(self, key: str, etag: str = "") -> bytes:
        facts, data = self._object(key)
        if etag and facts.etag != etag:
            raise changed_file_error(Location(self.url(key)))
        return data

    def read_ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str = ""
    ) -> list[Buffer]:
        return self.start_ranges(key, starts, ends, etag).result()

    def read_alone(self, key: str, start: int, end: int, etag: str = "") -> bytes:
        self._begin()
        return self.read(key, etag)[start:end]

    def start_ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str = ""
    ) -> "Future[list[Buffer]]":
        def read() -> list[Buffer]:
            self._begin()
            data = self.read(key, etag)
            assert all(end <= len(data) for end in ends)
            return [data[start:end] for start, end in zip(starts, ends, strict=True)]

        future: Future[list[Buffer]] = Future()  # it can be cancelled while the read waits
        self._pool.submit(_settle, future, read)
        return future

    def _begin(self) -> None:
        with self._lock:
            number = self.num_reads
            self.num_reads += 1
        self.before(number)


def _settle(future: "Future[list[Buffer]]", read: Callable[[], list[Buffer]]) -> None:
    try:
        result, failure = read(), None
    except BaseException as error:
        result, failure = [], error
    if not future.set_running_or_notify_cancel():
        return
    if failure is None:
        future.set_result(result)
    else:
        future.set_exception(failure)


@contextmanager
def memory_store(root: str = "s3://memory") -> Iterator[MemoryStore]:
    """The store of a root, as long as the context lasts."""
    known = os.getpid(), root, ()
    registry._stores[known] = store = MemoryStore(root)
    try:
        yield store
    finally:
        store._pool.shutdown(wait=False, cancel_futures=True)
        del registry._stores[known]
