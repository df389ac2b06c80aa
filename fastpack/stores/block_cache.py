"""BlockCache: blocks of objects on local disk, within a limit.

All ranks and jobs of a machine share the folder. There is no daemon and no shared memory.
"""

import os
import shutil
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.gather import Gather
from fastpack.core.dtypes import SPAN
from fastpack.core.threads import num_cores, run_in_threads
from fastpack.core.units import num_bytes, readable_size
from fastpack.errors import CorruptRecordError, Location, OptionError, with_location
from fastpack.stores.block_claim import BlockClaim
from fastpack.stores.block_file import BLOCK_BYTES, CHUNK_BYTES, BlockFile, BlockId, footer_of
from fastpack.stores.cache_folder import CacheFolder
from fastpack.stores.eviction import Eviction, NextUse

Numbers = npt.NDArray[np.int64]

# Removed files use the disk until they are closed: 64 of them have 256 MiB.
_OPEN_BLOCKS = 64
_OVERHEAD = BlockId("0" * 32, 0).file_bytes / BLOCK_BYTES


class BlockCache:
    """Blocks of objects in a folder. Thread-safe and fork-safe; pickles as folder and limit.

    Args:
        folder: of the cache, opened.
        limit: bytes of all files together.
    """

    def __init__(self, folder: CacheFolder, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._eviction = Eviction(folder, limit)
        # There are no locks, which a fork could leave locked: each step is one call.
        self._open: OrderedDict[BlockId, BlockFile] = OrderedDict()
        self._damaged: set[BlockId] = set()

    @classmethod
    def open(cls, folder: str | os.PathLike[str], size: int | str) -> "BlockCache":
        """Open the cache in a folder, which is made if it is missing.

        Raises OptionError if the folder has other files, or if the limit is below one block or
        above what the disk has for the cache.

        - size: limit for all files together, such as "200GB".
        """
        path = Path(os.path.abspath(folder))
        limit = num_bytes("cache_size", size)
        least = BlockId("0" * 32, 0).file_bytes
        if limit < least:
            message = f"cache_size is {limit} bytes, and one block has {least}; raise it"
            raise OptionError(with_location(message, Location(path)))
        cache = cls(CacheFolder.open(path), limit)
        cache._refuse_small_disk()
        return cache

    def __reduce__(self) -> Any:
        return BlockCache, (CacheFolder(self.folder.path), self.limit)

    def _refuse_small_disk(self) -> None:
        free = shutil.disk_usage(self.folder.path).free
        if free < self.limit:
            free += sum(file.num_bytes for file in self.folder.files())
        if free < self.limit:
            sizes = f"{readable_size(self.limit)}, and the disk has {readable_size(free)}"
            message = f"cache_size is {sizes} for the cache; lower it, or free space"
            raise OptionError(with_location(message, Location(self.folder.path)))

    def follow(self, next_use: NextUse | None) -> None:
        """Evict blocks by their next use from now on; None: by their last use."""
        self._eviction.next_use = next_use

    def kept_share(self, dataset_bytes: int) -> float:
        """Return the share of a dataset's blocks that fits, at most 1.

        Evictions free a part of the limit, so a dataset that just fits would not stay whole.
        """
        wanted = dataset_bytes * _OVERHEAD
        return 1.0 if wanted <= self.limit else 0.9 * self.limit / wanted

    def may_keep(self, dataset_bytes: int) -> bool:
        """Return True if all blocks of a dataset will stay, if it is alone in the cache."""
        return self.kept_share(dataset_bytes) == 1.0

    def missing(self, blocks: Iterable[BlockId]) -> list[BlockId]:
        """Return the blocks that the cache lacks."""
        return [block for block in blocks if block not in self._open and not self.has(block)]

    def has(self, block: BlockId) -> bool:
        return self.folder.has(block)

    def opened(self, block: BlockId) -> BlockFile | None:
        """Open a block; None if the cache lacks it. A damaged one is removed.

        Raises CorruptRecordError if the block was damaged before.
        """
        file = self._open.pop(block, None)
        if file is None:
            file = self.folder.open_block(block)
            if file is not None and not file.read_footer():
                self.remove_damaged(file)
                return None
        if file is not None:
            self._open[block] = file
            self._close_excess()
        return file

    def _close_excess(self) -> None:
        while len(self._open) > _OPEN_BLOCKS:
            try:
                self._open.popitem(last=False)
            except KeyError:  # another thread was faster
                return

    def remove_damaged(self, file: BlockFile) -> None:
        """Remove a damaged block, so that it is fetched again.

        Raises CorruptRecordError the second time: the disk does not keep what it is given.
        """
        block = file.block
        self._open.pop(block, None)
        self.folder.remove(block, file)
        if block in self._damaged:
            message = "a block of the cache was damaged again after it was fetched again; "
            message += "check the disk, or name another cache folder"
            raise CorruptRecordError(with_location(message, Location(self.folder.path_of(block))))
        self._damaged.add(block)

    def claim(self, block: BlockId) -> BlockClaim | None:
        """Take the right to fetch a block; None if another process has it."""
        return self.folder.claim(block)

    def add(self, claim: BlockClaim, data: Any) -> bool:
        """Write a claimed block. Return False if there is no room for it.

        Raises UnreadableFileError, for instance if the disk is full.
        """
        try:
            if not self._eviction.make_room(claim.block):
                return False
            values = np.frombuffer(data, np.uint8)
            claim.write([values, footer_of(claim.block, values)])
            return True
        finally:
            claim.abandon()

    def read(
        self,
        files: list[BlockFile],
        rows: Numbers,
        starts: Numbers,
        ends: Numbers,
        out: npt.NDArray[np.uint8],
        offsets: Numbers,
    ) -> list[int]:
        """Copy pieces of blocks to `out`; return those that failed, as numbers of pieces.

        Only the chunks that a piece touches are read. Their checksums are compared.

        - files: the open blocks.
        - rows: the file of each piece, (n,).
        - starts, ends: of each piece in its block, (n,).
        - offsets: of each piece in `out`, (n,).
        """
        if not len(rows):
            return []
        spans, pieces, moved = _spans_of(files, rows, starts, ends)
        fds = np.array([file.descriptor for file in files], np.int32)
        job = Gather(spans, out, offsets[pieces] + moved, fds=fds, check=True, keep_going=True)
        run_in_threads(job.run, max(1, min(num_cores(), len(spans))))
        return sorted({int(pieces[outcome[1]]) for outcome in job.failures() if outcome})


def _spans_of(
    files: list[BlockFile], rows: Numbers, starts: Numbers, ends: Numbers
) -> tuple[npt.NDArray[Any], Numbers, Numbers]:
    """Return a span for each chunk that a piece touches, its piece, and its offset there."""
    firsts = starts // CHUNK_BYTES
    counts = -(-ends // CHUNK_BYTES) - firsts
    pieces = np.repeat(np.arange(len(rows)), counts)
    chunks = np.arange(len(pieces)) - np.repeat(np.cumsum(counts) - counts - firsts, counts)
    of_files = rows[pieces]
    lengths = np.array([file.block.length for file in files], np.int64)[of_files]
    chunk_starts = chunks * CHUNK_BYTES
    chunk_ends = np.minimum(chunk_starts + CHUNK_BYTES, lengths)
    begins = np.maximum(chunk_starts, starts[pieces])
    bases = np.cumsum([0] + [len(file.crcs) for file in files])
    spans = np.zeros(len(pieces), SPAN)
    spans["shard"] = of_files
    spans["crc32c"] = np.concatenate([file.crcs for file in files])[bases[of_files] + chunks]
    spans["offset"] = begins
    spans["length"] = np.minimum(chunk_ends, ends[pieces]) - begins
    spans["record_offset"], spans["record_length"] = chunk_starts, chunk_ends - chunk_starts
    return spans, pieces, begins - starts[pieces]
