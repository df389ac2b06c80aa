"""The loader: one order for any ranks, threads and interruptions; state, replay, bad samples."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastpack
from fastpack import (
    Balanced,
    HorizontalFlip,
    Loader,
    Mix,
    RandomResizedCrop,
    Resize,
    Shuffle,
    concat,
)
from fastpack.errors import EmptySourceError, OptionError, StateError
from fastpack.loading import LoaderOptions
from tests.support.extent import num_examples
from tests.support.interrupted import interrupted_epoch, labels_of, order_of, without_repeats
from tests.support.samples import numbered_shard, numbered_shards

NUM_SAMPLES = 41


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return numbered_shards(tmp_path_factory.mktemp("shards"), NUM_SAMPLES)


@pytest.fixture(scope="module")
def dataset(shards):
    return fastpack.open(shards, transform=[RandomResizedCrop(16), HorizontalFlip()], num_workers=2)


@pytest.fixture(scope="module")
def labels(shards):
    """The same samples without their images: quick to read."""
    return fastpack.open(shards, fields=["label"])


# The global order


@given(st.data())
@settings(max_examples=num_examples(150))
def test_every_sample_once_whatever_the_world_the_batch_and_the_interruptions(labels, data):
    """Ranks stop after some steps; another number of ranks continues, until the epoch ends."""
    size = data.draw(st.integers(1, NUM_SAMPLES), "samples")
    epoch = data.draw(st.integers(0, 3), "epoch")
    shuffle = Shuffle(
        data.draw(st.integers(0, 5), "seed"), window=data.draw(st.sampled_from([None, 7]), "window")
    )
    dataset = labels.take(np.arange(size))
    delivered, state = interrupted_epoch(data, dataset, shuffle, epoch)
    assert delivered == order_of(dataset, shuffle, epoch)
    assert (state["epoch"], state["position"]) == (epoch + 1, 0)


@pytest.mark.parametrize("world", [1, 2, 4, 8])
@pytest.mark.parametrize("batch_size", [1, 3, 16, 100])
@pytest.mark.parametrize("drop_last", [False, True])
def test_ranks_have_the_same_steps_and_nearly_the_same_samples(
    labels, world, batch_size, drop_last
):
    if drop_last and batch_size * world > NUM_SAMPLES:
        with pytest.raises(OptionError, match="drop_last leaves nothing"):
            Loader(labels, batch_size=batch_size, world=world, drop_last=True)
        return
    loaders = [
        Loader(
            labels, batch_size=batch_size, rank=rank, world=world, drop_last=drop_last, shuffle=1
        )
        for rank in range(world)
    ]
    by_rank = [list(loader) for loader in loaders]
    assert {len(batches) for batches in by_rank} == {len(loaders[0])}
    for step in zip(*by_rank, strict=True):
        sizes = [batch.num_samples for batch in step]
        assert max(sizes) - min(sizes) <= 1
        assert 1 <= min(sizes) <= max(sizes) <= batch_size
    in_order = [label for step in zip(*by_rank, strict=True) for label in labels_of(step)]
    wanted = order_of(labels, Shuffle(1), 0)
    assert without_repeats(in_order) == (
        wanted[: NUM_SAMPLES // (batch_size * world) * batch_size * world] if drop_last else wanted
    )
    in_last_step = NUM_SAMPLES % (batch_size * world)
    assert len(in_order) - len(set(in_order)) == (
        world - in_last_step if not drop_last and 0 < in_last_step < world else 0
    )


@given(
    st.integers(1, NUM_SAMPLES),
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(0, NUM_SAMPLES),
    st.booleans(),
)
def test_no_rank_ever_gets_an_empty_batch(labels, size, batch_size, world, position, pads):
    """Wherever it goes on, and however few samples there are."""
    options = LoaderOptions(batch_size, 1, world=world, prefetch=0, pad_last=pads)
    by_rank = []
    for rank in range(world):
        loader = Loader(labels.take(np.arange(size)), options, rank=rank)
        loader.load_state_dict(loader.state_dict() | {"position": min(position, size)})
        by_rank.append([batch for batch in loader if batch.epoch == 0 or position >= size])
    assert len({len(batches) for batches in by_rank}) == 1
    sizes = {batch.num_samples for batches in by_rank for batch in batches}
    assert sizes == {batch_size} if pads else min(sizes) >= 1
    first = min(position, size) % size
    wanted = order_of(labels.take(np.arange(size)), Shuffle(1), 1 if position >= size else 0)[
        first:
    ]
    came = [
        label
        for step in zip(*by_rank, strict=True)
        for batch in step
        for label in batch["label"][batch.mask].tolist()
    ]
    assert (came if pads else without_repeats(came)) == wanted


def test_padding_comes_from_the_beginning_of_the_epoch(dataset):
    loaders = [
        Loader(dataset, batch_size=8, shuffle=2, rank=rank, world=3, pad_last=True, drop_last=False)
        for rank in range(3)
    ]
    batches = [list(loader)[-1] for loader in loaders]
    order = order_of(dataset, Shuffle(2), 0)
    assert labels_of(batches) == order[24:] + order[: 48 - NUM_SAMPLES]
    assert [batch.mask.sum() for batch in batches] == [8, 8, 1]
    first = loaders[0].replay(0, 0)
    assert (batches[2]["image"][1:] == first["image"][:7]).all()


@pytest.mark.parametrize("more", [{"drop_last": True}, {"on_error": "skip"}], ids=str)
def test_padding_goes_with_neither_dropping_nor_skipping(labels, more):
    with pytest.raises(OptionError, match="pad_last"):
        Loader(labels, pad_last=True, **more)


@pytest.mark.parametrize(
    "shuffle", [None, True, 3, Shuffle(1, window=8), Balanced(2), Mix((2, 1), seed=1)], ids=repr
)
def test_every_ordering_goes_through_a_loader(labels, shuffle):
    parts = concat([labels.take(np.arange(10)), labels.take(np.arange(10, NUM_SAMPLES))])
    loader = Loader(parts, batch_size=4, shuffle=shuffle)
    came = labels_of(loader)
    assert len(came) == len(parts)
    assert came == labels_of(loader.replay(0, step) for step in range(len(loader)))
    if shuffle is None:
        assert came == list(range(NUM_SAMPLES))


@pytest.mark.parametrize("prefetch", [0, 1, 2, 5])
@pytest.mark.parametrize("num_workers", [1, 2, 5])
def test_threads_and_prefetch_change_nothing(dataset, prefetch, num_workers):
    expected = [
        dataset.read(order_of(dataset, Shuffle(0), 0)[i : i + 8], epoch=0)
        for i in range(0, NUM_SAMPLES, 8)
    ]
    batches = list(
        Loader(dataset, batch_size=8, shuffle=0, prefetch=prefetch, num_workers=num_workers)
    )
    for batch, wanted in zip(batches, expected, strict=True):
        assert batch["label"].tolist() == wanted["label"].tolist()
        assert (batch["image"] == wanted["image"]).all()


def test_a_sample_that_comes_twice_in_an_epoch_has_two_crops(dataset):
    sampler = Balanced(1, num_samples=60)
    few = dataset.take([0, 1, 2])
    loader = Loader(few, batch_size=60, shuffle=sampler)
    samples_at = sampler.order(few).samples_at(0, np.arange(60))
    batch = next(iter(loader))
    assert (batch["image"] == few.read(samples_at.samples, epoch=samples_at.passes)["image"]).all()
    assert len({image.tobytes() for image in batch["image"]}) == 60


# Epochs


def test_epoch_after_epoch(labels):
    loader = Loader(labels, batch_size=10, shuffle=0)
    assert len(loader) == 5
    epochs = [labels_of(loader) for _ in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(NUM_SAMPLES))] * 3
    assert epochs == [order_of(labels, Shuffle(0), epoch) for epoch in range(3)]
    assert (loader.epoch, loader.position) == (3, 0)


def test_iterating_again_gives_the_rest(labels):
    loader = Loader(labels, batch_size=10)
    for batch in loader:
        if batch.step == 1:
            break
    assert (loader.epoch, loader.position) == (0, 20)
    assert labels_of(loader) == list(range(20, NUM_SAMPLES))


def test_batches_say_when_they_came(labels):
    loader = Loader(labels, batch_size=10, shuffle=0, rank=1, world=2)
    loader.set_epoch(4)
    assert [(batch.epoch, batch.step, batch.position) for batch in loader] == [
        (4, 0, 0),
        (4, 1, 20),
        (4, 2, 40),
    ]
    batch = loader.replay(4, 1)
    assert batch.sample_numbers.tolist() == batch["label"].tolist()


def test_set_epoch_keeps_the_position_in_the_epoch_it_is_in(labels):
    loader = Loader(labels, batch_size=10)
    next(iter(loader))
    loader.set_epoch(0)
    assert loader.position == 10
    loader.set_epoch(7)
    assert (loader.epoch, loader.position) == (7, 0)


def test_an_iterator_whose_loader_went_elsewhere(labels):
    loader = Loader(labels, batch_size=10)
    old = iter(loader)
    next(old)
    assert labels_of(loader) == list(range(10, NUM_SAMPLES))
    with pytest.raises(StateError, match="iterate it again"):
        next(old)
    assert next(iter(loader)).epoch == 1


def test_an_iterator_that_has_ended_stays_so(labels):
    loader = Loader(labels, batch_size=30)
    ended = iter(loader)
    list(ended)
    list(loader)
    assert next(ended, "nothing") == "nothing"


# State


@pytest.mark.parametrize("steps", range(6))
def test_a_resumed_run_is_bit_identical(dataset, steps):
    whole = Loader(dataset, batch_size=8, shuffle=3)
    expected = [batch["image"].copy() for batch in whole] + [
        batch["image"].copy() for batch in whole
    ]
    interrupted = Loader(dataset, batch_size=8, shuffle=3)
    for _, batch in zip(range(steps), interrupted, strict=False):
        assert batch.num_samples
    resumed = Loader(dataset, batch_size=8, shuffle=3)
    resumed.load_state_dict(json.loads(json.dumps(interrupted.state_dict())))
    images = [batch["image"] for batch in resumed] + [batch["image"] for batch in resumed]
    assert len(images) == len(expected) - steps
    assert all(
        (image == wanted).all() for image, wanted in zip(images, expected[steps:], strict=True)
    )


@pytest.mark.parametrize(("world", "batch_size"), [(1, 5), (2, 3), (4, 4)])
def test_with_other_ranks_and_batches_each_sample_has_the_same_pixels(dataset, world, batch_size):
    whole = Loader(dataset, batch_size=8, shuffle=3)
    expected = {
        label: image.copy()
        for batch in whole
        for label, image in zip(batch["label"].tolist(), batch["image"], strict=True)
    }
    interrupted = Loader(dataset, batch_size=7, shuffle=3)
    came = [next(iter(interrupted))]
    for rank in range(world):
        resumed = Loader(dataset, batch_size=batch_size, shuffle=3, rank=rank, world=world)
        resumed.load_state_dict(interrupted.state_dict())
        came += list(resumed)
    assert sorted(set(labels_of(came))) == list(range(NUM_SAMPLES))
    for batch in came:
        assert all(
            (image == expected[label]).all()
            for label, image in zip(batch["label"].tolist(), batch["image"], strict=True)
        )


def test_the_state_counts_what_was_delivered_not_what_was_read_ahead(labels):
    loader = Loader(labels, batch_size=4, prefetch=5)
    batches = iter(loader)
    for step in range(3):
        assert loader.state_dict()["position"] == 4 * step
        next(batches)


def test_a_state_is_small(labels):
    loader = Loader(
        labels.with_options(seed=2**64 - 1),
        shuffle=Shuffle(2**64 - 1, window=2**40, run=2**20),
        batch_size=1,
    )
    loader.load_state_dict(loader.state_dict() | {"epoch": 2**32 - 1, "position": 40})
    state = loader.state_dict() | {"position": 2**40}
    assert len(json.dumps(state)) < 200
    assert json.loads(json.dumps(state)) == state


def test_a_far_position_is_as_near_as_any(labels):
    """Nothing is replayed on the way: an epoch of 10**9 positions has no list of them."""
    loader = Loader(labels, batch_size=10, shuffle=Balanced(1, num_samples=10**9), prefetch=0)
    loader.load_state_dict(loader.state_dict() | {"epoch": 3, "position": 10 * 10**6})
    batch = next(iter(loader))
    assert (batch.epoch, batch.step, batch.num_samples) == (3, 10**6, 10)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda dataset: dataset.take(np.arange(40)), {}, "number of samples.*choice of samples"),
        (lambda dataset: dataset.take(np.arange(41)[::-1]), {}, r"the choice of samples differ"),
        (
            lambda dataset: dataset,
            {"shuffle": 4},
            r"another order: Shuffle\(seed=3\), this loader has Shuffle\(seed=4\)",
        ),
        (lambda dataset: dataset, {"shuffle": None}, r"Shuffle\(seed=3\).*Sequential\(\)"),
        (lambda dataset: dataset.with_options(seed=9), {}, "another seed: 0, this loader has 9"),
    ],
)
def test_a_state_of_something_else(labels, change, options, message):
    state = Loader(labels, shuffle=3).state_dict()
    other = Loader(change(labels), **({"shuffle": 3} | options))
    with pytest.raises(StateError, match=message):
        other.load_state_dict(state)
    assert (other.epoch, other.position) == (0, 0)


def test_a_state_of_other_files_or_fields(shards, labels, tmp_path):
    state = Loader(labels).state_dict()
    with pytest.raises(StateError, match="the fields differ"):
        Loader(fastpack.open(shards)).load_state_dict(state)
    moved = [
        numbered_shard(tmp_path / path.name, [b"x"] * (20 + n), 20 * n)
        for n, path in enumerate(shards)
    ]
    with pytest.raises(StateError, match="the files differ"):
        Loader(fastpack.open(moved, fields=["label"])).load_state_dict(state)
    for path in shards:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    Loader(fastpack.open(tmp_path, fields=["label"])).load_state_dict(
        state
    )  # the same files in another place


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"position": 42},
        {"position": -1},
        {"position": 1.5},
        {"epoch": "1"},
        {"epoch": -1},
    ],
)
def test_a_state_that_is_none(labels, change):
    loader = Loader(labels)
    with pytest.raises((StateError, OptionError)):
        loader.load_state_dict(loader.state_dict() | change)
    with pytest.raises(StateError, match="not a loader's state"):
        loader.load_state_dict({})


# Replay


def test_replay_gives_the_same_pixels(dataset):
    loader = Loader(dataset, batch_size=8, shuffle=5, rank=1, world=2)
    delivered = [batch for _ in range(2) for batch in loader]
    for batch in delivered:
        for again in (
            loader.replay(batch.epoch, batch.step),
            loader.replay(batch.epoch, position=batch.position),
        ):
            assert again.sample_numbers.tolist() == batch.sample_numbers.tolist()
            assert (again["image"] == batch["image"]).all()
    assert (loader.epoch, loader.position) == (2, 0)


def test_replay_after_a_resume_with_other_sizes(labels):
    loader = Loader(labels, batch_size=10, shuffle=5)
    loader.load_state_dict(loader.state_dict() | {"position": 7})
    for batch in loader:
        assert (
            loader.replay(batch.epoch, position=batch.position)["label"].tolist()
            == batch["label"].tolist()
        )


def test_replay_of_what_is_not_there(labels):
    loader = Loader(labels, batch_size=10)
    for step in (-1, 5):
        with pytest.raises(IndexError):
            loader.replay(0, step)
    for name in ({}, {"step": 1, "position": 10}):
        with pytest.raises(OptionError, match="step or by its position"):
            loader.replay(0, **name)
    for shuffle in (None, 1):
        with pytest.raises(OptionError, match="epoch must be"):
            Loader(labels, shuffle=shuffle).replay(-1, 0)


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"world": 0},
        {"prefetch": -1},
        {"rank": 1},
        {"rank": -1},
        {"rank": "first"},
        {"rank": "auto", "world": 2},
        {"num_workers": 0},
        {"on_error": "ignore"},
        {"shuffle": "yes"},
        {"transform": "resize"},
    ],
    ids=str,
)
def test_options_that_make_no_sense(labels, options):
    with pytest.raises(OptionError):
        Loader(labels, **options)


def test_no_samples(labels):
    with pytest.raises(EmptySourceError):
        Loader(labels.take([]))


def test_the_loaders_options_come_before_the_datasets(dataset):
    assert next(iter(Loader(dataset, transform=Resize(8), batch_size=3)))["image"].shape == (
        3,
        8,
        8,
        3,
    )
    assert isinstance(next(iter(Loader(dataset, transform=None, batch_size=3)))["image"], list)
    assert next(iter(Loader(dataset, batch_size=3)))["image"].shape == (3, 16, 16, 3)


LAUNCHERS = {
    "nothing": ({}, (0, 1)),
    "torchrun": ({"RANK": "3", "WORLD_SIZE": "4"}, (3, 4)),
    "slurm": ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, (1, 2)),
    "open mpi": ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "8"}, (0, 8)),
    "torchrun under slurm": (
        {"RANK": "5", "WORLD_SIZE": "8", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"},
        (5, 8),
    ),
    "half": ({"RANK": "3"}, (0, 1)),
}


@pytest.mark.parametrize(("variables", "found"), LAUNCHERS.values(), ids=LAUNCHERS)
def test_rank_auto(labels, monkeypatch, variables, found):
    for name in (
        "RANK",
        "WORLD_SIZE",
        "SLURM_PROCID",
        "SLURM_NTASKS",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "PMI_RANK",
        "PMI_SIZE",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    options = Loader(labels, rank="auto").options
    assert (options.rank, options.world) == found
    assert Loader(labels).options.world == 1  # never unasked


def test_a_launcher_without_a_number(labels, monkeypatch):
    monkeypatch.setenv("RANK", "first")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="RANK is 'first'"):
        Loader(labels, rank="auto")


def test_a_pickled_loader_goes_on_where_it_stood(dataset):
    loader = Loader(dataset, batch_size=8, shuffle=1)
    batches = iter(loader)
    next(batches)
    copy = pickle.loads(pickle.dumps(loader))
    assert labels_of(copy) == labels_of(batches)
    assert copy.state_dict() == loader.state_dict()


def test_repr(labels):
    text = repr(Loader(labels, batch_size=10, shuffle=3))
    assert (
        text
        == "Loader(5 batches of 10 samples, Shuffle(seed=3); rank 0 of 1; at epoch 0, position 0)"
    )


@pytest.mark.parametrize("prefetch", [0, 2])
def test_peek_gives_the_next_batch_and_consumes_nothing(digits, prefetch):
    dataset = fastpack.open(digits, transform=fastpack.RandomCrop(4))
    loader = fastpack.Loader(dataset, batch_size=4, shuffle=3, prefetch=prefetch)
    for _ in range(2):
        state, peeked = loader.state_dict(), loader.peek()
        iterator = iter(loader)
        batch = next(iterator)
        assert (peeked["image"] == batch["image"]).all()
        assert loader.state_dict() != state
        for _ in range(2):
            state, peeked = loader.state_dict(), loader.peek()
            assert loader.state_dict() == state
            assert (peeked["image"] == next(iterator)["image"]).all()
    assert (loader.epoch, loader.position) == (2, 0)


def test_each_iteration_is_the_next_epoch_without_set_epoch(digits):
    loader = fastpack.Loader(fastpack.open(digits), batch_size=4, shuffle=3)
    orders = [[label for batch in loader for label in batch["label"].tolist()] for _ in range(3)]
    for epoch, order in enumerate(orders):
        loader.set_epoch(epoch)
        assert [label for batch in loader for label in batch["label"].tolist()] == order
    assert orders[0] != orders[1] != orders[2]
