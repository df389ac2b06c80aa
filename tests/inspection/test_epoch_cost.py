"""Requests and bytes of an epoch, by the plan of the loader."""

import numpy as np
import pytest

import fastpack
from fastpack import Shuffle
from fastpack.inspection.epoch_cost import EpochCost, cost_of, epoch_cost
from fastpack.loading import LoaderOptions
from fastpack.loading.schedule import Schedule, StepPartition
from fastpack.reading.block_order import BlockOrder
from fastpack.stores.ranges import Ranges
from tests.support.samples import numbered_shards

NUM_SAMPLES = 41
MIB = 2**20


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return fastpack.open(numbered_shards(tmp_path_factory.mktemp("shards"), NUM_SAMPLES))


def places(sizes, *, samples_a_shard):
    """A function of samples that lie one after another in files."""
    ends = np.cumsum(sizes)
    shards = np.arange(len(sizes)) // samples_a_shard
    firsts = (ends - sizes)[shards * samples_a_shard]

    def ranges_at(rows):
        return Ranges(shards[rows], (ends - sizes - firsts)[rows], (ends - firsts)[rows])

    return ranges_at


def cost_by_rank(order, ranges_at, batch_size, world):
    size = order.num_positions
    return [
        cost_of(Schedule(order, StepPartition(size, batch_size, rank, world, False)), ranges_at)
        for rank in range(world)
    ]


def test_neighbors_share_requests(dataset):
    """All samples of two files are read in two windows: one step, and the others."""
    cost = epoch_cost(dataset, LoaderOptions(15))
    spans = dataset.index.spans["image"]
    assert cost.num_samples == NUM_SAMPLES
    assert cost.num_requests == 1 + 2  # 15 samples of the first file; its other 5, and the second
    assert spans["length"].sum() <= cost.num_bytes <= dataset.num_bytes


@pytest.mark.parametrize("world", [1, 4])
def test_a_block_is_one_request(world):
    size, block, window = 64 * 16, 8, 16
    ranges_at = places(np.full(size, MIB), samples_a_shard=size)
    costs = cost_by_rank(BlockOrder(size, 3, block, window), ranges_at, 32, world)
    assert sum(cost.num_bytes for cost in costs) == size * MIB
    # A block at the end and the start of the file is two. Neighbors up to 16 MiB are one.
    assert size // block // 2 <= sum(cost.num_requests for cost in costs) <= size // block + 1
    assert max(cost.window_bytes for cost in costs) == block * window // world * MIB


def test_a_whole_shuffle_reads_image_by_image():
    ranges_at = places(np.full(5000, MIB), samples_a_shard=1000)
    (cost,) = cost_by_rank(Shuffle(0).order(range(5000)), ranges_at, 4, 1)
    assert cost.num_requests > 4950
    assert cost.dollars == pytest.approx(cost.num_requests * 4e-7)


def test_long_epochs_are_counted_in_part(dataset):
    size = 100_000
    ranges_at = places(np.full(size, 1000), samples_a_shard=size)
    schedule = Schedule(BlockOrder(size, 3, 50, 10), StepPartition(size, 100, 0, 1, False))
    whole, part = (cost_of(schedule, ranges_at, count) for count in (size, 5000))
    assert part.num_samples == whole.num_samples == size
    assert part.num_requests == pytest.approx(whole.num_requests, rel=0.1)
    assert part.num_bytes == pytest.approx(whole.num_bytes, rel=0.1)
    assert part.window_bytes <= whole.window_bytes


def test_the_cost_of_each_rank(dataset):
    options = LoaderOptions(4, Shuffle(1, block="1KB", window=3), rank="auto")
    assert epoch_cost(dataset, options) == epoch_cost(dataset, LoaderOptions(4, options.shuffle))
    ranks = [
        epoch_cost(dataset, LoaderOptions(4, Shuffle(1), rank=rank, world=2)) for rank in (0, 1)
    ]
    assert all(cost.num_samples == 21 for cost in ranks)
    assert all(isinstance(cost, EpochCost) for cost in ranks)
