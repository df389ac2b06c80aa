"""BlockFetch: neighboring blocks of an object that this process fetches for its cache."""

import threading

import numpy as np

from fastpack.core.threads import submit
from fastpack.errors import Location, UnreadableFileError, with_location
from fastpack.stores.block_cache import BlockCache
from fastpack.stores.block_file import BLOCK_BYTES, BlockId
from fastpack.stores.cache_folder import BlockClaim
from fastpack.stores.ranges import Ranges
from fastpack.stores.reads import DirectReads, RemoteFile

# A disk that takes longer to write 8 MiB is broken, or is a network file system that hangs.
_WRITE_SECONDS = 120.0


class BlockFetch:
    """Blocks that are read in one request, and written when they arrive.

    Other processes do not wait for our consumer, because a thread of the pool writes them. If all
    threads of the pool are busy, the consumer does it.

    Args:
        cache: that receives the blocks.
        file: the object.
        blocks: neighbors, in order.
        claims: of the blocks. One that is None is claimed when it is written.
    """

    def __init__(
        self,
        cache: BlockCache,
        file: RemoteFile,
        blocks: list[BlockId],
        claims: list[BlockClaim | None],
    ) -> None:
        self._cache, self._file, self.blocks, self._claims = cache, file, blocks, claims
        self.start = blocks[0].number * BLOCK_BYTES
        end = blocks[-1].number * BLOCK_BYTES + blocks[-1].length
        one = (np.array([value], np.int64) for value in (0, self.start, end))
        self.reads = DirectReads.of_joined([file], Ranges(*one))
        self._turn = iter((True,))
        self._is_finished = threading.Event()
        self._failure: BaseException | None = None
        self.reads.when_done(self._finish_later)

    def data(self) -> memoryview:
        """Wait until the blocks are written; return the bytes of all.

        Raises the error of a block that cannot be fetched or written.
        """
        (data,) = self.reads.result()  # the engine has a deadline
        self._finish()
        if not self._is_finished.wait(_WRITE_SECONDS):
            message = f"a block was not written in {_WRITE_SECONDS:.0f} s; check the disk"
            path = self._cache.folder.path_of(self.blocks[0])
            raise UnreadableFileError(None, with_location(message, Location(path)))
        if self._failure is not None:
            raise self._failure
        return memoryview(data).cast("B")

    def _finish_later(self) -> None:
        if not submit(self._finish):
            self._finish()

    def _finish(self) -> None:
        """Write the blocks, and release their claims, if no other thread does it."""
        if next(self._turn, None) is None:
            return
        try:
            self._write()
        except BaseException as failure:
            self._failure = failure
        finally:
            for claim in self._claims:
                if claim is not None:
                    self._cache.release(claim)
            self._is_finished.set()

    def _write(self) -> None:
        (data,) = self.reads.result()
        view = memoryview(data).cast("B")
        for number, block in enumerate(self.blocks):
            claim = self._claims[number] or self._cache.claim(block)
            if claim is not None:
                part = view[number * BLOCK_BYTES :][: block.length]
                self._cache.add(claim, block, part)
