"""Schedule: the samples of each step, and the threads that read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from fastpack.core.threads import num_cores
from fastpack.images.batch import Batch
from fastpack.loading.options import LoaderOptions
from fastpack.loading.prefetch import Prefetch
from fastpack.reading.block_order import BlockOrder
from fastpack.reading.picks import Order, Picks
from fastpack.reading.reader import Reader
from fastpack.reading.remote import Window

# Batches made at once: while some threads decode the last images of one, others start the next.
_NUM_LANES = 2
# Samples of the first batch whose place in the page cache shows whether the disk is read.
_PROBED_SAMPLES = 8


@dataclass(frozen=True)
class StepPartition:
    """How the positions of an epoch are divided into steps, and those of a step among ranks.

    A step has m = batch_size * world positions, or the rest. Rank r of w gets m * r // w to
    m * (r + 1) // w of them. So all ranks have the same number of steps, and the batches of the
    last step differ by at most one sample. If fewer positions than ranks are left, some ranks get
    a position of another rank: no batch is empty.

    With pad_last, the batches of the last step are full: positions continue at the epoch's start.
    """

    num_positions: int
    batch_size: int
    rank: int
    world: int
    drop_last: bool
    pad_last: bool = False

    @classmethod
    def of(cls, num_positions: int, options: LoaderOptions) -> Self:
        """Divide an epoch as a loader's options require; rank must be a number."""
        rank, world = int(options.rank), options.world
        ends = options.drop_last, options.pad_last
        return cls(num_positions, options.batch_size, rank, world, *ends)

    @property
    def step_size(self) -> int:
        return self.batch_size * self.world

    def num_steps(self, position: int = 0) -> int:
        """How many steps are left from `position` on."""
        left = self.num_positions - position
        return left // self.step_size if self.drop_last else -(-left // self.step_size)

    def end(self, position: int) -> int:
        return min(position + self.step_size, self.num_positions)

    def mine(self, position: int) -> npt.NDArray[np.int64]:
        """Return this rank's positions of the step that starts at `position`.

        Padding has positions past the epoch's end.
        """
        if self.pad_last:
            first = position + self.rank * self.batch_size
            return np.arange(first, first + self.batch_size)
        count = self.end(position) - position
        first, end = (position + count * rank // self.world for rank in (self.rank, self.rank + 1))
        return np.arange(first, max(end, first + 1))

    def num_padding(self, position: int) -> int:
        """Return how many positions at the end of `mine` are padding."""
        if not self.pad_last:
            return 0
        end = position + (self.rank + 1) * self.batch_size
        return min(max(0, end - self.num_positions), self.batch_size)


@dataclass(frozen=True, eq=False)
class Schedule:
    """The samples of each step. It refers to no loader, so threads keep no loader alive."""

    order: Order
    partition: StepPartition

    def samples_at(self, epoch: int, position: int) -> Picks:
        positions = self.positions(epoch, position) % self.partition.num_positions
        return self.order.samples_at(epoch, positions)

    def positions(self, epoch: int, position: int) -> npt.NDArray[np.int64]:
        """Return this rank's positions of the step that starts at `position`, in rising order.

        Padding has positions past the epoch's end. The ranks of a block order divide the blocks of
        each window. So a block is read by one rank, or by two where steps end within a row.
        """
        mine, partition = self.partition.mine(position), self.partition
        end = partition.end(position)
        is_padded = partition.pad_last and end < position + partition.step_size
        if partition.world == 1 or is_padded or not isinstance(self.order, BlockOrder):
            return mine
        of_step = np.arange(position, end)
        by_block = np.argsort(self.order.slots_at(epoch, of_step), kind="stable")
        return np.sort(of_step[by_block[mine - position]])

    def read(
        self, reader: Reader, epoch: int, position: int, windows: Sequence[Window] = ()
    ) -> Batch:
        """Read a step.

        - windows: the bytes of its samples, if they are in stores and were requested ahead.
        """
        picks = self.samples_at(epoch, position)
        if windows:
            batch = reader.read_from(windows, picks.samples, picks.passes)
        else:
            batch = reader.read(picks.samples, epoch=picks.passes)
        step = position // self.partition.step_size
        batch.epoch, batch.step, batch.position = epoch, step, position
        batch.mask[len(batch.mask) - self.partition.num_padding(position) :] = False
        return batch

    def read_first(self, reader: Reader, start: tuple[int, int], read_ahead: bool | None) -> Batch:
        """Read the batch at `start` (epoch, position). The OS is asked to load it if needed."""
        stride = self.partition.num_steps(start[1])  # past the end: the lanes ask for the others
        return _Lane(self, reader, start, stride, read_ahead)(0)

    def prefetch(
        self, reader: Reader, start: tuple[int, int], depth: int, read_ahead: bool | None
    ) -> Prefetch[Batch]:
        """Read the rest of an epoch, from `start` (epoch, position) on, `depth` batches ahead.

        The lanes share the threads of the reader's options.
        """
        readers = lane_readers(reader, depth)
        num_lanes = len(readers)
        lanes = [_Lane(self, of_lane, start, num_lanes, read_ahead) for of_lane in readers]
        return Prefetch(lanes, self.partition.num_steps(start[1]), depth)


def lane_readers(reader: Reader, depth: int) -> list[Reader]:
    """Return a reader for each lane, which share the threads of the reader's options."""
    num_workers = reader.options.num_workers or num_cores()
    num_lanes = min(_NUM_LANES, depth, num_workers)
    shares = [
        num_workers * (lane + 1) // num_lanes - num_workers * lane // num_lanes
        for lane in range(num_lanes)
    ]
    return [reader.with_options(num_workers=share) for share in shares]


class _Lane:
    """Reads whole batches with its share of the threads.

    It asks the OS to load the batch after the next while such requests or reads reach the disk.
    With all files in the page cache, requests would only cost time: a few samples are probed first.
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
        self._is_cold = read_ahead

    def __call__(self, number: int) -> Batch:
        before = _blocks_read()
        if self._is_cold is None:
            self._is_cold = not self._is_first_cached(number)
        if self._is_cold:
            if number < self._stride:  # the first batch of this lane
                self._advise_willneed(number)
            self._advise_willneed(number + self._stride)
        batch = self._schedule.read(self._reader, self._epoch, self._position(number))
        if self._read_ahead is None:
            self._is_cold = _blocks_read() > before
        return batch

    def _is_first_cached(self, number: int) -> bool:
        """Return True if a few samples of this lane's first batch are in the page cache."""
        samples = self._schedule.samples_at(self._epoch, self._position(number)).samples
        return self._reader.are_cached(samples[:: max(1, len(samples) // _PROBED_SAMPLES)])

    def _position(self, number: int) -> int:
        return self._first + number * self._schedule.partition.step_size

    def _advise_willneed(self, number: int) -> None:
        position = self._position(number)
        if self._schedule.partition.num_steps(position) > 0:
            self._reader.advise_willneed(self._schedule.samples_at(self._epoch, position).samples)


def _blocks_read() -> int:
    """Return how many 512-byte blocks disks have read for this thread."""
    import resource

    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock
