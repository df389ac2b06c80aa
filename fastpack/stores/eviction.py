"""Eviction: which files of a cache are removed to keep its limit.

The limit holds for all processes together, without counts that outlive one. A process claims a
block first, which shows its size in the folder, and looks at the sizes of all files afterwards. So
the last of several processes sees all of them.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from fastpack.stores.block_file import BlockId
from fastpack.stores.cache_folder import CacheFolder, StoredFile

# Returns the position at which each block is needed next, (n,) float64: inf for never, NaN for a
# block of another dataset.
NextUse = Callable[[Sequence[StoredFile]], npt.NDArray[np.float64]]

# A look costs about 2 us a file. An eviction frees 1/32 of the limit, and each process adds 1/64 of
# the free bytes before it looks again. So the limit holds for up to 64 processes.
_FREED = 32
_MAX_PROCESSES = 64
_LOCK_SECONDS = 10.0


class Eviction:
    """Keeps the files of a folder within a limit.

    Args:
        folder: of the cache.
        limit: bytes of all files together.
    """

    def __init__(self, folder: CacheFolder, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._allowance = 0  # bytes that may be added without another look
        self.next_use: NextUse | None = None

    def make_room(self, block: BlockId) -> bool:
        """Make room for a claimed block. Return False if it should not be added.

        That is so if the other blocks are needed earlier, or if a process that evicts has stopped.
        """
        if self._allowance >= block.file_bytes:
            self._allowance -= block.file_bytes
            return True
        with self._folder.evicting(_LOCK_SECONDS) as is_mine:
            return is_mine and self._evict(block)

    def _evict(self, block: BlockId) -> bool:
        """Remove files until the limit holds. Return False if the block itself comes first."""
        files = list(self._folder.files())
        excess = sum(file.num_bytes for file in files) - self._limit
        if excess > 0:
            excess += self._limit // _FREED
            for row in last_needed_first(files, self.next_use).tolist():
                if excess <= 0 or _is_of(files[row], block):
                    break
                if self._folder.discard(files[row]):
                    excess -= files[row].num_bytes
            if excess > self._limit // _FREED:
                return False
        free = self._limit // _FREED - excess if excess > 0 else -excess
        self._allowance = max(0, free) // _MAX_PROCESSES
        return True


def _is_of(file: StoredFile, block: BlockId) -> bool:
    return (file.identity, file.number) == (block.identity, block.number)


def last_needed_first(
    files: Sequence[StoredFile], next_use: NextUse | None
) -> npt.NDArray[np.int64]:
    """Return the order in which files are removed.

    First come those that killed processes left; then blocks of no known order, the one with the
    earliest last use first; then the others by next use, the latest first.

    Reference:
        Belady, "A study of replacement algorithms for a virtual-storage computer", 1966.
    """
    last_uses = np.array([file.last_use for file in files], np.int64)
    is_complete = np.array([file.is_complete for file in files], np.bool_)
    next_uses = np.full(len(files), np.nan)
    if next_use is not None:
        next_uses = next_use(files)
    is_known = ~np.isnan(next_uses)
    return np.lexsort((last_uses, np.where(is_known, -next_uses, 0.0), is_known, is_complete))


def age_seconds(file: StoredFile) -> float:
    """Return the seconds since the last use of a file."""
    return time.time() - file.last_use / 1e9
