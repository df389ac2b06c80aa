"""ObjectStore: S3, GCS, Azure and HTTP(S), through obstore."""

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from fastpack.stores.connection import Connection
from fastpack.stores.engine import Future, TransientError, engine
from fastpack.stores.failures import changed, is_of_range, status_of
from fastpack.stores.identity import condition_of, facts_of
from fastpack.stores.limiter import Limiter
from fastpack.stores.object_writes import ObjectWrites
from fastpack.stores.pages import Pages
from fastpack.stores.range_call import RangeCall
from fastpack.stores.requests import Requests
from fastpack.stores.store import Buffer, ObjectFacts, Options, UploadProgress

SCHEMES = ("s3", "gs", "az", "abfs", "abfss", "http", "https")
# Answers to a HEAD that a GET may not have: a signed URL is for one method, and some servers lack
# HEAD. Besides, the answer to a GET has room for a reason.
_NO_HEAD = (400, 401, 403, 405, 501)
# A call ends with a conditional get, which shows that all of its ranges are of one content. The get
# costs 280 us of CPU, each other range 95 us.
RANGES_A_CALL = 16
# A slot of the limiter is a request, or so many bytes: they are in memory until they are used.
_SLOT_BYTES = 2**20
_FIRST_PAUSE = 0.1  # of `read_alone`


class ObjectStore:
    """The objects of one bucket, container or host. See Store."""

    def __init__(self, root: str, options: Options = ()) -> None:
        self._root = root
        connection = Connection(root, options)
        self._obs, self._client = connection.obs, connection.client
        self._requests = Requests(root, connection.obs.exceptions, connection.patience)
        self._writes = ObjectWrites(connection, self._requests, self)

    @property
    def root(self) -> str:
        return self._root

    @property
    def limiter(self) -> Limiter:
        """The limit of requests at once."""
        return self._requests.limiter

    def url(self, key: str) -> str:
        """Return the URL of an object."""
        return self._requests.url(key)

    def facts(self, key: str) -> ObjectFacts:
        return engine().run(self._head(key))

    def _head(
        self, key: str, start: int | None = None, end: int | None = None
    ) -> Coroutine[Any, Any, ObjectFacts]:
        async def head() -> ObjectFacts:
            with self._requests.failures(key, start):
                try:
                    return facts_of(await self._obs.head_async(self._client, key))
                except Exception as error:
                    if status_of(error) not in _NO_HEAD:
                        raise
                    return facts_of((await self._conditional(key, "", (0, 1))).meta)

        return self._requests.until_done(head, key, start, end)

    def list_objects(self, prefix: str) -> Iterator[ObjectFacts]:
        # The client lists whole folders only.
        pages = self.list_pages(prefix.rpartition("/")[0])
        found = sorted(
            (facts for facts in chain.from_iterable(pages) if facts.key.startswith(prefix)),
            key=lambda facts: facts.key,
        )
        return iter(found)

    def list_pages(self, folder: str) -> Iterator[list[ObjectFacts]]:
        list_from = partial(self._obs.list, self._client, folder.rstrip("/") or None)
        pages = Pages(list_from, self._requests.location(folder))

        async def following() -> list[ObjectFacts] | None:
            with self._requests.failures(folder):
                return await pages.following()

        def following_page() -> list[ObjectFacts] | None:
            # Two requests at once would take each other's pages.
            return self._requests.run(following, folder, may_hedge=False)

        yield from iter(following_page, None)

    def list_folder(self, folder: str) -> tuple[list[ObjectFacts], list[str]]:
        async def listing() -> tuple[list[ObjectFacts], list[str]]:
            with self._requests.failures(folder):
                found = await self._obs.list_with_delimiter_async(
                    self._client, folder.rstrip("/") or None
                )
                objects = [facts_of(meta) for meta in found["objects"]]
                names = [prefix.rpartition("/")[2] for prefix in found["common_prefixes"]]
                return sorted(objects, key=lambda facts: facts.key), sorted(names)

        return self._requests.run(listing, folder)

    def read(self, key: str, etag: str = "") -> bytes:
        async def get() -> bytes:
            with self._requests.failures(key):
                result = await self._whole(key, etag)
                data = bytes(await result.bytes_async())
                _refuse_truncated(len(data), facts_of(result.meta).size)
                return data

        return self._requests.run(get, key)

    def read_ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str = ""
    ) -> list[Buffer]:
        return engine().run(self._ranges(key, starts, ends, etag))

    def start_ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str = ""
    ) -> "Future[list[Buffer]]":
        """Start to read ranges, as `read_ranges` does; cancelling the future ends its requests."""
        return engine().submit(self._ranges(key, starts, ends, etag))

    def read_alone(self, key: str, start: int, end: int, etag: str = "") -> bytes:
        """Return one byte range, read by this thread alone.

        For callers with a lock that another thread of Python may need.
        """
        began, pause, num_attempts = time.monotonic(), _FIRST_PAUSE, 0
        while True:
            num_attempts += 1
            try:
                with self._requests.failures(key, start, end):
                    options = {"range": (start, end), **condition_of(etag)}
                    result = self._obs.get(self._client, key, options=options)
                    if etag and facts_of(result.meta).etag != etag:
                        raise changed(self._requests.location(key))
                    data = bytes(result.bytes())
                    _refuse_truncated(len(data), end - start)
                    return data
            except TransientError as failure:
                seconds, pause = time.monotonic() - began, 2 * pause
                if seconds + pause > self._requests.patience.deadline:
                    raise self._requests.given_up(key, start, end)(
                        str(failure), num_attempts, seconds
                    ) from None
            time.sleep(pause)

    async def _ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str
    ) -> list[Buffer]:
        # No store answers a request for an empty range.
        filled = [row for row in range(len(starts)) if ends[row] > starts[row]]
        if len(filled) > 1 and not etag:
            whole = min(starts), max(ends)
            etag = (await self._head(key, *whole)).etag  # else its parts may be of two contents
        calls = []
        for first in range(0, len(filled), RANGES_A_CALL):
            rows = filled[first : first + RANGES_A_CALL]
            spans = [starts[row] for row in rows], [ends[row] for row in rows]
            calls.append(self._call(key, *spans, etag))
        tasks = [asyncio.ensure_future(call) for call in calls]
        try:
            parts = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            raise
        buffers: list[Buffer] = [b""] * len(starts)
        for row, buffer in zip(filled, chain.from_iterable(parts), strict=True):
            buffers[row] = buffer
        return buffers

    def _call(
        self, key: str, starts: list[int], ends: list[int], etag: str
    ) -> Coroutine[Any, Any, list[Buffer]]:
        call = RangeCall(self, self._requests, key, starts, ends, etag)
        return self._requests.until_done(
            call.attempt,
            key,
            min(starts),
            max(ends),
            num_slots=max(len(starts), call.num_bytes // _SLOT_BYTES),
            num_bytes=call.num_bytes,
        )

    async def get_ranges(self, key: str, starts: list[int], ends: list[int]) -> list[Buffer]:
        """Ask once for ranges, each in a request of its own, without a condition."""
        call = self._obs.get_ranges_async
        return list(await call(self._client, key, starts=starts, ends=ends, coalesce=0))

    async def get_range(self, key: str, start: int, end: int, etag: str) -> tuple[int, Buffer]:
        """Ask once for a range of an object with this etag; return the object's size and bytes."""
        result = await self._conditional(key, etag, (start, end))
        return facts_of(result.meta).size, await result.bytes_async()

    async def _whole(self, key: str, etag: str) -> Any:
        """Get an object, by a range: only then the answer has the object's size."""
        try:
            return await self._conditional(key, etag, {"offset": 0})
        except Exception as error:
            if is_of_range(error):
                return await self._conditional(key, etag)
            raise

    async def _conditional(self, key: str, etag: str, span: Any = None) -> Any:
        """Get an object, or a range of it, if it has the given etag.

        Some stores ignore conditions, so the answer's etag is compared as well.
        """
        options: dict[str, Any] = {**condition_of(etag)}
        if span is not None:
            options["range"] = span
        result = await self._obs.get_async(self._client, key, options=options)
        if etag and facts_of(result.meta).etag != etag:
            raise changed(self._requests.location(key))
        return result

    def put(
        self, key: str, data: bytes, *, if_absent: bool = False, if_match: str = ""
    ) -> ObjectFacts:
        return self._writes.put(key, data, if_absent=if_absent, if_match=if_match)

    def upload(
        self, key: str, path: Path, *, progress: UploadProgress | None = None
    ) -> ObjectFacts:
        return self._writes.upload(key, path, progress=progress)

    def delete(self, keys: Sequence[str]) -> None:
        self._writes.delete(keys)


def _refuse_truncated(num_bytes: int, expected: int) -> None:
    if num_bytes != expected:
        raise TransientError(f"the answer had {num_bytes} bytes instead of {expected}")
