"""Pages of a listing: each is a request of its own, and is repeated if it fails."""

import errno
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from fastpack.errors import Location, StoreError, with_location
from fastpack.stores.identity import facts_of
from fastpack.stores.store import ObjectFacts

_PAGE_OBJECTS = 1000  # that stores answer with at once


class Pages:
    """The objects below a folder, a page at a time, in the order of the store.

    A listing that fails goes on after its last key. A store without sorted keys would then leave
    objects out, so there it fails.

    Args:
        list_from: the client's listing; `offset` is the key that it begins after.
        location: of the folder.
    """

    def __init__(self, list_from: Callable[..., Any], location: Location) -> None:
        self._list_from, self._location = list_from, location
        self._stream: Any = None
        self._last = ""
        self._is_sorted = True

    async def following(self) -> list[ObjectFacts] | None:
        """Return the next page, or None after the last one. After an error, call it again."""
        if self._stream is None:
            offset = self._last or None
            self._stream = self._list_from(offset=offset, chunk_size=_PAGE_OBJECTS).__aiter__()
        try:
            metas = await self._stream.__anext__()
        except StopAsyncIteration:
            return None
        except BaseException:
            self._stream = None
            if self._last and not self._is_sorted:
                message = "the listing was interrupted, and its keys are not sorted; list it again"
                text = with_location(message, self._location)
                raise StoreError(errno.EINTR, text) from None
            raise
        page = [facts_of(meta) for meta in metas]
        keys = [self._last, *(facts.key for facts in page)]
        self._is_sorted = self._is_sorted and all(one < other for one, other in pairwise(keys))
        self._last = keys[-1]
        return page
