"""Loaders of all adapters have the batches, order, epochs and state of fastpack.Loader."""

import importlib
import json
import os
import weakref

import numpy as np
import pytest

import fastpack
from fastpack.core.ragged import Text
from fastpack.errors import FastpackError, OptionError
from fastpack.loading.loader import Loader

FRAMEWORKS = ["torch", "tensorflow", "jax"]


@pytest.fixture(params=FRAMEWORKS)
def adapter(request):
    pytest.importorskip(request.param)
    return importlib.import_module(f"fastpack.{request.param}")


def plain(value):
    """A framework's value as lists of numbers, bytes and str."""
    if isinstance(value, (list, tuple, Text)):
        return [plain(row) for row in value]
    if hasattr(value, "to_list"):  # tf.RaggedTensor
        return plain(value.to_list())
    if isinstance(value, (str, bytes)):
        return value.encode() if isinstance(value, str) else value
    return in_hwc(value).tolist()


def in_hwc(value):
    """An array; PyTorch's images are (..., C, H, W)."""
    is_torch = type(value).__module__ == "torch"
    array = np.asarray(value)
    return np.moveaxis(array, -3, -1) if is_torch and array.ndim >= 3 else array


def expected(batch):
    """A Batch in the same terms."""
    rows = [batch.sample(i) for i in range(batch.num_samples)]
    return {name: [plain(row[name]) for row in rows] for name in batch}


def assert_same(delivered, batch):
    assert list(delivered) == list(batch)
    for name, rows in expected(batch).items():
        got = plain(delivered[name])
        # Undecoded blobs are uint8 vectors in torch and JAX, and strings in TensorFlow.
        assert [
            bytes(row) if isinstance(want, bytes) else row
            for row, want in zip(got, rows, strict=True)
        ] == rows, name


def keys_of(batches):
    return [plain(batch["key"]) for batch in batches]


OPTIONS = {"batch_size": 4, "shuffle": 3}


def test_two_epochs_of_the_same_batches(adapter, reader):
    loader, reference = adapter.Loader(reader, **OPTIONS), Loader(reader, **OPTIONS)
    for epoch in range(2):
        assert loader.epoch == epoch
        delivered, batches = list(loader), list(reference)  # all kept: none may be overwritten
        assert len(delivered) == len(batches) == len(loader) == 7
        for got, batch in zip(delivered, batches, strict=True):
            assert_same(got, batch)
    assert loader.epoch == 2


def test_epochs_differ(adapter, reader):
    loader = adapter.Loader(reader, **OPTIONS)
    first, second = list(loader), list(loader)
    assert keys_of(first) != keys_of(second)
    assert sorted(sum(keys_of(first), [])) == sorted(sum(keys_of(second), []))


def test_undecoded(adapter, reader):
    undecoded = reader.with_options(decode=False, transform=None)
    loader = adapter.Loader(undecoded, batch_size=13)
    for got, batch in zip(loader, Loader(undecoded, batch_size=13), strict=True):
        assert_same(got, batch)


def test_peek_consumes_nothing(adapter, reader):
    loader, reference = adapter.Loader(reader, **OPTIONS), list(Loader(reader, **OPTIONS))
    iterator = iter(loader)
    for batch in reference[:2]:
        state = loader.state_dict()
        assert_same(loader.peek(), batch)
        assert loader.state_dict() == state
        assert_same(next(iterator), batch)


def test_numpy_integers_are_integers(adapter, reader):
    loader = adapter.Loader(reader, batch_size=np.int32(4), shuffle=np.int64(3))
    loader.set_epoch(np.int64(2))
    assert_same(loader.replay(np.uint8(1), np.int64(2)), Loader(reader, **OPTIONS).replay(1, 2))
    assert (loader.epoch, type(loader.epoch)) == (2, int)


def test_repr_describes_the_loader(adapter, reader):
    loader = adapter.Loader(reader, **OPTIONS)
    next(iter(loader))
    described = "7 batches of 4 samples, Shuffle(seed=3); rank 0 of 1; at epoch 0, position 4"
    assert repr(loader) == f"{adapter.__name__}.Loader({described})"


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 4, "drop_last": True}, {"batch_size": 5, "rank": 1, "world": 2}],
    ids=str,
)
def test_shares_of_an_epoch(adapter, reader, options):
    loader = adapter.Loader(reader, shuffle=1, **options)
    delivered, batches = list(loader), list(Loader(reader, shuffle=1, **options))
    assert len(loader) == len(batches)
    for got, batch in zip(delivered, batches, strict=True):
        assert_same(got, batch)


def steps(loader):
    """Epoch after epoch."""
    while True:
        yield from loader


@pytest.mark.parametrize("taken", [0, 1, 6, 7, 9])
def test_resume(adapter, reader, taken):
    interrupted, uninterrupted = (
        steps(loader := adapter.Loader(reader, **OPTIONS)),
        steps(Loader(reader, **OPTIONS)),
    )
    for _ in range(taken):
        next(interrupted), next(uninterrupted)
    resumed = adapter.Loader(reader, **OPTIONS)
    resumed.load_state_dict(json.loads(json.dumps(loader.state_dict())))
    for got, _ in zip(steps(resumed), range(8), strict=False):
        assert_same(got, next(uninterrupted))


