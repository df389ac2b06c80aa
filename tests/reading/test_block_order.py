"""Blocks: bijections, in few places of the files at a time, equal on every machine.

`python -m tests.reading.test_block_order` rewrites the golden orders. Do so only to change orders.
"""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastpack
from fastpack import Shuffle
from fastpack.errors import OptionError
from fastpack.loading.state import order_text
from fastpack.reading.block_order import BlockOrder
from tests.support.paths import GOLDEN
from tests.support.samples import numbered_shards

ORDERS = GOLDEN / "block_orders.json"
SEEDS = st.integers(0, 2**64 - 1)
EPOCHS = st.integers(0, 2**32 - 1)


class Table:
    """As much of a dataset as a shuffle looks at."""

    def __init__(self, size, mean_bytes):
        self.size, self.mean_bytes = size, mean_bytes

    def __len__(self):
        return self.size


orders = st.builds(BlockOrder, st.integers(1, 400), SEEDS, st.integers(1, 60), st.integers(1, 30))


def windows_of(order):
    """The positions of each window."""
    first = 0
    while first < order.num_positions:
        begin, end = order.window_at(first)
        assert begin == first < end
        yield np.arange(begin, end)
        first = end


def samples_of(order, epoch=0, positions=None):
    positions = np.arange(order.num_positions) if positions is None else positions
    return order.samples_at(epoch, positions).samples


def num_runs(samples, size):
    """In how many runs of neighbors some samples lie. The last sample's neighbor is the first."""
    rising = np.sort(samples)
    num_gaps = int((np.diff(rising) > 1).sum())
    return max(1, num_gaps + (rising[0] > 0 or rising[-1] < size - 1))


@given(orders, EPOCHS)
def test_each_sample_comes_once_and_the_inverse_finds_it(order, epoch):
    samples, size = samples_of(order, epoch), order.num_positions
    assert sorted(samples) == list(range(size))
    assert order.positions_of(epoch, samples).tolist() == list(range(size))


@given(orders, EPOCHS, st.data())
def test_a_position_is_answered_alone_as_among_others(order, epoch, data):
    position = data.draw(st.integers(0, order.num_positions - 1))
    alone = samples_of(order, epoch, np.array([position]))[0]
    assert alone == samples_of(order, epoch)[position]


@given(
    st.integers(1, 10**12),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    SEEDS,
    st.lists(st.floats(0, 1, exclude_max=True), max_size=20),
)
def test_of_any_size(size, block, window, seed, places):
    order = BlockOrder(size, seed, block, window)
    positions = np.array([int(place * size) for place in places], np.int64)
    samples = samples_of(order, 3, positions)
    assert ((samples >= 0) & (samples < size)).all()
    assert order.positions_of(3, samples).tolist() == positions.tolist()


