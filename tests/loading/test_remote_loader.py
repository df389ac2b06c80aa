"""Loaders of datasets in stores have the batches of local ones; failures come in their turn."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import fastpack
from fastpack import Balanced, Loader, Mix, RandomResizedCrop, Shuffle
from fastpack.core import Ragged
from fastpack.errors import FastpackError, StoreError
from tests.support.extent import num_examples
from tests.support.samples import numbered_shards
from tests.support.stores.memory_store import memory_store

NUM_SAMPLES = 47


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The store, and the same samples on disk and in the store."""
    folder = tmp_path_factory.mktemp("set")
    numbered_shards(folder, NUM_SAMPLES)
    indexes = tmp_path_factory.mktemp("indexes")
    with memory_store("s3://loader") as store:
        store.put_folder(folder, "set")
        yield (
            store,
            fastpack.open(folder / "*.tfrecord", transform=RandomResizedCrop(12)),
            fastpack.open(
                "s3://loader/set/*.tfrecord", transform=RandomResizedCrop(12), index_dir=indexes
            ),
        )


@pytest.fixture
def sets(stored):
    stored[0].recover()
    return stored


def plain(value):
    if isinstance(value, Ragged | list):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return value


def facts_of(batch):
    place = batch.epoch, batch.step, batch.position
    failures = [str(error) for error in batch.failures]
    values = {name: plain(batch[name]) for name in batch}
    return place, plain(batch.sample_numbers), plain(batch.mask), failures, values


def assert_same(batches, wanted):
    for batch, expected in itertools.zip_longest(batches, wanted):
        assert batch is not None
        assert expected is not None
        assert facts_of(batch) == facts_of(expected)


# Choices of samples: the same for the dataset on disk and the one in the store.
CHOICES = {
    "all": lambda reader: reader,
    "filter": lambda reader: reader.filter(lambda columns: columns["label"] % 3 != 1),
    "split": lambda reader: reader.split({"train": 0.7})["train"],
    "take": lambda reader: reader.take(np.arange(90) * 7 % 31),
    "slice": lambda reader: reader[40:3:-2],
    "concat": lambda reader: fastpack.concat([reader[:20], reader[11:]]),
}

block_shuffles = st.builds(
    lambda seed, block, window: Shuffle(seed, block=block, window=window),
    st.integers(0, 3),
    st.integers(500, 20_000),
    st.integers(1, 6),
)
samplers = st.one_of(
    st.none(),
    st.builds(Shuffle, st.integers(0, 3)),
    st.builds(
        lambda seed, window: Shuffle(seed, window=window), st.integers(0, 3), st.integers(1, 60)
    ),
    block_shuffles,
    st.builds(Balanced, st.integers(0, 3)),
    st.just("mix"),
)


def loaders(sets, data):
    """The same loader of both datasets."""
    choice = CHOICES[data.draw(st.sampled_from(list(CHOICES)), "choice")]
    local, remote = choice(sets[1]), choice(sets[2])
    sampler = data.draw(samplers, "sampler")
    if sampler == "mix":
        local, remote = (fastpack.concat([each, each[:9]]) for each in (local, remote))
        sampler = Mix((2, 1), seed=1)
    world = data.draw(st.integers(1, 4), "world")
    ends = data.draw(st.sampled_from([{}, {"drop_last": True}, {"pad_last": True}]), "ends")
    options = {
        "batch_size": data.draw(st.integers(1, 20), "batch size"),
        "shuffle": sampler,
        "world": world,
        "rank": data.draw(st.integers(0, world - 1), "rank"),
        "prefetch": data.draw(st.integers(0, 5), "prefetch"),
        "num_workers": data.draw(st.sampled_from([None, 1, 2]), "threads"),
        **ends,
    }
    try:
        return Loader(local, **options), Loader(remote, **options)
    except FastpackError:  # drop_last leaves nothing
        return None


@given(st.data())
@settings(
    phases=[Phase.generate], max_examples=num_examples(15), suppress_health_check=list(HealthCheck)
)
def test_batches_of_stores_are_those_of_disks(sets, data):
    both = loaders(sets, data)
    if both is None:
        return
    local, remote = both
    start = {"epoch": data.draw(st.integers(0, 2)), "position": data.draw(st.integers(0, 12))}
    for loader in both:
        loader.load_state_dict(loader.state_dict() | start)
    assert_same(remote, local)
    assert (remote.epoch, remote.position) == (local.epoch, local.position)
    assert_same(remote, local)
    assert facts_of(remote.peek()) == facts_of(local.peek())


@given(st.data())
@settings(
    phases=[Phase.generate], max_examples=num_examples(15), suppress_health_check=list(HealthCheck)
)
def test_a_failure_of_the_store_comes_in_its_turn(sets, data):
    """Earlier batches are delivered; when the store is back, the iteration goes on."""
    both = loaders(sets, data)
    if both is None:
        return
    local, remote = both
    wanted, came = list(local), []
    sets[0].fail_at(*data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=2, unique=True)))
    for _ in range(6):
        try:
            came += remote
            break
        except StoreError:
            continue
    else:
        raise AssertionError("the iteration did not go on")
    assert_same(came, wanted)
