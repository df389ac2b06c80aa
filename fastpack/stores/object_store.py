"""ObjectStore: S3, GCS, Azure and HTTP(S), through obstore."""

import asyncio
import errno
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from fastpack.core.cached import cached_property
from fastpack.errors import (
    FastpackError,
    Location,
    OptionError,
    StoreError,
    with_location,
)
from fastpack.stores.client import client
from fastpack.stores.engine import Engine, Future, Patience, TransientError, engine, until_done
from fastpack.stores.failures import Failures, changed, is_of_range, reason_of, status_of
from fastpack.stores.limiter import Limiter
from fastpack.stores.object_writes import ObjectWrites, condition_of, facts_of
from fastpack.stores.pages import Pages
from fastpack.stores.range_call import RangeCall
from fastpack.stores.store import Buffer, ObjectFacts, Options
from fastpack.stores.url import is_web, joined_url

Result = TypeVar("Result")

SCHEMES = ("s3", "gs", "az", "abfs", "abfss", "http", "https")
_OWN_OPTIONS = ("timeout", "deadline", "query")
# Answers to a HEAD that a GET may not have: a signed URL is for one method, and some servers lack
# HEAD. Besides, the answer to a GET has room for a reason.
_NO_HEAD = (400, 401, 403, 405, 501)
# Options of the client's connections; others are of the store.
_CONNECTION_OPTIONS = (
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "default_headers",
    "http1_only",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_url",
    "root_certificate",
    "user_agent",
)
# A call ends with a conditional get, which shows that all of its ranges are of one content. The get
# costs 280 us of CPU, each other range 95 us.
RANGES_A_CALL = 16
# A slot of the limiter is a request, or so many bytes: they are in memory until they are used.
_SLOT_BYTES = 2**20
_PART_RETRIES = 10
_FIRST_PAUSE = 0.1  # of `read_alone`
# Parts of the client's words for what it lacks.
_REMEDIES = {"Account must be": "set AZURE_STORAGE_ACCOUNT_NAME, or give it in storage_options"}
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


