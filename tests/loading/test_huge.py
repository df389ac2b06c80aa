"""Loading of 10^12 samples: nothing of the dataset's size on the way to a batch."""

import json
import pickle
import tracemalloc

import numpy as np
import pytest

from fastpack import Balanced, Loader, Mix, Shuffle, concat
from tests.support.extent import is_full
from tests.support.huge_table import huge

N = 10**12
# A selection by a filter has a bit for each sample.
MARKED = 10**9 if is_full() else 10**7
FEW_BYTES = 2**23
PICKLE_BYTES = 10**6


@pytest.fixture
def few_bytes():
    """Asserts that no more than 8 MiB are allocated at any time."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < FEW_BYTES


def first(dataset, **options):
    with Loader(dataset, batch_size=64, **options) as loader:
        return next(iter(loader))["label"]


@pytest.mark.parametrize(
    "shuffle",
    [None, Shuffle(3), Shuffle(3, window=4096), Shuffle(3, block="4KiB", window=64)],
    ids=["order", "shuffle", "window", "block"],
)
@pytest.mark.parametrize("position", [0, 9 * N // 10])
def test_a_loader_of_a_trillion_samples(tmp_path, few_bytes, shuffle, position):
    dataset = huge(tmp_path, N)
    loader = Loader(dataset, batch_size=64, shuffle=shuffle, rank=2, world=3)
    loader.load_state_dict(loader.state_dict() | {"epoch": 1, "position": position})
    state = loader.state_dict()
    assert len(json.dumps(state)) < 200
    copy = pickle.loads(pickle.dumps(loader))
    assert len(pickle.dumps(loader)) < PICKLE_BYTES
    batches = [next(iter(each))["label"].tolist() for each in (loader, copy)]
    assert batches[0] == batches[1]
    expected = loader.schedule.samples_at(1, position).samples
    assert batches[0] == expected.tolist()
    assert len(loader) == -(-N // 192)
    loader.close()
    copy.close()


def test_mix_draws_of_huge_parts(tmp_path, few_bytes):
    dataset = huge(tmp_path, N)
    both = concat([dataset[: N // 2], dataset[N // 2 :: 2]])
    labels = first(both, shuffle=Mix((3, 1)))
    assert np.count_nonzero(labels < N // 2) == 48


def test_slices_and_parts_of_everything_have_no_bitmap(tmp_path, few_bytes):
    dataset = huge(tmp_path, N)
    backward = dataset[::-1][10 : N // 2 : 3]
    assert backward.read([0, -1])["label"].tolist() == [N - 11, N - 1 - (10 + 3 * 166666666663)]
    taken = dataset.take([5, N - 1, 5])
    assert taken.columns["label"].tolist() == [5, N - 1, 5]
    assert first(dataset.take(np.arange(100) * 7), shuffle=1).max() < 700
    for part in (dataset, backward, taken):
        assert len(pickle.dumps(part)) < PICKLE_BYTES
    assert dataset.fingerprints() != backward.fingerprints()


@pytest.mark.isolated
def test_filter_and_split_take_a_bit_a_sample(tmp_path):
    dataset = huge(tmp_path, MARKED)
    tracemalloc.start()
    half = dataset.filter(lambda columns: columns["label"] % 3 < 2)
    parts = half.split({"train": 0.9, "val": 0.1}, by="index")
    labels = first(parts["train"], shuffle=5)
    assert (labels % 3 < 2).all()
    assert len(pickle.dumps(half)) < PICKLE_BYTES
    assert (pickle.loads(pickle.dumps(parts["val"])).read([-1])["label"] < MARKED).all()
    # Four bitmaps at most at one time, and the blocks of rows.
    assert tracemalloc.get_traced_memory()[1] < MARKED / 2 + 2**26


@pytest.mark.isolated
def test_balanced_sorts_classes_in_a_file(tmp_path):
    dataset = huge(tmp_path, 3 * 10**6)
    labels = first(dataset, shuffle=Balanced(column="key"))
    assert (np.bincount(labels % 7, minlength=7) >= 9).all()
