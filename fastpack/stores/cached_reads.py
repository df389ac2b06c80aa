"""CachedReads: ranges of objects through the blocks of a cache.

A block that the cache lacks is fetched whole if the window needs most of it, or if the cache has
room for the dataset. A window fetches only a few blocks of which it needs little. All other ranges
are read from the store as they are, and not kept. A shuffle of a dataset that fits fills the cache
so in the first epoch, while each step reads little more than it needs.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpack.stores.block_cache import BlockCache, Pieces, identity_of
from fastpack.stores.block_fetch import BlockFetch
from fastpack.stores.block_file import BLOCK_BYTES, BlockFile, BlockId
from fastpack.stores.block_pieces import BlockPieces
from fastpack.stores.cache_folder import BlockClaim
from fastpack.stores.ranges import Ranges, join
from fastpack.stores.reads import DirectReads, Reads, RemoteFile
from fastpack.stores.store import Buffer

# A window needs most of a block if it needs this part of it.
_NEEDED_PART = 0.5
# Blocks that a window fetches of which it needs less: 64 MiB. With windows of 512 samples, this
# fills a cache for ImageNet in one epoch, which reads 1.5 times the dataset.
_SPARSE_BLOCKS = 16
_BLOCKS_A_REQUEST = 2  # neighbors: 8 MiB
# Another process that fetches most of what we need is looked at so often, and for so long.
_POLL_SECONDS = 0.02
_CLAIM_SECONDS = 60.0
_OPEN_TOGETHER = 16  # blocks

Rows = npt.NDArray[np.int64]
Place = tuple[int, int]  # file and number of a block


@dataclass(frozen=True)
class StartCached:
    """Starts reads through a cache; see `StartReads` in reading/remote.py.

    Args:
        cache: the blocks.
        dataset_bytes: of the files of the dataset together.
    """

    cache: BlockCache
    dataset_bytes: int

    def __call__(self, files: Sequence[RemoteFile], ranges: Ranges) -> Reads:
        return CachedReads(self.cache, files, ranges, self.dataset_bytes)


class CachedReads(Reads):
    """Ranges read through a cache.

    Args:
        cache: the blocks.
        files: the objects.
        ranges: of the files, by their number in `files`.
        dataset_bytes: bytes of all files of the dataset.
    """

    def __init__(
        self,
        cache: BlockCache,
        files: Sequence[RemoteFile],
        ranges: Ranges,
        dataset_bytes: int,
    ) -> None:
        self._cache, self._files = cache, files
        self.ranges = join(ranges, max_gap=0)
        self._identities = [identity_of(file) for file in files]
        self._pieces = BlockPieces.of(self.ranges)
        self._fetches: list[BlockFetch] = []
        self._fetched: dict[Place, BlockFetch] = {}
        self._awaited: list[BlockId] = []
        self._is_cancelled = threading.Event()
        is_kept = dataset_bytes <= cache.limit * 7 // 8
        self._direct_rows = self._start_fetches(is_kept)
        self._direct = DirectReads.of_joined(files, self.ranges.take(self._direct_rows))

    @property
    def num_bytes(self) -> int:
        return sum(reads.num_bytes for reads in self._all_reads())

    def _all_reads(self) -> list[DirectReads]:
        return [self._direct, *(fetch.reads for fetch in self._fetches)]

    def _block(self, file: int, number: int) -> BlockId:
        start = number * BLOCK_BYTES
        length = min(BLOCK_BYTES, self._files[file].size - start)
        return BlockId(self._identities[file], number, length)

    def _start_fetches(self, is_kept: bool) -> Rows:
        """Start to fetch blocks that are missing; return the ranges of those that are left out."""
        dense, sparse = self._missing()
        sparse.sort(key=lambda place: -self._pieces.num_bytes_of[place])
        chosen = sparse[: _SPARSE_BLOCKS if is_kept else 0]
        left_out = set(sparse[len(chosen) :])
        claimed: dict[Place, BlockClaim | None] = {}
        for place in sorted(dense + chosen):
            if self._is_ours(place, claimed):
                continue
            if place in chosen:
                left_out.add(place)  # another process fetches it: reading a little is faster
            else:
                self._awaited.append(self._block(*place))
        for places in _neighbors(list(claimed)):
            self._fetch(places, [claimed[place] for place in places])
        return self._pieces.ranges_with(left_out)

    def _missing(self) -> tuple[list[Place], list[Place]]:
        """Return the blocks that the cache lacks: those that are needed most, and the others."""
        dense: list[Place] = []
        sparse: list[Place] = []
        for place, num_bytes in self._pieces.num_bytes_of.items():
            block = self._block(*place)
            if not self._cache.has(block):
                is_dense = num_bytes >= _NEEDED_PART * block.length
                (dense if is_dense else sparse).append(place)
        return dense, sparse

    def _is_ours(self, place: Place, claimed: "dict[Place, BlockClaim | None]") -> bool:
        """Claim a block; return False if another process fetches it.

        Blocks beyond the claims that a process may have are claimed when they are written.
        """
        block = self._block(*place)
        if not self._cache.may_claim:
            claimed[place] = None
            return True
        claim = self._cache.claim(block)
        if claim is None:
            return False
        if self._cache.has(block):  # another process has just written it
            self._cache.release(claim)
        else:
            claimed[place] = claim
        return True

    def _fetch(self, places: list[Place], claims: "list[BlockClaim | None]") -> None:
        blocks = [self._block(*place) for place in places]
        fetch = BlockFetch(self._cache, self._files[places[0][0]], blocks, claims)
        self._fetches.append(fetch)
        self._fetched.update((place, fetch) for place in places)

    def is_done(self) -> bool:
        return not any(map(self._is_awaited, self._awaited)) and all(
            reads.is_done() for reads in self._all_reads()
        )

    def result(self) -> list[Buffer]:
        try:
            return self._result()
        except BaseException:
            self.cancel()
            raise

    def _result(self) -> list[Buffer]:
        buffers: list[Buffer] = [None] * len(self.ranges)
        self._fill(buffers, self._direct_rows, self._direct)
        pieces = self._pieces.without_ranges(self._direct_rows)
        offsets = np.concatenate([[0], np.cumsum(pieces.ends - pieces.starts)])
        out = self._cache.memory.empty((int(offsets[-1]),), np.uint8)
        stored = self._take_fetched(pieces, out, offsets)
        self._await_others()
        lost = np.unique(pieces.rows[self._read_stored(pieces, stored, out, offsets)])
        rows, firsts = np.unique(pieces.rows, return_index=True)
        bounds = offsets[np.append(firsts, len(pieces.rows))].tolist()
        for place, row in enumerate(rows.tolist()):
            buffers[row] = out[bounds[place] : bounds[place + 1]]
        # A block was damaged, or evicted meanwhile: its ranges are read from the store.
        self._fill(buffers, lost, DirectReads.of_joined(self._files, self.ranges.take(lost)))
        return buffers

    def _fill(self, buffers: list[Buffer], rows: Rows, reads: DirectReads) -> None:
        for row, buffer in zip(rows.tolist(), reads.result(), strict=True):
            buffers[row] = buffer

    def _take_fetched(self, pieces: BlockPieces, out: npt.NDArray[np.uint8], offsets: Rows) -> Rows:
        """Copy pieces of blocks that this window fetched; return the others.

        The blocks are dropped from memory then: a range keeps none of them.
        """
        of_fetch: dict[BlockFetch | None, list[int]] = {}
        for piece, place in enumerate(pieces.places()):
            of_fetch.setdefault(self._fetched.get(place), []).append(piece)
        others = of_fetch.pop(None, [])
        bases = pieces.numbers * BLOCK_BYTES
        for fetch in self._fetches:
            data = fetch.data()
            for piece in of_fetch.get(fetch, ()):
                start = int(bases[piece] + pieces.starts[piece]) - fetch.start
                target = out[offsets[piece] : offsets[piece + 1]]
                target[:] = np.frombuffer(data[start : start + len(target)], np.uint8)
        self._fetches, self._fetched = [], {}
        return np.array(others, np.int64)

    def _await_others(self) -> None:
        """Wait for blocks that other processes fetch; those of a killed process are not there."""
        deadline = time.monotonic() + _CLAIM_SECONDS
        for block in self._awaited:
            while self._is_awaited(block) and time.monotonic() < deadline:
                if self._is_cancelled.wait(_POLL_SECONDS):
                    raise CancelledError

    def _is_awaited(self, block: BlockId) -> bool:
        return not self._cache.has(block) and self._cache.folder.is_claimed(block)

    def _read_stored(
        self, pieces: BlockPieces, chosen: Rows, out: npt.NDArray[np.uint8], offsets: Rows
    ) -> Rows:
        """Read pieces of blocks in the folder; return those whose blocks are lost or damaged."""
        lost = [np.zeros(0, np.int64)]
        for group in pieces.take(chosen).groups(_OPEN_TOGETHER):
            rows = chosen[group]
            lost.append(rows[self._read_group(pieces.take(rows), out, offsets[rows])])
        return np.concatenate(lost)

    def _read_group(self, pieces: BlockPieces, out: npt.NDArray[np.uint8], offsets: Rows) -> Rows:
        places = pieces.places()
        opened: dict[Place, BlockFile] = {}
        for place in dict.fromkeys(places):
            file = self._cache.opened(self._block(*place))
            if file is not None:
                opened[place] = file
        numbers = {place: number for number, place in enumerate(opened)}
        of_piece = np.array([numbers.get(place, -1) for place in places], np.int64)
        there, lost = np.flatnonzero(of_piece >= 0), np.flatnonzero(of_piece < 0)
        if not len(there):
            return lost
        wanted = Pieces(of_piece[there], pieces.starts[there], pieces.ends[there])
        damaged = there[self._cache.read(list(opened.values()), wanted, out, offsets[there])]
        for place in {places[piece] for piece in damaged.tolist()}:
            self._cache.forget(self._block(*place), opened[place])
        return np.concatenate([lost, damaged])

    def cancel(self) -> None:
        self._is_cancelled.set()
        for reads in self._all_reads():
            reads.cancel()


def _neighbors(places: list[Place]) -> list[list[Place]]:
    """Divide sorted blocks into requests."""
    groups: list[list[Place]] = []
    for file, number in places:
        is_next = groups and groups[-1][-1] == (file, number - 1)
        if is_next and len(groups[-1]) < _BLOCKS_A_REQUEST:
            groups[-1].append((file, number))
        else:
            groups.append([(file, number)])
    return groups
