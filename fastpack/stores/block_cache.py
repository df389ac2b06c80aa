"""BlockCache: blocks of objects on local disk, within a limit.

The limit holds for all processes together, without counts that outlive one. A process looks at the
sizes of the files each time that it has added a part of the limit. Files that are being written
have their full size from the start, so it counts them too.
"""

import contextlib
import errno
import hashlib
import os
import resource
import shutil
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.gather import Gather
from fastpack.core.buffer_pool import BufferPool
from fastpack.core.dtypes import SPAN
from fastpack.core.threads import num_cores, run_in_threads
from fastpack.errors import Location, OptionError, UnreadableFileError, with_location
from fastpack.stores.block_file import BLOCK_BYTES, PART_BYTES, BlockFile, BlockId, footer_of
from fastpack.stores.cache_folder import BlockClaim, CacheFolder, StoredBlock
from fastpack.stores.reads import RemoteFile

# A process looks at the sizes after it has added this part of the limit, and removes blocks until
# this part of it is free. So with eight processes the limit holds.
_LOOKS = 256
_FREE = 32
# Descriptors of one process: of blocks that stay open, and as many of blocks that it is fetching.
_MAX_DESCRIPTORS = 128
# Removed blocks that are open still use the disk: at most this part of the limit in each process.
_OPEN_PART = 256
_KEPT_MEMORY = 2**28  # bytes

# Returns when each block is needed next, a rising number; None for a block of another dataset.
NextUse = Callable[[Sequence[StoredBlock]], "npt.NDArray[np.float64] | None"]


def identity_of(file: RemoteFile) -> str:
    """Return the identity of an object's content, 32 hexadecimal digits.

    Raises OptionError if the store gives none.
    """
    if not file.etag:
        message = "the store gives no etag, so a cache could mix contents; leave cache out"
        raise OptionError(with_location(message, Location(file.path)))
    text = "\0".join([str(file.path), file.etag, str(file.size)])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@dataclass(frozen=True, eq=False)
class Pieces:
    """Parts of blocks; all are (n,) int64.

    - blocks: the block of each, by number in a list.
    - starts, ends: in the block.
    """

    blocks: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


