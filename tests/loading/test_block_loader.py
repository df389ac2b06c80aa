"""Loaders with blocks: each rank reads its own blocks, and any number of ranks goes on."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastpack
from fastpack import Loader, Shuffle
from fastpack.loading import LoaderOptions
from fastpack.loading.schedule import Schedule, StepPartition
from fastpack.reading.block_order import BlockOrder
from tests.support.extent import num_examples
from tests.support.interrupted import interrupted_epoch, labels_of, order_of
from tests.support.samples import numbered_shards

NUM_SAMPLES = 41


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    return fastpack.open(numbered_shards(folder, NUM_SAMPLES), decode=False)


def shuffle_of(dataset, block, window, seed=0):
    """Blocks of a number of samples."""
    return Shuffle(seed, block=block * int(dataset.mean_bytes + 1), window=window)


def positions_of(order, options, *, epoch=0):
    """The positions of each step, by rank."""
    schedules = [
        Schedule(order, StepPartition.of(order.num_positions, replace(options, rank=rank)))
        for rank in range(options.world)
    ]
    partition = schedules[0].partition
    return [
        [
            order.positions_of(epoch, schedule.samples_at(epoch, first).samples)
            for schedule in schedules
        ]
        for first in range(0, order.num_positions, partition.step_size)
    ]


@given(st.data())
@settings(max_examples=num_examples(60))
def test_every_sample_once_whatever_the_world_the_batch_and_the_interruptions(dataset, data):
    block, window = data.draw(st.integers(1, 9), "block"), data.draw(st.integers(1, 5), "window")
    shuffle = shuffle_of(dataset, block, window, data.draw(st.integers(0, 5), "seed"))
    delivered, state = interrupted_epoch(data, dataset, shuffle, 1)
    assert sorted(delivered) == list(range(NUM_SAMPLES))
    assert (state["epoch"], state["position"]) == (2, 0)


@pytest.mark.parametrize("pads", [False, True])
@pytest.mark.parametrize(("world", "batch_size"), [(1, 7), (3, 4), (8, 2), (5, 9)])
def test_the_ranks_of_a_step_share_its_samples(world, batch_size, pads):
    order = BlockOrder(103, 1, 7, 4)
    options = LoaderOptions(batch_size, world=world, pad_last=pads)
    for step, by_rank in enumerate(positions_of(order, options)):
        first = step * batch_size * world
        end = min(first + batch_size * world, 103)
        assert set(np.concatenate(by_rank)) >= set(range(first, end))
        if end == first + batch_size * world:
            assert sorted(np.concatenate(by_rank)) == list(range(first, end))
            assert all(len(positions) == batch_size for positions in by_rank)
            assert all((np.diff(positions) > 0).all() for positions in by_rank)


def test_the_padding_of_the_last_step_is_masked(dataset):
    options = LoaderOptions(4, shuffle_of(dataset, 4, 3), world=3, pad_last=True)
    loaders = [Loader(dataset, options, rank=rank) for rank in range(3)]
    came = [
        label
        for batches in zip(*loaders, strict=True)
        for batch in batches
        for label in batch["label"][batch.mask].tolist()
    ]
    assert sorted(came) == list(range(NUM_SAMPLES))


@pytest.mark.parametrize(("world", "batch_size"), [(4, 8), (8, 32), (2, 16)])
def test_each_rank_reads_its_own_blocks(world, batch_size):
    """Steps of whole rows: no block is read by two ranks."""
    block, window = 8, 16
    order = BlockOrder(block * window * 6, 3, block, window)
    options = LoaderOptions(batch_size, world=world)
    blocks = [set() for _ in range(world)]
    for by_rank in positions_of(order, options):
        for rank, positions in enumerate(by_rank):
            slots = order.slots_at(0, positions)
            blocks[rank] |= {
                (order.window_at(position)[0], slot)
                for position, slot in zip(positions.tolist(), slots.tolist(), strict=True)
            }
    assert all(len(of_rank) == 6 * window // world for of_rank in blocks)
    assert not any(one & other for one, other in itertools.combinations(blocks, 2))


@pytest.mark.parametrize(("world", "batch_size", "most"), [(4, 10, 1.8), (8, 25, 1.6)])
def test_steps_of_other_lengths_share_few_blocks(world, batch_size, most):
    order = BlockOrder(76 * 64 * 4, 3, 76, 64)
    seen = set()
    for by_rank in positions_of(order, LoaderOptions(batch_size, world=world)):
        for rank, positions in enumerate(by_rank):
            windows = [order.window_at(position)[0] for position in positions.tolist()]
            slots = order.slots_at(0, positions).tolist()
            seen |= {(rank, *place) for place in zip(windows, slots, strict=True)}
    assert len(seen) <= most * 64 * 4  # a block is read by all ranks where steps are cut in order


def test_one_rank_has_the_order_itself(dataset):
    shuffle = shuffle_of(dataset, 4, 3)
    assert labels_of(Loader(dataset, batch_size=5, shuffle=shuffle)) == order_of(
        dataset, shuffle, 0
    )


def test_a_state_goes_on_in_the_middle_of_a_block(dataset):
    shuffle = shuffle_of(dataset, 6, 3)
    loader = Loader(dataset, batch_size=3, shuffle=shuffle)
    came = [batch["label"].tolist() for batch in itertools.islice(loader, 4)]
    resumed = Loader(dataset, batch_size=7, shuffle=shuffle)
    resumed.load_state_dict(loader.state_dict())
    assert sum(came, []) + labels_of(resumed) == order_of(dataset, shuffle, 0)
