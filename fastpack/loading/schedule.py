"""Course: which samples are delivered when, and who reads them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpack.core.threads import num_cores
from fastpack.images.batch import Batch
from fastpack.loading.prefetch import Prefetch
from fastpack.reading.order import Order, Picks
from fastpack.reading.reader import Reader

# Batches that are made at once: while the last images of one are decoded, other threads are at the next.
_NUM_LANES = 2


@dataclass(frozen=True)
class StepPartition:
    """How the positions of an epoch are dealt out to steps, and those of a step to ranks.

    A step takes batch_size * world positions, or what is left; rank r of w gets those of its m from m * r // w to
    m * (r + 1) // w. So all ranks have the same number of steps, and in the last one batches that differ by one sample
    at most. Where fewer positions are left than there are ranks, some ranks get one that another has too: never none.

    With pad_last, each batch of the last step is full: after the last position come those from the epoch's beginning.
    """

    num_positions: int
    batch_size: int
    rank: int
    world: int
    drop_last: bool
    pad_last: bool = False

    @property
    def step_size(self) -> int:
        return self.batch_size * self.world

    def num_steps(self, position: int = 0) -> int:
        """How many are left."""
        left = self.num_positions - position
        return left // self.step_size if self.drop_last else -(-left // self.step_size)

    def end(self, position: int) -> int:
        return min(position + self.step_size, self.num_positions)

    def mine(self, position: int) -> npt.NDArray[np.int64]:
        """This rank's positions of the step that begins at `position`."""
        if self.pad_last:
            first = position + self.rank * self.batch_size
            return np.arange(first, first + self.batch_size) % self.num_positions
        count = self.end(position) - position
        first, end = (position + count * rank // self.world for rank in (self.rank, self.rank + 1))
        return np.arange(first, max(end, first + 1))

    def num_padding(self, position: int) -> int:
        """How many at the end of `mine` only fill the batch up."""
        if not self.pad_last:
            return 0
        end = position + (self.rank + 1) * self.batch_size
        return min(max(0, end - self.num_positions), self.batch_size)


@dataclass(frozen=True, eq=False)
class Schedule:
    """What comes when. Knows no loader, so that threads that read ahead keep none alive."""

    order: Order
    partition: StepPartition

    def samples_at(self, epoch: int, position: int) -> Picks:
        return self.order.samples_at(epoch, self.partition.mine(position))

    def read(self, reader: Reader, epoch: int, position: int) -> Batch:
        samples_at = self.samples_at(epoch, position)
        batch = reader.read(samples_at.samples, epoch=samples_at.passes)
        batch.epoch, batch.step, batch.position = (
            epoch,
            position // self.partition.step_size,
            position,
        )
        batch.mask[len(batch.mask) - self.partition.num_padding(position) :] = False
        return batch

    def prefetch(
        self, reader: Reader, start: tuple[int, int], depth: int, read_ahead: bool | None
    ) -> Prefetch[Batch]:
        """The rest of an epoch, from `start` (epoch, position) on, `depth` batches ahead.

        All lanes together have as many threads as the reader's options say.
        """
        num_workers = reader.options.num_workers or num_cores()
        num_lanes = min(_NUM_LANES, depth, num_workers)
        shares = [
            num_workers * (lane + 1) // num_lanes - num_workers * lane // num_lanes
            for lane in range(num_lanes)
        ]
        readers = [reader.with_options(num_workers=share) for share in shares]
        lanes = [_Lane(self, of_lane, start, num_lanes, read_ahead) for of_lane in readers]
        return Prefetch(lanes, self.partition.num_steps(start[1]), depth)


class _Lane:
    """Reads whole batches with its share of the threads.

    It announces the batch that it will read next, as long as announcing or reading makes the disk work: where everything
    lies in the page cache, asking for it costs something and brings nothing.
    """

    def __init__(
        self,
        schedule: Schedule,
        reader: Reader,
        start: tuple[int, int],
        stride: int,
        read_ahead: bool | None,
    ) -> None:
        self._schedule, self._reader = schedule, reader
        self._epoch, self._first = start
        self._stride, self._read_ahead = stride, read_ahead
        self._is_cold = read_ahead is not False

    def __call__(self, number: int) -> Batch:
        before = _blocks_read()
        if self._is_cold:
            if number < self._stride:  # nobody came before to announce it
                self._advise_willneed(number)
            self._advise_willneed(number + self._stride)
        batch = self._schedule.read(self._reader, self._epoch, self._position(number))
        if self._read_ahead is None:
            self._is_cold = _blocks_read() > before
        return batch

    def _position(self, number: int) -> int:
        return self._first + number * self._schedule.partition.step_size

    def _advise_willneed(self, number: int) -> None:
        position = self._position(number)
        if self._schedule.partition.num_steps(position) > 0:
            self._reader.advise_willneed(self._schedule.samples_at(self._epoch, position).samples)


def _blocks_read() -> int:
    """What this thread has made disks read, in blocks of 512 bytes; the page cache is no disk."""
    import resource

    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock
