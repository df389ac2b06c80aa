"""CachedReads: ranges of objects through the blocks of a cache.

A block that the cache lacks is fetched whole if it will stay until it is needed again. That is so
if the cache has room for the dataset, or if the window needs most of the block now. Other ranges
are read from the store as they are, and not kept.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fastpack.core.threads import submit
from fastpack.stores.block_cache import BlockCache, Pieces, identity_of
from fastpack.stores.block_file import BLOCK_BYTES, BlockId
from fastpack.stores.cache_folder import Claim
from fastpack.stores.ranges import Ranges, join
from fastpack.stores.reads import DirectReads, Reads, RemoteFile
from fastpack.stores.store import Buffer

# A block of a dataset that does not fit is fetched whole if a window needs this part of it.
_NEEDED_PART = 0.5
_BLOCKS_A_REQUEST = 2  # neighbors: 8 MiB
# Another process that fetches a block is looked at so often, and waited for so long.
_POLL_SECONDS = 0.02
_CLAIM_SECONDS = 60.0
_OPEN_TOGETHER = 64  # blocks

Rows = npt.NDArray[np.int64]


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


@dataclass(eq=False)
class _Fetch:
    """Neighboring blocks that this process fetches.

    - blocks, claims: in order; the claims are released when the blocks are written. A process has
      at most 128 claims; blocks without one are claimed when they are written.
    - reads: of the bytes of all blocks, one range.
    - turn: held by the thread that writes the blocks.
    - done: set when the blocks are written, or could not be.
    """

    blocks: list[BlockId]
    claims: list[Claim | None]
    reads: DirectReads
    turn: threading.Lock = field(default_factory=threading.Lock)
    done: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None


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
        self._pieces = _Pieces.of(self.ranges)
        self._fetches: list[_Fetch] = []
        self._awaited: list[BlockId] = []
        self._is_cancelled = threading.Event()
        is_kept = dataset_bytes <= cache.limit * 7 // 8
        self._direct = self._start(is_kept)

    @property
    def num_bytes(self) -> int:
        return sum(reads.num_bytes for reads in self._all_reads())

    def _all_reads(self) -> list[DirectReads]:
        return [self._direct[1], *(fetch.reads for fetch in self._fetches)]

    def _block(self, file: int, number: int) -> BlockId:
        start = number * BLOCK_BYTES
        length = min(BLOCK_BYTES, self._files[file].size - start)
        return BlockId(self._identities[file], number, length)

    def _start(self, is_kept: bool) -> tuple[Rows, DirectReads]:
        """Start to fetch blocks that are missing, and ranges of those that will not be kept."""
        wanted: dict[int, list[int]] = {}
        left_out: set[tuple[int, int]] = set()
        for file, number, num_bytes in self._pieces.blocks():
            block = self._block(file, number)
            if self._cache.has(block):
                continue
            if is_kept or num_bytes >= _NEEDED_PART * block.length:
                wanted.setdefault(file, []).append(number)
            else:
                left_out.add((file, number))
        for file, numbers in wanted.items():
            self._fetch_blocks(file, numbers)
        rows = self._pieces.ranges_with(left_out)
        return rows, DirectReads.of_joined(self._files, self.ranges.take(rows))

    def _fetch_blocks(self, file: int, numbers: list[int]) -> None:
        """Fetch blocks of a file that no other process fetches, neighbors together."""
        claimed: list[tuple[BlockId, Claim | None]] = []
        for number in numbers:
            block, claim = self._block(file, number), None
            if self._cache.count_claims(0):
                claim = self._cache.folder.claim(block)
                if claim is None:
                    self._awaited.append(block)
                    continue
                self._cache.count_claims(1)
                if self._cache.has(block):  # another process has just written it
                    self._release(claim)
                    continue
            is_next = claimed and claimed[-1][0].number == number - 1
            if claimed and (not is_next or len(claimed) == _BLOCKS_A_REQUEST):
                self._fetch(file, claimed)
                claimed = []
            claimed.append((block, claim))
        if claimed:
            self._fetch(file, claimed)

    def _release(self, claim: Claim | None) -> None:
        if claim is not None:
            claim.abandon()
            self._cache.count_claims(-1)

    def _fetch(self, file: int, claimed: list[tuple[BlockId, Claim | None]]) -> None:
        blocks = [block for block, _ in claimed]
        start = blocks[0].number * BLOCK_BYTES
        end = blocks[-1].number * BLOCK_BYTES + blocks[-1].length
        one = (np.array([value], np.int64) for value in (0, start, end))
        reads = DirectReads.of_joined([self._files[file]], Ranges(*one))
        fetch = _Fetch(blocks, [claim for _, claim in claimed], reads)
        self._fetches.append(fetch)
        # Written when they arrive, so that other processes do not wait for our consumer.
        reads.when_done(lambda: self._write_later(fetch))

    def _write_later(self, fetch: _Fetch) -> None:
        if not submit(self._write, fetch):
            self._write(fetch)

    def _write(self, fetch: _Fetch) -> None:
        """Write fetched blocks to the cache, and release their claims; once."""
        if not fetch.turn.acquire(blocking=False):
            return
        try:
            (data,) = fetch.reads.result()
            view, first = memoryview(data).cast("B"), fetch.blocks[0].number
            for block, claim in zip(fetch.blocks, fetch.claims, strict=True):
                start = (block.number - first) * BLOCK_BYTES
                mine = claim or self._cache.folder.claim(block)
                if mine is not None:
                    self._cache.add(mine, block, view[start : start + block.length])
        except BaseException as failure:
            fetch.failure = failure
        finally:
            for claim in fetch.claims:
                self._release(claim)
            fetch.done.set()

    def is_done(self) -> bool:
        return not self._awaited and all(reads.is_done() for reads in self._all_reads())

    def result(self) -> list[Buffer]:
        try:
            return self._result()
        except BaseException:
            self.cancel()
            raise

    def _result(self) -> list[Buffer]:
        buffers: list[Buffer] = [None] * len(self.ranges)
        rows, direct = self._direct
        for row, buffer in zip(rows.tolist(), direct.result(), strict=True):
            buffers[row] = buffer
        for fetch in self._fetches:
            fetch.reads.result()
            self._write(fetch)  # here, if no thread has begun: the pool may have none left
            fetch.done.wait()
            if fetch.failure is not None:
                raise fetch.failure
        self._await_others()
        missing = [row for row, buffer in enumerate(buffers) if buffer is None]
        failed = self._read(missing, buffers)
        if failed:  # a block was damaged, or evicted meanwhile: read its ranges from the store
            chosen = np.array(failed, np.int64)
            again = DirectReads.of_joined(self._files, self.ranges.take(chosen))
            for row, buffer in zip(failed, again.result(), strict=True):
                buffers[row] = buffer
        return buffers

    def _await_others(self) -> None:
        """Wait for blocks that other processes fetch; those of a killed process are not there."""
        deadline = time.monotonic() + _CLAIM_SECONDS
        for block in self._awaited:
            while not self._cache.has(block) and self._cache.folder.is_claimed(block):
                if time.monotonic() > deadline:
                    break
                if self._is_cancelled.wait(_POLL_SECONDS):
                    raise CancelledError

    def _read(self, rows: list[int], buffers: list[Buffer]) -> list[int]:
        """Read ranges from blocks; return those whose blocks are not there, or damaged."""
        pieces = self._pieces.of_ranges(rows)
        offsets = np.concatenate([[0], np.cumsum(pieces.ends - pieces.starts)])
        out, lost = np.empty(int(offsets[-1]), np.uint8), set[int]()
        for places in pieces.groups(_OPEN_TOGETHER):
            damaged = self._read_group(pieces.take(places), out, offsets[places])
            lost.update(pieces.rows[places[damaged]].tolist())
        bounds = np.searchsorted(pieces.rows, [*rows, rows[-1] + 1] if rows else [])
        for place, row in enumerate(rows):
            if row not in lost:
                buffers[row] = out[offsets[bounds[place]] : offsets[bounds[place + 1]]]
        return sorted(lost)

    def _read_group(self, pieces: "_Pieces", out: npt.NDArray[np.uint8], offsets: Rows) -> Rows:
        """Read pieces of few blocks; return those whose blocks are not there, or damaged."""
        places = list(zip(pieces.files.tolist(), pieces.numbers.tolist(), strict=True))
        blocks = {place: self._block(*place) for place in places}
        opened = {place: self._cache.opened(block) for place, block in blocks.items()}
        files = [file for file in opened.values() if file is not None]
        numbers = {place: n for n, place in enumerate(p for p in opened if opened[p] is not None)}
        of_piece = np.array([numbers.get(place, -1) for place in places], np.int64)
        there = np.flatnonzero(of_piece >= 0)
        lost = np.flatnonzero(of_piece < 0)
        if not len(there):
            return lost
        chosen = Pieces(of_piece[there], pieces.starts[there], pieces.ends[there])
        damaged = there[self._cache.read(files, chosen, out, offsets[there])]
        for place in damaged.tolist():
            self._cache.forget(blocks[places[place]])
        return np.concatenate([lost, damaged])

    def cancel(self) -> None:
        self._is_cancelled.set()
        for reads in self._all_reads():
            reads.cancel()


@dataclass(frozen=True, eq=False)
class _Pieces:
    """The parts of ranges that lie in one block each, in order; all are (n,) int64.

    - rows: the range of each.
    - files, numbers: its block.
    - starts, ends: in the block.
    """

    rows: Rows
    files: Rows
    numbers: Rows
    starts: Rows
    ends: Rows

    @classmethod
    def of(cls, ranges: Ranges) -> "_Pieces":
        firsts, ends = ranges.starts // BLOCK_BYTES, -(-ranges.ends // BLOCK_BYTES)
        counts = ends - firsts
        rows = np.repeat(np.arange(len(ranges)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        numbers = firsts[rows] + within
        bases = numbers * BLOCK_BYTES
        return cls(
            rows,
            ranges.files[rows],
            numbers,
            np.maximum(ranges.starts[rows] - bases, 0),
            np.minimum(ranges.ends[rows] - bases, BLOCK_BYTES),
        )

    def blocks(self) -> list[tuple[int, int, int]]:
        """Return file, number and needed bytes of each block, in order."""
        needed: dict[tuple[int, int], int] = {}
        lengths = (self.ends - self.starts).tolist()
        places = zip(self.files.tolist(), self.numbers.tolist(), lengths, strict=True)
        for file, number, length in places:
            needed[file, number] = needed.get((file, number), 0) + length
        return [(file, number, length) for (file, number), length in sorted(needed.items())]

    def ranges_with(self, blocks: set[tuple[int, int]]) -> Rows:
        """Return the ranges that touch one of these blocks."""
        places = zip(self.files.tolist(), self.numbers.tolist(), self.rows.tolist(), strict=True)
        found = {row for file, number, row in places if (file, number) in blocks}
        return np.array(sorted(found), np.int64)

    def take(self, places: Rows) -> "_Pieces":
        """Return the given pieces."""
        columns = (self.rows, self.files, self.numbers, self.starts, self.ends)
        return _Pieces(*(column[places] for column in columns))

    def of_ranges(self, rows: list[int]) -> "_Pieces":
        """Return the pieces of some ranges."""
        return self.take(np.flatnonzero(np.isin(self.rows, rows)))

    def groups(self, num_blocks: int) -> list[Rows]:
        """Divide the pieces into groups that lie in at most so many blocks each."""
        order = np.lexsort((self.numbers, self.files))
        files, numbers = self.files[order], self.numbers[order]
        is_new = (np.diff(files, prepend=-1) != 0) | (np.diff(numbers, prepend=-1) != 0)
        group = (np.cumsum(is_new) - 1) // num_blocks
        return np.split(order, np.flatnonzero(np.diff(group)) + 1) if len(order) else []
