"""NextUse: when an epoch needs each block of a cache, which its order knows."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import offsets_of
from fastpack.loading.schedule import Schedule
from fastpack.reading.reader import Reader
from fastpack.reading.remote import remote_file
from fastpack.stores.block_cache import identity_of
from fastpack.stores.block_file import BLOCK_BYTES
from fastpack.stores.cache_folder import StoredBlock
from fastpack.stores.store_path import is_in_store

# Samples of a block whose positions are computed. The first of 16 comes early enough.
_SAMPLED = 16

Numbers = npt.NDArray[np.int64]


class NextUse:
    """The next position that needs each block.

    A block's samples are estimated by its place in the file. A wrong estimate only changes which
    block is evicted.

    Args:
        reader: of all samples of a dataset.
        schedule: of the loader.
        epoch: that is read.
    """

    def __init__(self, reader: Reader, schedule: Schedule, epoch: int) -> None:
        self._schedule, self._epoch = schedule, epoch
        self.position = 0
        found = [
            (identity_of(remote_file(shard)), shard.size, count)
            for shard, count in reader.shard_counts()
            if is_in_store(shard.path)
        ]
        self._numbers = {identity: number for number, (identity, _, _) in enumerate(found)}
        self._sizes = np.array([size for _, size, _ in found], np.int64)
        self._counts = np.array([count for _, _, count in found], np.int64)
        self._firsts = offsets_of(self._counts)

    @classmethod
    def of(cls, reader: Reader, schedule: Schedule, epoch: int) -> "NextUse | None":
        """Return it for an order that knows the positions of samples; else None."""
        if not reader.samples.is_whole or not hasattr(schedule.order, "positions_of"):
            return None
        return cls(reader, schedule, epoch)

    def __call__(self, blocks: Sequence[StoredBlock]) -> npt.NDArray[np.float64]:
        """Return the next use of each block (n,); NaN for blocks of other datasets."""
        files = np.array([self._numbers.get(block.identity, -1) for block in blocks], np.int64)
        uses = np.full(len(blocks), np.nan)
        known = np.flatnonzero(files >= 0)
        if not len(known):
            return uses
        numbers = np.array([blocks[row].number for row in known.tolist()], np.int64)
        samples = self._samples(files[known], numbers)
        uses[known] = self._positions(samples.ravel()).reshape(samples.shape).min(axis=1)
        return uses

    def _samples(self, files: Numbers, numbers: Numbers) -> Numbers:
        """Return some samples of each block, (n, 16)."""
        sizes, counts = np.maximum(self._sizes[files], 1), self._counts[files]
        firsts = numbers * BLOCK_BYTES / sizes * counts
        lasts = np.minimum((numbers + 1) * BLOCK_BYTES / sizes, 1) * counts
        within = np.linspace(firsts, np.maximum(lasts - 1, firsts), _SAMPLED, axis=1)
        rows = np.clip(within.astype(np.int64), 0, np.maximum(counts - 1, 0)[:, None])
        return np.asarray(rows + self._firsts[files][:, None])

    def _positions(self, samples: Numbers) -> Numbers:
        """Return when samples come next: in this epoch, or in the next one."""
        order, count = self._schedule.order, self._schedule.order.num_positions
        positions: Numbers = order.positions_of(self._epoch, samples)  # type: ignore[attr-defined]
        past = np.flatnonzero(positions < self.position)
        later = order.positions_of(self._epoch + 1, samples[past])  # type: ignore[attr-defined]
        positions[past] = later + count
        return positions
