"""ListedObjects: names and facts of many objects of a store, in few blocks of memory."""

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from fastpack._native.order import hash_rows
from fastpack.core.cached import cached_property
from fastpack.core.ragged import RaggedBuilder, Text, encoded
from fastpack.stores.store import ObjectFacts

NOT_LISTED = -1
Numbers = npt.NDArray[np.int64]


class ListedObjects:
    """The n objects of a listing. Takes a fifth of the memory of ObjectFacts in a dict.

    Args:
        pages: of the listing.
        prefix: that all keys begin with; names lack it.

    >>> listed = ListedObjects([[ObjectFacts("photos/a.jpg", 7, "1", 0)]], "photos/")
    >>> listed.rows_of(Text.of(["b.jpg", "a.jpg"])).tolist(), listed.facts(0).key
    ([-1, 0], 'photos/a.jpg')
    """

    def __init__(self, pages: Iterable[Iterable[ObjectFacts]], prefix: str) -> None:
        self._prefix = prefix
        names, etags = RaggedBuilder(), RaggedBuilder()
        sizes, times = array("q"), array("q")
        for page in pages:
            # A mark of an empty folder has a slash at the end.
            objects = [facts for facts in page if not facts.key.endswith("/")]
            names.extend(encoded(facts.key.removeprefix(prefix)) for facts in objects)
            etags.extend(encoded(facts.etag) for facts in objects)
            sizes.extend(facts.size for facts in objects)
            times.extend(facts.mtime_ns for facts in objects)
        self._names, self._etags = names.finished(Text), etags.finished(Text)
        self.sizes, self.times = np.frombuffer(sizes, np.int64), np.frombuffer(times, np.int64)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._names)

    def facts(self, row: int) -> ObjectFacts:
        """Return the facts of an object."""
        key = self._prefix + self._names[row]
        return ObjectFacts(key, int(self.sizes[row]), self._etags[row], int(self.times[row]))

    def rows_of(self, names: Text) -> Numbers:
        """Return the row of each name, (len(names),); -1 for names that were not listed."""
        if not len(self):
            return np.full(len(names), NOT_LISTED)
        order, known = self._by_hash
        wanted = _hashes(names)
        at = np.minimum(np.searchsorted(known, wanted), len(self) - 1)
        is_found = known[at] == wanted
        rows = order[at]
        if self._names.take(rows[is_found]) == names.take(np.flatnonzero(is_found)):
            return np.where(is_found, rows, NOT_LISTED)
        numbers = {name: row for row, name in enumerate(self)}  # two names have one hash
        return np.fromiter((numbers.get(name, NOT_LISTED) for name in names), np.int64, len(names))

    @cached_property
    def _by_hash(self) -> tuple[Numbers, npt.NDArray[np.uint64]]:
        hashes = _hashes(self._names)
        order = np.argsort(hashes)
        return order, hashes[order]


def _hashes(names: Text) -> npt.NDArray[np.uint64]:
    hashes = np.empty(len(names), np.uint64)
    hash_rows(names.values, names.offsets, 0, hashes)
    return hashes