def test_resume_with_another_world(adapter, reader):
    loader = adapter.Loader(reader, **OPTIONS)
    batches = iter(loader)
    before = keys_of([next(batches), next(batches)])
    state = loader.state_dict()
    after = []
    for rank in range(2):
        resumed = adapter.Loader(reader, **(OPTIONS | {"batch_size": 3}), rank=rank, world=2)
        resumed.load_state_dict(state)
        after += keys_of(resumed)
    everything = keys_of(adapter.Loader(reader, **OPTIONS))
    assert sorted(sum(before + after, [])) == sorted(sum(everything, []))


def test_set_epoch(adapter, reader):
    loader, reference = adapter.Loader(reader, **OPTIONS), Loader(reader, **OPTIONS)
    next(iter(loader))
    assert loader.position == 4
    loader.set_epoch(5)
    reference.set_epoch(5)
    assert loader.position == 0
    for got, batch in zip(loader, reference, strict=True):
        assert_same(got, batch)


def test_replay(adapter, reader):
    loader = adapter.Loader(reader, **OPTIONS)
    delivered = [batch for _ in range(2) for batch in loader]
    assert plain(loader.replay(1, 2)["image"]) == plain(delivered[7 + 2]["image"])


def test_a_state_of_another_dataset(adapter, reader):
    state = adapter.Loader(reader, **OPTIONS).state_dict()
    with pytest.raises(FastpackError):
        adapter.Loader(reader[:9], **OPTIONS).load_state_dict(state)


def test_bad_images_are_masked_and_reported(adapter, broken):
    with adapter.Loader(broken, batch_size=26, on_error="mask") as loader:
        (batch,) = loader
    assert loader.num_failures == len(loader.failures) == 2
    assert np.flatnonzero(~np.array(plain(batch["mask"]))).tolist() == [3, 17]
    first, second = plain(batch["failures"])
    assert b"pic/03.jpg" in first
    assert b"pic/17.jpg" in second
    assert not np.asarray(plain(batch["image"][3])).any()


def test_bad_images_are_left_out_and_reported(adapter, broken):
    (batch,) = adapter.Loader(broken, batch_size=26, on_error="skip")
    assert plain(batch["key"]) == [
        b"pic/%02d.jpg" % number for number in range(26) if number not in (3, 17)
    ]
    assert len(plain(batch["image"])) == 24
    assert [message[-10:] for message in plain(batch["failures"])] == [b"pic/03.jpg", b"pic/17.jpg"]
    assert "mask" not in batch


def test_bad_images_raise(adapter, broken):
    with pytest.raises(FastpackError, match=r"record 3.*pic/03\.jpg"):
        list(adapter.Loader(broken, batch_size=26))


def test_a_field_that_has_the_name_of_the_mask(adapter, shards):
    reader = fastpack.open(
        shards,
        fields={"image": "image", "mask": "label"},
        transform=fastpack.Resize(8),
        on_error="mask",
    )
    with pytest.raises(OptionError, match="'mask'"):
        adapter.Loader(reader)


# Samples at random


def torch_samples(reader, folder):
    return importlib.import_module("fastpack.torch").Dataset(reader)


def jax_samples(reader, folder):
    return importlib.import_module("fastpack.jax").DataSource(reader)


def huggingface_samples(reader, folder):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    return importlib.import_module("fastpack.huggingface").to_datasets(reader, cache_dir=folder)


SAMPLES = {"torch": torch_samples, "jax": jax_samples, "datasets": huggingface_samples}


@pytest.mark.parametrize("framework", SAMPLES)
def test_every_sample_in_order(framework, shards, tmp_path):
    pytest.importorskip(framework)
    reader = fastpack.open(shards)
    samples = SAMPLES[framework](reader, tmp_path / "cache")
    assert len(samples) == len(reader)
    for i in (0, 25, 11, 3):
        sample, wanted = samples[i], reader[i]
        assert list(sample) == list(wanted)
        assert (in_hwc(sample["image"]) == wanted["image"]).all()
        assert [int(sample["label"]), sample["key"], float(sample["weight"])] == [
            wanted["label"],
            wanted["key"],
            wanted["weight"],
        ]
        assert np.asarray(sample["boxes"]).tolist() == wanted["boxes"].tolist()
        assert list(sample["tags"]) == list(wanted["tags"])


# Life


def test_a_loader_dropped_in_the_middle_is_gone_at_once(adapter, reader):
    """Nothing that reads ahead, and no framework, keeps it."""
    loader = adapter.Loader(reader, **OPTIONS)
    batches = iter(loader)
    next(batches)
    alive = weakref.ref(loader), weakref.ref(loader._loader)
    del loader, batches
    assert [reference() for reference in alive] == [None, None]


@pytest.mark.isolated
def test_descriptors_do_not_pile_up(adapter, reader):
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    next(iter(adapter.Loader(reader, **OPTIONS)))
    before = descriptors()
    for _ in range(5):
        next(iter(adapter.Loader(reader, **OPTIONS)))
    assert descriptors() <= before  # a thread may close some late