class ObjectStore(ObjectWrites):
    """The objects of one bucket, container or host. See Store."""

    def __init__(self, root: str, options: Options = ()) -> None:
        self._root, self._options = root, options
        given = dict(options)
        self._patience = Patience(
            float(given.get("timeout", Patience.timeout)),
            float(given.get("deadline", Patience.deadline)),
        )
        self._limiter = Limiter()
        self._obs = client()
        # The engine repeats requests: it sees which failed, and sends fewer at once.
        self._store = self._made(given, self._patience.timeout, max_retries=0)

    @cached_property
    def _uploading(self) -> Any:
        """A client that repeats parts of an upload itself: only it knows them."""
        given = dict(self._options)
        if self._compares_parts:
            given.setdefault("checksum_algorithm", "SHA256")
        # A part that stalls is sent again before the deadline of all its attempts.
        return self._made(given, self._patience.deadline / 3, max_retries=_PART_RETRIES)

    @property
    def _compares_parts(self) -> bool:
        """True for AWS itself, which compares each part with its checksum."""
        return self._root.startswith("s3://") and not self._endpoint

    @property
    def _endpoint(self) -> str:
        """The URL of a store that is not AWS; "" if neither options nor environment name it."""
        options = {name.removeprefix("aws_"): value for name, value in self._options}
        given = [options.get("endpoint"), options.get("endpoint_url")]
        return next(filter(None, [*given, *map(os.environ.get, _ENDPOINT_VARIABLES)]), "")

    def _made(self, given: dict[str, Any], timeout: float, max_retries: int) -> Any:
        connection = {name: given[name] for name in _CONNECTION_OPTIONS if name in given}
        connection.setdefault("connect_timeout", "10s")
        if self._root.startswith("http://"):
            connection.setdefault("allow_http", True)
        connection["timeout"] = timedelta(seconds=timeout)
        if self._endpoint.startswith("http://"):
            connection.setdefault("allow_http", True)
        others = {
            name: value
            for name, value in given.items()
            if name not in (*_CONNECTION_OPTIONS, *_OWN_OPTIONS)
        }
        deadline = timedelta(seconds=self._patience.deadline)
        retry = {"max_retries": max_retries, "retry_timeout": deadline}
        common = {"client_options": connection, "retry_config": retry}
        try:
            if is_web(self._root):
                query = f"?{given['query']}" if "query" in given else ""
                return self._obs.store.HTTPStore.from_url(self._root + query, **common)
            provider = _credentials(self._root, others)
            if provider is not None:
                common["credential_provider"] = provider
            return self._obs.store.from_url(self._root, config=others or None, **common)
        except Exception as error:
            reason = reason_of(error)
            remedy = next((text for part, text in _REMEDIES.items() if part in reason), "")
            message = f"the store's client refuses its options: {reason}"
            text = f"{message}; {remedy or 'correct them'}"
            raise OptionError(with_location(text, Location(self._root))) from None

    @property
    def root(self) -> str:
        return self._root

    @property
    def limiter(self) -> Limiter:
        """The limit of requests at once."""
        return self._limiter

    def url(self, key: str) -> str:
        """Return the URL of an object."""
        return joined_url(self._root, key)

    @property
    def _engine(self) -> Engine:
        return engine()

    def facts(self, key: str) -> ObjectFacts:
        return self._engine.run(self._head(key))

    def _head(
        self, key: str, start: int | None = None, end: int | None = None
    ) -> Coroutine[Any, Any, ObjectFacts]:
        async def head() -> ObjectFacts:
            with self.failures(key, start):
                try:
                    return facts_of(await self._obs.head_async(self._store, key))
                except Exception as error:
                    if status_of(error) not in _NO_HEAD:
                        raise
                    return facts_of((await self._conditional(key, "", (0, 1))).meta)

        return self._until_done(head, key, start, end)

    def list_objects(self, prefix: str) -> Iterator[ObjectFacts]:
        # The client lists whole folders only.
        pages = self.list_pages(prefix.rpartition("/")[0])
        found = sorted(
            (facts for facts in chain.from_iterable(pages) if facts.key.startswith(prefix)),
            key=lambda facts: facts.key,
        )
        return iter(found)

    def list_pages(self, folder: str) -> Iterator[list[ObjectFacts]]:
        list_from = partial(self._obs.list, self._store, folder.rstrip("/") or None)
        pages = Pages(list_from, self.location(folder))

        async def following() -> list[ObjectFacts] | None:
            with self.failures(folder):
                return await pages.following()

        def following_page() -> list[ObjectFacts] | None:
            # Two requests at once would take each other's pages.
            return self._engine.run(self._until_done(following, folder, is_write=True))

        yield from iter(following_page, None)

    def list_folder(self, folder: str) -> tuple[list[ObjectFacts], list[str]]:
        async def listing() -> tuple[list[ObjectFacts], list[str]]:
            with self.failures(folder):
                found = await self._obs.list_with_delimiter_async(
                    self._store, folder.rstrip("/") or None
                )
                objects = [facts_of(meta) for meta in found["objects"]]
                names = [prefix.rpartition("/")[2] for prefix in found["common_prefixes"]]
                return sorted(objects, key=lambda facts: facts.key), sorted(names)

        return self._engine.run(self._until_done(listing, folder))

    def read(self, key: str, etag: str = "") -> bytes:
        async def get() -> bytes:
            with self.failures(key):
                result = await self._whole(key, etag)
                data = bytes(await result.bytes_async())
                _refuse_truncated(len(data), facts_of(result.meta).size, self.url(key))
                return data

        return self._engine.run(self._until_done(get, key))

    def read_ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str = ""
    ) -> list[Buffer]:
        return self._engine.run(self._ranges(key, starts, ends, etag))

    def start_ranges(
        self, key: str, starts: Sequence[int], ends: Sequence[int], etag: str = ""
    ) -> "Future[list[Buffer]]":
        """Start to read ranges, as `read_ranges` does; cancelling the future ends its requests."""
        return self._engine.submit(self._ranges(key, starts, ends, etag))

    def read_alone(self, key: str, start: int, end: int, etag: str = "") -> bytes:
        """Return one byte range, read by this thread alone.

        For callers with a lock that another thread of Python may need.
        """
        began, pause, num_attempts = time.monotonic(), _FIRST_PAUSE, 0
        while True:
            num_attempts += 1
            try:
                with self.failures(key, start, end):
                    options = {"range": (start, end), **condition_of(etag)}
                    result = self._obs.get(self._store, key, options=options)
                    if etag and facts_of(result.meta).etag != etag:
                        raise changed(self.location(key))
                    data = bytes(result.bytes())
                    _refuse_truncated(len(data), end - start, self.url(key))
                    return data
            except TransientError as failure:
                seconds, pause = time.monotonic() - began, 2 * pause
                if seconds + pause > self._patience.deadline:
                    raise self._given_up(key, start, end)(
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
        call = RangeCall(self, key, starts, ends, etag)
        return self._until_done(
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
        return list(await call(self._store, key, starts=starts, ends=ends, coalesce=0))

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
        result = await self._obs.get_async(self._store, key, options=options)
        if etag and facts_of(result.meta).etag != etag:
            raise changed(self.location(key))
        return result

    def _until_done(
        self,
        attempt: Callable[[], Coroutine[Any, Any, Result]],
        key: str,
        start: int | None = None,
        end: int | None = None,
        *,
        num_slots: int = 1,
        num_bytes: int = 0,
        is_write: bool = False,
    ) -> Coroutine[Any, Any, Result]:
        return until_done(
            attempt,
            self._limiter,
            self._patience,
            self._given_up(key, start, end),
            num_slots=num_slots,
            num_bytes=num_bytes,
            is_write=is_write,
        )

    def _given_up(
        self, key: str, start: int | None, end: int | None
    ) -> Callable[[str, int, float], FastpackError]:
        def give_up(reason: str, num_attempts: int, seconds: float) -> FastpackError:
            tried = f"{num_attempts} attempts in {seconds:.1f} s"
            part = "" if start is None else f"bytes {start} to {end}: "
            remedy = "check the network and the store, or raise the deadline"
            message = f"the store did not answer after {tried} ({part}{reason}); {remedy}"
            return StoreError(errno.ETIMEDOUT, with_location(message, self.location(key, start)))

        return give_up

    def location(self, key: str, offset: int | None = None) -> Location:
        """Return the location of an object, or of a byte of it."""
        return Location(self.url(key), offset=offset)

    def failures(self, key: str, start: int | None = None, end: int | None = None) -> Failures:
        """Return a context that turns the client's exceptions into ours."""
        return Failures(self._obs.exceptions, self.location(key, start), end)

    @property
    def _missing(self) -> tuple[type[Exception], ...]:
        return self._obs.exceptions.NotFoundError, FileNotFoundError


def _refuse_truncated(num_bytes: int, expected: int, url: str) -> None:
    if num_bytes != expected:
        raise TransientError(f"the answer had {num_bytes} bytes instead of {expected}")


def _credentials(root: str, options: dict[str, Any]) -> Any:
    """Return boto3's chain of credentials for profiles of AWS, which the client does not read.

    Without boto3 or a folder ~/.aws the client looks for its own: in the environment, and in the
    machine's role. To import boto3 takes 0.3 s.
    """
    is_given = any("key" in name or name == "skip_signature" for name in options)
    if not root.startswith("s3://") or is_given or not os.path.isdir(os.path.expanduser("~/.aws")):
        return None
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider

        return Boto3CredentialProvider()
    except Exception:  # without boto3, or without credentials: the client looks for its own
        return None