class BlockCache:
    """Blocks of objects in a folder. Thread-safe, and fork-safe; pickles as folder and limit.

    Args:
        folder: of the cache; it is made if it is missing.
        limit: bytes of all files together.

    Raises:
        OptionError: the folder has other files, or the limit is below a block or above the disk.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._limit = limit
        if limit < 2 * BLOCK_BYTES:
            message = f"cache_size is {limit} bytes, less than two blocks of {BLOCK_BYTES}"
            raise OptionError(with_location(f"{message}; raise it", Location(folder)))
        self.folder = CacheFolder.open(folder)
        self._since_look = limit  # so that the first block added looks
        self._next_use: NextUse | None = None
        # Without locks, which a fork could leave locked: each step is one call.
        self._open: OrderedDict[BlockId, BlockFile] = OrderedDict()
        self._max_open = max(1, min(_max_descriptors(), limit // _OPEN_PART // BLOCK_BYTES))
        self._claims: weakref.WeakSet[BlockClaim] = weakref.WeakSet()
        self._warned: set[str] = set()
        # Memory of windows, reused: the OS takes 7% of a warm read to clear new pages.
        self.memory = BufferPool(max_blocks=4, max_bytes=_KEPT_MEMORY)
        self._refuse_small_disk()

    def __reduce__(self) -> Any:
        return BlockCache, (self.folder.path, self._limit)

    @property
    def limit(self) -> int:
        return self._limit

    def follow(self, next_use: NextUse | None) -> None:
        """Evict blocks by their next use from now on; None: by their last use."""
        self._next_use = next_use

    def _refuse_small_disk(self) -> None:
        free = shutil.disk_usage(self.folder.path).free
        if free >= self._limit:
            return
        free += sum(block.num_bytes for block in self.folder.blocks())
        if free < self._limit:
            message = (
                f"cache_size is {self._limit} bytes, and the disk has {free} for the cache; "
                "lower cache_size, or free space"
            )
            raise OptionError(with_location(message, Location(self.folder.path)))

    def opened(self, block: BlockId) -> BlockFile | None:
        """Open a block; None if the cache lacks it. A damaged one is removed."""
        file = self._open.pop(block, None)
        if file is None:
            try:
                file = BlockFile.open(self.folder.path_of(block), block)
            except OSError:
                return None
            if not file.is_sound:
                self.forget(block, file)
                return None
            with contextlib.suppress(OSError):
                os.utime(file.descriptor)
        self._open[block] = file
        while len(self._open) > self._max_open:
            with contextlib.suppress(KeyError):  # another thread was faster
                self._open.popitem(last=False)
        return file

    def has(self, block: BlockId) -> bool:
        return block in self._open or self.folder.has(block)

    def forget(self, block: BlockId, file: BlockFile) -> None:
        """Remove a damaged block; it is fetched again when it is needed."""
        path = self.folder.path_of(block)
        self._warn(f"a damaged block of the cache is removed and fetched again: {path}")
        self._open.pop(block, None)
        self.folder.remove_damaged(block, file)

    def _warn(self, message: str) -> None:
        import logging  # late: rarely needed, and a tenth of fastpack's import time

        logging.getLogger("fastpack").warning(message)

    def claim(self, block: BlockId) -> BlockClaim | None:
        """Take the right to write a block; None if another process has it. See CacheFolder."""
        claim = self.folder.claim(block)
        if claim is not None:
            self._claims.add(claim)
        return claim

    @property
    def may_claim(self) -> bool:
        """False if this process has as many claims as it may have files open."""
        return len(self._claims) < _max_descriptors()

    def add(self, claim: BlockClaim, block: BlockId, data: Any) -> None:
        """Write a block that was claimed, after making room for it; the claim ends.

        A block without room is left out: other processes are writing as much as the limit.

        Raises UnreadableFileError, for instance if the disk is full.
        """
        try:
            claim.reserve()
            if not self._make_room(block.file_bytes):
                self._warn_once("the cache has no room for a block; raise cache_size")
                return
            bytes_of = np.frombuffer(data, np.uint8)
            if not claim.write([memoryview(bytes_of.data), footer_of(block, bytes_of)]):
                self._warn_once("a block of the cache was removed while it was written")
        except OSError as error:
            raise _write_error(error, claim.path) from error
        finally:
            self.release(claim)

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._warn(f"{message}: {self.folder.path}")

    def release(self, claim: BlockClaim) -> None:
        """End a claim; if the block was not written, another process may write it."""
        claim.abandon()
        self._claims.discard(claim)

    def _make_room(self, num_bytes: int) -> bool:
        """Note that a block has its size now; return False if the limit is exceeded."""
        self._since_look += num_bytes
        if self._since_look <= max(BLOCK_BYTES, self._limit // _LOOKS):
            return True
        with self.folder.evicting() as is_mine:
            if not is_mine:
                return False
            self._since_look = 0
            return self._evict()

    def _evict(self) -> bool:
        """Remove blocks until a part of the limit is free; return True if the limit holds."""
        blocks = list(self.folder.blocks())
        excess = sum(block.num_bytes for block in blocks) - self._limit
        reserve = min(max(BLOCK_BYTES, self._limit // _FREE), self._limit // 2)
        if excess + reserve <= 0:
            return True
        for block in blocks:
            if block.is_new and self.folder.discard_new(block):
                excess -= block.num_bytes
        written = [block for block in blocks if not block.is_new]
        for row in self._last_needed_first(written).tolist():
            if excess + reserve <= 0:
                break
            if self.folder.discard(written[row]):
                excess -= written[row].num_bytes
        return excess <= 0

    def _last_needed_first(self, blocks: list[StoredBlock]) -> npt.NDArray[np.int64]:
        """Sort blocks by next use, the latest first.

        Blocks of unknown use come before these, the one that was used longest ago first.

        Reference:
            Belady, "A study of replacement algorithms for a virtual-storage computer", 1966.
        """
        last_uses = np.array([block.last_use for block in blocks], np.int64)
        next_uses = self._next_use(blocks) if self._next_use is not None else None
        if next_uses is None:
            return np.argsort(last_uses, kind="stable")
        is_unknown = np.isnan(next_uses)
        return np.lexsort((last_uses, np.where(is_unknown, 0.0, -next_uses), ~is_unknown))

    def read(
        self,
        files: list[BlockFile],
        pieces: Pieces,
        out: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.int64],
    ) -> list[int]:
        """Read pieces of blocks, and compare the checksums of the parts that they touch.

        Returns the numbers of the pieces that are damaged.

        - files: open blocks, by the `blocks` of the pieces.
        - out: receives the bytes of piece i at offsets[i].
        """
        spans, owners = _spans_of(files, pieces)
        starts = offsets[owners] + spans["offset"].astype(np.int64) - pieces.starts[owners]
        fds = np.array([file.descriptor for file in files], np.int32)
        job = Gather(spans, out, starts, fds=fds, check=True, keep_going=True)
        run_in_threads(job.run, max(1, min(num_cores(), len(spans))))
        return sorted({int(owners[outcome[2]]) for outcome in job.failures() if outcome})


def _max_descriptors() -> int:
    """Return how many files a process may have open for each of several purposes."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAX_DESCRIPTORS if limit < 0 else max(1, min(_MAX_DESCRIPTORS, limit // 8))


def _write_error(error: OSError, path: Path) -> UnreadableFileError:
    remedy = "check the disk of the cache"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "free space on the disk of the cache, or lower cache_size"
    message = f"cannot write to the cache: {error.strerror}; {remedy}"
    return UnreadableFileError(error.errno, with_location(message, Location(path)))


def _spans_of(
    files: list[BlockFile], pieces: Pieces
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return a span for each part of a block that a piece touches, and its piece."""
    starts, ends = pieces.starts, pieces.ends
    first_parts, end_parts = starts // PART_BYTES, -(-ends // PART_BYTES)
    counts = end_parts - first_parts
    owners = np.repeat(np.arange(len(starts)), counts)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    parts, blocks = first_parts[owners] + within, pieces.blocks[owners]
    lengths = np.array([file.length for file in files], np.int64)
    record_starts = parts * PART_BYTES
    record_ends = np.minimum(record_starts + PART_BYTES, lengths[blocks])
    firsts = np.maximum(record_starts, starts[owners])
    spans = np.zeros(len(owners), SPAN)
    spans["shard"] = blocks
    spans["offset"], spans["length"] = firsts, np.minimum(record_ends, ends[owners]) - firsts
    spans["record_offset"], spans["record_length"] = record_starts, record_ends - record_starts
    bases = np.cumsum([0, *(len(file.crcs) for file in files)])
    spans["crc32c"] = np.concatenate([file.crcs for file in files])[bases[blocks] + parts]
    return spans, owners
