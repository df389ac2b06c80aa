"""Probe: whether a folder in a store can be written to, and whether the store honors conditions."""

import secrets
import time
from dataclasses import dataclass

from fastpack.errors import OutputExistsError
from fastpack.stores.store_path import StorePath

_PROBE = ".fastpack-probe-"


@dataclass(frozen=True)
class Probed:
    """Facts about a store.

    Args:
        honors_conditions: a conditional put of an object that exists fails.
        clock_offset: seconds by which the store's clock is ahead of this machine's.
    """

    honors_conditions: bool
    clock_offset: float

    @property
    def now(self) -> float:
        """The time at the store, in seconds since 1970."""
        return time.time() + self.clock_offset


def probe(folder: StorePath) -> Probed:
    """Write an object to a folder, write it once more, and delete it.

    Raises FastpackError if the store is not there, or does not allow that.
    """
    path = folder / f"{_PROBE}{secrets.token_hex(8)}"
    store, key = path.store, path.key
    store.put(key, b"first", if_absent=True)
    try:
        written_at = store.facts(key).mtime_ns / 1e9
        offset = written_at - time.time()
        try:
            store.put(key, b"second", if_absent=True)
        except OutputExistsError:
            return Probed(True, offset)
        return Probed(False, offset)
    finally:
        store.delete([key])