@given(orders)
def test_windows_divide_the_epoch_evenly(order):
    windows = list(windows_of(order))
    assert [order.window_at(int(window[-1])) for window in windows] == [
        (window[0], window[-1] + 1) for window in windows
    ]
    num_blocks = [-(-len(window) // order.block) for window in windows]
    assert max(num_blocks) - min(num_blocks) <= 1


@given(st.integers(1, 3000), SEEDS, st.integers(1, 60), st.integers(1, 30), EPOCHS)
def test_a_window_is_whole_blocks(size, seed, block, window, epoch):
    order = BlockOrder(size, seed, block, window)
    for positions in windows_of(order):
        assert num_runs(samples_of(order, epoch, positions), size) <= window
        slots = order.slots_at(epoch, positions)
        assert set(slots.tolist()) <= set(range(window))
        for slot in set(slots.tolist()):
            of_block = samples_of(order, epoch, positions[slots == slot])
            assert len(of_block) <= order.block
            assert num_runs(of_block, size) == 1


@given(st.integers(1, 40), st.integers(1, 20), st.integers(1, 4), SEEDS)
def test_each_row_has_one_sample_of_each_block(block, window, num_windows, seed):
    order = BlockOrder(block * window * num_windows, seed, block, window)
    rows = order.slots_at(0, np.arange(order.num_positions)).reshape(-1, window)
    assert (np.sort(rows) == np.arange(window)).all()


@pytest.mark.parametrize("size", [100_000, 100_003])
def test_any_positions_touch_few_places_of_the_files(size):
    """Of samples of 110 KB, positions of a window touch at most two windows of blocks."""
    num_bytes, window = 110_000, 16
    order = Shuffle(5, block="8MiB", window=window).order(Table(size, num_bytes))
    samples, count = samples_of(order), order.block * (window - 1)  # windows have 15 or 16 blocks
    for first in range(0, size - count, 997):
        ranges = np.unique(samples[first : first + count] * num_bytes // 2**23)
        # A block lies in two ranges; one may begin at the end of the files and end at their start.
        assert len(ranges) <= 2 * (2 * window) + 2


# Randomness. The seeds are fixed, so results are stable.


def test_what_blocks_promise():
    size, block, window = 100_000, 50, 64
    order = BlockOrder(size, 9, block, window)
    samples = samples_of(order)
    # Positions are as far from numbers as in a whole permutation.
    assert np.abs(samples - np.arange(size)).mean() == pytest.approx(size / 3, rel=0.1)
    # Successive samples are of one block only where a row ends.
    assert (np.abs(np.diff(samples)) < block).mean() < 2 / window
    # Epochs have nothing in common.
    assert abs(np.corrcoef(samples, samples_of(order, 1))[0, 1]) < 5 / math.sqrt(size / block)


def test_the_order_within_a_block_is_random():
    order = BlockOrder(3000, 2, 30, 10)
    offsets = np.zeros((30, 30))
    for epoch in range(300):
        for positions in windows_of(order):
            slots = order.slots_at(epoch, positions)
            samples = samples_of(order, epoch, positions[slots == 0])
            if np.ptp(samples) < 30:  # not across the end of the dataset
                offsets[np.arange(30), samples - samples.min()] += 1
    expected = offsets.mean()
    deviation = ((offsets - expected) ** 2 / expected).sum() - 29**2
    assert abs(deviation) < 5 * math.sqrt(2 * 29**2)


def test_blocks_begin_elsewhere_in_each_epoch():
    order = BlockOrder(1000, 0, 50, 4)
    firsts = set()
    for epoch in range(8):
        positions = np.arange(*order.window_at(0))
        slots = order.slots_at(epoch, positions)
        firsts.add(int(samples_of(order, epoch, positions[slots == 0]).min()) % 50)
    assert len(firsts) > 4


# Options


@pytest.mark.parametrize(
    ("size", "mean_bytes", "shuffle", "block", "num_windows"),
    [
        (1_281_167, 110_000, Shuffle(block="8MiB", window=64), 76, 264),
        (1_281_167, 110_000, Shuffle(block="8MB"), 72, 70),
        (1_281_167, 110_000, Shuffle(block=2**24), 152, 33),
        (10, 110_000, Shuffle(block="8MiB"), 10, 1),  # a block larger than the dataset
        (10, 2**24, Shuffle(block="8MiB", window=4), 1, 3),  # samples larger than a block
        (1, 100, Shuffle(block="8MiB"), 1, 1),
        (1000, 2**20, Shuffle(block="8MiB", window=1), 8, 125),
        (10, 0, Shuffle(block=4), 4, 1),  # samples without stored bytes: one is taken for each
        (7, 1, Shuffle(block=2**62), 7, 1),
    ],
)
def test_a_block_has_as_many_samples_as_fit(size, mean_bytes, shuffle, block, num_windows):
    order = shuffle.order(Table(size, mean_bytes))
    assert order.block == block
    assert order.window_at(0)[1] >= size // num_windows - block
    if size < 10_000:
        assert len(list(windows_of(order))) == num_windows
        assert sorted(samples_of(order)) == list(range(size))


def test_an_empty_dataset():
    assert Shuffle(block="8MiB").order(Table(0, 0)).num_positions == 0


@pytest.mark.parametrize("position", [-1, 10])
def test_a_position_outside_the_epoch(position):
    with pytest.raises(IndexError, match="does not lie in"):
        Shuffle(block=3, window=2).order(Table(10, 1)).samples_at(0, np.array([position]))


def test_sizes_as_text_and_as_number_are_one_shuffle():
    assert Shuffle(1, block="8MiB", window=64) == Shuffle(1, block=2**23, window=64)
    assert order_text(Shuffle(1, block="8 MiB")) == "Shuffle(seed=1, window=256, block=8388608)"
    assert len(order_text(Shuffle(2**64 - 1, block="16GiB", window=2**40))) <= 48
    assert order_text(Shuffle(1, window=64)) == "Shuffle(seed=1, window=64)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": "many"}, "'many' is not a valid size"),
        ({"block": 0}, "block must be an integer of at least 1"),
        ({"block": 1.5}, "not a valid size"),
        ({"block": True}, "must be an integer"),
        ({"block": "8MiB", "window": 0}, "window must be"),
        ({"block": "8MiB", "window": 4, "run": 2}, "block is the length of a run"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(OptionError, match=message):
        Shuffle(0, **options)


def test_blocks_are_counted_in_bytes_of_the_files(tmp_path):
    dataset = fastpack.open(numbered_shards(tmp_path, 40))
    assert dataset.mean_bytes == pytest.approx(dataset.stored_bytes / 40)
    few = dataset[::4]  # the mean is that of the files, so nothing needs to be read
    assert few.mean_bytes == dataset.mean_bytes
    assert Shuffle(block=4 * int(dataset.mean_bytes + 1)).order(few).block == 4
    joined = fastpack.concat([dataset[:1], dataset, few])
    assert joined.mean_bytes == pytest.approx(dataset.mean_bytes)
    assert joined.with_fields(["image"]).mean_bytes == joined.mean_bytes
    assert dataset.with_fields(["label"]).mean_bytes == 0


# Orders are stable forever: a saved state must mean the same sample.


def golden_orders():
    small = {
        f"{num_samples} by {block} and {window}, epoch {epoch}": samples_of(
            BlockOrder(num_samples, 7, block, window), epoch
        ).tolist()
        for num_samples, block, window in [(20, 3, 4), (24, 4, 2), (9, 20, 3), (13, 1, 5)]
        for epoch in (0, 3)
    }
    shuffle = Shuffle(2**64 - 1, block="8MiB", window=64)
    imagenet = shuffle.order(Table(1_281_167, 110_000))
    positions = np.arange(0, 1_281_167, 80_001)
    return {"small": small, "large": samples_of(imagenet, 1, positions).tolist()}


def test_golden_orders():
    assert golden_orders() == json.loads(ORDERS.read_text())


if __name__ == "__main__":
    ORDERS.write_text(json.dumps(golden_orders(), indent=1) + "\n")
