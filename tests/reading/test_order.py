"""Orders: bijections in both directions, random where they should be, and stable forever.

`python -m tests.reading.test_order` rewrites the golden orders. Do so only to change orders.
"""

import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack import Balanced, Mix, Shuffle
from fastpack._native.order import NUM_KEYS, hash_rows, permute, permute_within
from fastpack.core import Text
from fastpack.core.keys import spread_by_key
from fastpack.errors import OptionError
from fastpack.reading import Sequential
from fastpack.reading.order import sampler_of
from fastpack.reading.split import spread_by_number
from tests.support.paths import GOLDEN

ORDERS = GOLDEN / "orders.json"
SEEDS = st.integers(0, 2**64 - 1)
EPOCHS = st.integers(0, 2**32 - 1)


class Table:
    """As much of a dataset as an order looks at."""

    def __init__(self, size, columns=None, part_sizes=None):
        self.size, self.columns, self.part_sizes = size, columns or {}, part_sizes or (size,)

    def class_cache(self, column):
        return None, ""

    def __len__(self):
        return self.size


def samples_of(order, epoch=0):
    return order.samples_at(epoch, np.arange(order.num_positions)).samples


def permutation(size, *, seed=0, epoch=0, **options):
    return samples_of(Shuffle(seed, **options).order(Table(size)), epoch)


# Bijections


shuffles = st.builds(
    lambda seed, window, run: Shuffle(
        seed, window=window, run=min(run, window) if window and run else None
    ),
    SEEDS,
    st.none() | st.integers(1, 300),
    st.none() | st.integers(1, 40),
)


@given(shuffles, st.integers(1, 400), EPOCHS)
def test_each_sample_comes_once_and_the_inverse_finds_it(shuffle, size, epoch):
    order = shuffle.order(Table(size))
    samples = samples_of(order, epoch)
    assert sorted(samples) == list(range(size))
    assert order.positions_of(epoch, samples).tolist() == list(range(size))


@pytest.mark.parametrize("size", [1, 2, 3, 2**16 - 1, 2**16, 2**16 + 1, 1_281_167])
@pytest.mark.parametrize("window", [None, 4096])
def test_large_ones(size, window):
    samples = permutation(size, window=window)
    assert (np.bincount(samples, minlength=size) == 1).all()


@given(st.lists(st.integers(0, 10**12 - 1), max_size=20), SEEDS, EPOCHS)
def test_positions_are_answered_one_by_one_as_together(positions, seed, epoch):
    order = Shuffle(seed).order(Table(10**12))
    together = order.samples_at(epoch, np.array(positions, np.int64)).samples
    alone = [
        int(order.samples_at(epoch, np.array([position])).samples[0]) for position in positions
    ]
    assert together.tolist() == alone
    assert order.positions_of(epoch, together).tolist() == positions


@given(SEEDS, EPOCHS)
def test_the_pass_is_the_epoch(seed, epoch):
    assert set(Shuffle(seed).order(Table(5)).samples_at(epoch, np.arange(5)).passes) == {epoch}
    assert set(Sequential().order(Table(5)).samples_at(epoch, np.arange(5)).passes) == {epoch}


def test_epochs_and_seeds_differ():
    seen = {
        permutation(50, seed=seed, epoch=epoch).tobytes()
        for seed in (0, 1, 2**63)
        for epoch in (0, 1, 2**31)
    }
    assert len(seen) == 9


@pytest.mark.parametrize("position", [-1, 10])
def test_a_position_outside_the_epoch(position):
    with pytest.raises(IndexError, match=f"{position} does not lie in"):
        Shuffle(0).order(Table(10)).samples_at(0, np.array([position]))


# Randomness. The seeds are fixed, so results are stable. Chance exceeds five standard deviations
# once in millions of seeds.


def chi_square_deviation(counts):
    """How many standard deviations from what evenly drawn counts would give."""
    expected = counts.mean()
    freedom = counts.size - 1
    return (((counts - expected) ** 2).sum() / expected - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_all_permutations_of_few_are_equally_frequent(size):
    order = Shuffle(5).order(Table(size))
    counts = Counter(tuple(samples_of(order, epoch)) for epoch in range(6000))
    assert (
        abs(
            chi_square_deviation(np.array([counts[p] for p in itertools.permutations(range(size))]))
        )
        < 5
    )


@pytest.mark.parametrize("size", [7, 16, 33])
def test_each_sample_is_as_frequent_at_each_position(size):
    order = Shuffle(1).order(Table(size))
    counts = np.zeros((size, size))
    for epoch in range(3000):
        counts[np.arange(size), samples_of(order, epoch)] += 1
    assert abs(chi_square_deviation(counts)) < 5


@pytest.mark.parametrize("size", [8, 21])
def test_pairs_of_neighbors_are_equally_frequent(size):
    order = Shuffle(2).order(Table(size))
    counts = np.zeros((size, size))
    for epoch in range(3000):
        samples = samples_of(order, epoch)
        np.add.at(counts, (samples[:-1], samples[1:]), 1)
    assert abs(chi_square_deviation(counts[~np.eye(size, dtype=bool)])) < 5


@pytest.mark.parametrize("size", [1000, 65536, 100_003])
@pytest.mark.parametrize("lag", [1, 2, 7, 256])
def test_positions_tell_nothing_about_samples(size, lag):
    samples = permutation(size, seed=3) / size
    for other in (
        np.arange(size) / size,
        np.roll(samples, lag),
        permutation(size, seed=3, epoch=1) / size,
        permutation(size, seed=4) / size,
    ):
        assert abs(np.corrcoef(samples, other)[0, 1]) < 5 / math.sqrt(size)


def test_steps_between_neighbors_are_even():
    """A multiplier or a bit that stays unmixed would prefer some."""
    size = 2**14
    steps = np.diff(permutation(size, seed=6)) % size
    assert abs(chi_square_deviation(np.bincount(steps * 64 // size, minlength=64))) < 5
    for bit in range(14):
        assert abs((steps >> bit & 1).mean() - 0.5) < 5 * 0.5 / math.sqrt(size)


def test_neighbouring_tweaks_have_nothing_in_common():
    """Each window has a permutation of its own."""
    counts = np.zeros((16, 16))
    keys = np.arange(NUM_KEYS, dtype=np.uint64)
    tweaks = np.repeat(np.arange(3000), 16)
    out = np.empty(len(tweaks), np.int64)
    permute_within(np.tile(np.arange(16), 3000), np.full(len(tweaks), 16), tweaks, keys, out)
    of_windows = out.reshape(3000, 16)
    for one, following in itertools.pairwise(of_windows):
        counts[one, following] += 1
    assert abs(chi_square_deviation(counts)) < 5


# Windows


@pytest.mark.parametrize(("window", "run"), [(1024, 32), (1024, 8), (4096, 64)])
def test_what_a_window_promises(window, run):
    size = 100_000
    samples = permutation(size, seed=9, window=window, run=run)
    # The next sample is often of the same run: 2 * (run - 1) / run of these are within `run`.
    same_run = np.abs(np.diff(samples)) < run
    assert same_run.mean() == pytest.approx((run - 1) / (window - 1), rel=0.1)
    # Positions are as far from numbers as in a whole permutation.
    assert np.abs(samples - np.arange(size)).mean() == pytest.approx(size / 3, rel=0.1)
    # Samples that are read together lie in few parts of the file.
    whole_windows = np.sort(samples[: size // window * window].reshape(-1, window))
    assert ((np.diff(whole_windows) > 1).sum(axis=1) + 1 <= window // run + 1).all()


def test_runs_begin_elsewhere_in_each_epoch():
    order = Shuffle(0, window=64, run=16).order(Table(1000))
    begins = [np.sort(samples_of(order, epoch)[:64])[0] % 16 for epoch in range(8)]
    assert len(set(begins)) > 1


def test_a_window_of_everything_is_a_whole_permutation():
    assert (permutation(100, window=100) == permutation(100)).all()


# Classes and weights


LABELS = np.array([0] * 50 + [1] * 30 + [2] * 15 + [3] * 5)


@pytest.mark.parametrize(
    "labels", [LABELS, Text.of([f"class {label}" for label in LABELS])], ids=["numbers", "texts"]
)
def test_classes_come_equally_often(labels):
    order = Balanced(seed=1).order(Table(100, {"label": labels}))
    for epoch in range(3):
        came = LABELS[samples_of(order, epoch)]
        assert (np.sort(came.reshape(-1, 4)) == np.arange(4)).all()  # in every four, each once


def test_all_of_a_class_come_before_one_comes_again():
    order = Balanced(seed=2).order(Table(100, {"label": LABELS}))
    samples_at = [order.samples_at(epoch, np.arange(100)) for epoch in range(8)]
    samples, passes = (
        np.concatenate([getattr(visit, name) for visit in samples_at])
        for name in ("samples", "passes")
    )
    for label in range(4):
        members = samples[LABELS[samples] == label]
        size = int((label == LABELS).sum())
        for number, start in enumerate(range(0, len(members) - size + 1, size)):
            assert sorted(members[start : start + size]) == np.flatnonzero(label == LABELS).tolist()
            assert set(passes[LABELS[samples] == label][start : start + size]) == {number}
    seen = set(zip(samples.tolist(), passes.tolist(), strict=True))
    assert len(seen) == len(samples)  # so that no crop comes twice


def test_balanced_by_another_column_and_length():
    order = Balanced(column="kind", num_samples=7).order(Table(100, {"kind": LABELS}))
    assert len(samples_of(order)) == 7
    with pytest.raises(OptionError, match=r"no column 'label'.*kind"):
        Balanced().order(Table(100, {"kind": LABELS}))


def test_integer_weights_are_exact():
    order = Mix((7, 3), seed=1).order(Table(1100, part_sizes=(1000, 100)))
    came = samples_of(order, 5) >= 1000
    assert (came.reshape(-1, 10).sum(axis=1) == 3).all()


@pytest.mark.parametrize(
    "weights", [(0.7, 0.3), (2.0, 1.0), (1 / 3, 1 / 3, 1 / 3), (0.5, 0.0, 0.5)]
)
def test_weights_are_kept_to_one_part_in_ten_thousand(weights):
    sizes = (300, 20, 1000)[: len(weights)]
    order = Mix(weights, seed=1, num_samples=30_000).order(Table(sum(sizes), part_sizes=sizes))
    parts = np.searchsorted(np.cumsum(sizes), samples_of(order), side="right")
    shares = np.bincount(parts, minlength=len(weights)) / 30_000
    assert shares == pytest.approx(np.array(weights) / sum(weights), abs=1e-4)


def test_mix_of_something_else():
    with pytest.raises(OptionError, match="2 weights do not fit 1 dataset"):
        Mix((1, 2)).order(Table(10))
    with pytest.raises(OptionError, match="dataset 1 is empty"):
        Mix((1, 2)).order(Table(10, part_sizes=(10, 0)))
    with pytest.raises(OptionError, match="one part in 10000"):
        Mix((1.0, 1e-6)).order(Table(10, part_sizes=(5, 5)))


# Splitting


def test_a_key_says_where_its_sample_goes():
    keys = [f"n{i:08d}/{i}.JPEG" for i in range(20_000)]
    spread = spread_by_key(Text.of(keys), seed=0)
    assert (spread_by_key(Text.of(keys[::-1]), seed=0)[::-1] == spread).all()
    assert (spread_by_key(Text.of(keys), seed=1) != spread).all()
    assert 0 <= spread.min() <= spread.max() < 1
    assert abs(chi_square_deviation(np.histogram(spread, 100, (0, 1))[0])) < 5
    assert abs(np.corrcoef(spread[:-1], spread[1:])[0, 1]) < 5 / math.sqrt(20_000)


@given(st.integers(1, 300), SEEDS)
def test_numbers_are_spread_evenly(size, seed):
    assert sorted(spread_by_number(size, seed)) == pytest.approx((np.arange(size) + 0.5) / size)


# Mistakes


@pytest.mark.parametrize(
    "make",
    [
        lambda: Shuffle(-1),
        lambda: Shuffle(2**64),
        lambda: Shuffle(1.5),
        lambda: Shuffle(0, window=0),
        lambda: Shuffle(0, run=4),
        lambda: Shuffle(0, window=4, run=5),
        lambda: Balanced(num_samples=0),
        lambda: Mix(()),
        lambda: Mix((1, -1)),
        lambda: Mix((0, 0)),
        lambda: Mix((1, math.nan)),
        lambda: sampler_of("random"),
        lambda: sampler_of(1.5),
    ],
)
def test_what_makes_no_sense(make):
    with pytest.raises(OptionError):
        make()


@pytest.mark.parametrize(
    ("shuffle", "sampler"),
    [
        (None, Sequential()),
        (False, Sequential()),
        (True, Shuffle(0)),
        (7, Shuffle(7)),
        (Balanced(1), Balanced(1)),
    ],
)
def test_what_shuffle_means(shuffle, sampler):
    assert sampler_of(shuffle) == sampler


class TestKernel:
    KEYS = np.arange(NUM_KEYS, dtype=np.uint64)

    def test_lengths_must_fit(self):
        with pytest.raises(ValueError, match="as long as"):
            permute(np.arange(3), 3, self.KEYS, np.empty(2, np.int64))
        with pytest.raises(ValueError, match="keys"):
            permute(np.arange(3), 3, self.KEYS[1:], np.empty(3, np.int64))
        with pytest.raises(ValueError, match="one length"):
            permute_within(
                np.arange(3), np.ones(2, np.int64), np.arange(3), self.KEYS, np.empty(3, np.int64)
            )

    @pytest.mark.parametrize("back", [False, True])
    def test_numbers_must_lie_inside(self, back):
        with pytest.raises(IndexError, match=r"3 does not lie in \[0, 3\)"):
            permute(np.array([3]), 3, self.KEYS, np.empty(1, np.int64), back=back)
        with pytest.raises(IndexError, match=r"0 does not lie in \[0, 0\)"):
            permute_within(
                np.array([0]),
                np.array([0]),
                np.array([0]),
                self.KEYS,
                np.empty(1, np.int64),
                back=back,
            )

    @given(st.integers(1, 2**40), st.integers(0, 100), st.booleans(), SEEDS)
    def test_many_at_once_go_where_each_goes_alone(self, size, count, back, seed):
        random = np.random.default_rng(seed)
        numbers, keys = (
            random.integers(0, size, count),
            random.integers(0, 2**63, NUM_KEYS, np.uint64),
        )
        together, alone = np.empty((2, count), np.int64)
        permute(numbers, size, keys, together, back=back)
        permute_within(
            numbers, np.full(count, size), np.zeros(count, np.int64), keys, alone, back=back
        )
        assert together.tolist() == alone.tolist()

    def test_a_size_near_the_largest(self):
        numbers = np.array([0, 1, 2**62, 2**63 - 2])
        out, back = np.empty((2, 4), np.int64)
        permute(numbers, 2**63 - 1, self.KEYS, out)
        permute(out, 2**63 - 1, self.KEYS, back, back=True)
        assert back.tolist() == numbers.tolist()

    @pytest.mark.parametrize("offsets", [[0, 3], [1, 2, 3], [0, 4, 3], [0, 2, 4], [0, 5, 3]])
    def test_rows_must_lie_inside(self, offsets):
        with pytest.raises(ValueError, match="offsets"):
            hash_rows(np.zeros(3, np.uint8), np.array(offsets), 0, np.empty(2, np.uint64))

    def test_hashes_look_at_every_byte_and_at_the_length(self):
        rows = Text.of(["", "\0", "\0\0", "a", "b", "ab", "ba", "aa"])
        out = np.empty(len(rows), np.uint64)
        hash_rows(rows.values, rows.offsets, 0, out)
        assert len(set(out.tolist())) == len(rows)


# Orders are stable forever: a saved state must mean the same sample.


def golden_orders():
    parts = Table(14, {"label": np.arange(14) % 3}, part_sizes=(10, 4))
    orderings = [
        Shuffle(0),
        Shuffle(2**64 - 1),
        Shuffle(7, window=6, run=2),
        Balanced(1),
        Mix((1, 2), seed=1),
        Mix((0.25, 0.75), seed=2),
    ]
    orders = {
        f"{sampler}, epoch {epoch}": samples_of(sampler.order(parts), epoch).tolist()
        for sampler in orderings
        for epoch in (0, 3)
    }
    large = {
        f"Shuffle({seed}) of {size}": permutation(size, seed=seed)[:16].tolist()
        for seed in (0, 1)
        for size in (10**6, 1_281_167)
    }
    keys = spread_by_key(Text.of(["", "cat/a.jpg", "cat/b.jpg", "Löwe"]), seed=3).tolist()
    return {
        "orders": orders,
        "large": large,
        "keys": keys,
        "numbers": spread_by_number(10, seed=3).tolist(),
    }


def test_golden_orders():
    assert golden_orders() == json.loads(ORDERS.read_text())


if __name__ == "__main__":
    ORDERS.write_text(json.dumps(golden_orders(), indent=1) + "\n")
