"""RangeCall: a few ranges of one object, in one call of the client at first, then one by one."""

import asyncio
from typing import Protocol

from fastpack.stores.engine import TransientError
from fastpack.stores.failures import ends_early
from fastpack.stores.requests import Requests
from fastpack.stores.store import Buffer


class RangeSource(Protocol):
    """Gets ranges of an object; each request is sent once."""

    async def get_ranges(self, key: str, starts: list[int], ends: list[int]) -> list[Buffer]: ...

    async def get_range(self, key: str, start: int, end: int, etag: str) -> tuple[int, Buffer]: ...


class RangeCall:
    """The ranges of one call; those that were received are kept when the call fails.

    One call costs the client less than many. But it fails if one of its requests does, so the next
    attempts ask only for the ranges that are missing.

    Args:
        store: that has the object.
        requests: of the store.
        key: of the object.
        starts: first bytes.
        ends: bytes after the last; greater than `starts`.
        etag: identity that the bytes must have; "" if the store has none.
    """

    def __init__(
        self,
        store: RangeSource,
        requests: Requests,
        key: str,
        starts: list[int],
        ends: list[int],
        etag: str,
    ) -> None:
        self._store, self._requests, self._key, self._etag = store, requests, key, etag
        self.starts, self.ends = starts, ends
        self._received: dict[int, Buffer] = {}
        self._is_repeated = False

    @property
    def num_bytes(self) -> int:
        return sum(self.ends) - sum(self.starts)

    async def attempt(self) -> list[Buffer]:
        """Return the bytes of all ranges. Raises TransientError; then call it again."""
        is_repeated, self._is_repeated = self._is_repeated, True
        if is_repeated or len(self.starts) == 1:
            await self._one_by_one()
        else:
            with self._requests.failures(self._key, min(self.starts), max(self.ends)):
                await self._together()
        return [self._received[row] for row in range(len(self.starts))]

    async def _together(self) -> None:
        last = len(self.starts) - 1
        buffers = await self._store.get_ranges(self._key, self.starts[:last], self.ends[:last])
        await self._receive(last)  # the identity of all: the object was not replaced until now
        for row, buffer in enumerate(buffers):
            self._keep(row, buffer)

    async def _one_by_one(self) -> None:
        missing = [row for row in range(len(self.starts)) if row not in self._received]
        tasks = [asyncio.ensure_future(self._receive(row)) for row in missing]
        try:
            results = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for task in tasks:
                task.cancel()
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in sorted(errors, key=lambda error: isinstance(error, TransientError)):
            raise error

    async def _receive(self, row: int) -> None:
        start, end = self.starts[row], self.ends[row]
        with self._requests.failures(self._key, start, end):
            size, buffer = await self._store.get_range(self._key, start, end, self._etag)
            if end > size:
                raise ends_early(end, self._requests.location(self._key, start))
            self._keep(row, buffer)

    def _keep(self, row: int, buffer: Buffer) -> None:
        expected = self.ends[row] - self.starts[row]
        if len(buffer) != expected:
            raise TransientError(f"the answer had {len(buffer)} bytes instead of {expected}")
        self._received[row] = buffer
