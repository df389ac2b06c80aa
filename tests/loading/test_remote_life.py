"""Loaders of stores: failures, damage, changed files, and lives that end early."""

import gc
import itertools
import os
import threading
import time

import numpy as np
import pytest

import fastpack
from fastpack import Loader, Resize, Shuffle
from fastpack.core import threads
from fastpack.errors import ChangedFileError, CorruptRecordError, StoreError
from tests.support.hdf5_files import write_compact_jpegs
from tests.support.samples import numbered_shards
from tests.support.stores.memory_store import memory_store
from tests.support.subprocesses import PATIENCE_S

NUM_SAMPLES = 30


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "set"
    made.mkdir()
    numbered_shards(made, NUM_SAMPLES)
    return made


@pytest.fixture
def store(folder):
    with memory_store("s3://life") as made:
        made.put_folder(folder, "set")
        yield made


@pytest.fixture
def opened(store, tmp_path):
    """Opens the dataset in the store."""

    def opening(pattern="*.tfrecord", **options):
        options = {"transform": Resize(8), "index_dir": tmp_path / "indexes", **options}
        return fastpack.open(f"s3://life/set/{pattern}", **options)

    return opening


def labels_of(batches):
    return [label for batch in batches for label in batch["label"].tolist()]


# Damage, and stores that fail


@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("on_error", ["skip", "mask"])
def test_damage_follows_on_error_and_the_store_does_not(store, opened, folder, on_error, prefetch):
    name, number = "0.tfrecord", 7
    data = bytearray((folder / name).read_bytes())
    whole = fastpack.open(folder / name, decode=False)[number]["image"]
    place = data.index(whole)
    data[place : place + len(whole)] = bytes(len(whole))
    store.put(f"set/{name}", bytes(data))
    loader = Loader(opened(on_error=on_error, check=False), batch_size=4, prefetch=prefetch)
    batches = list(loader)
    (failure,) = loader.failures
    assert isinstance(failure, CorruptRecordError)
    assert "record 7" in str(failure)
    assert "s3://life/set/0.tfrecord" in str(failure)
    kept = [batch["label"][batch.mask].tolist() for batch in batches]
    assert sum(kept, []) == [label for label in range(NUM_SAMPLES) if label != number]

    store.fail_at(*range(100))
    with pytest.raises(StoreError, match="is away"):
        list(loader)
    assert loader.num_failures == 1
    store.recover()
    assert len(labels_of(loader)) == len(labels_of(batches))


@pytest.mark.parametrize("on_error", ["skip", "mask"])
def test_the_store_fails_while_a_library_reads(store, tmp_path, on_error):
    """HDF5's library reads blobs without spans itself, one sample after another."""
    path = write_compact_jpegs(tmp_path / "compact.h5")
    store.put("set/compact.h5", path.read_bytes())
    reader = fastpack.open("s3://life/set/compact.h5", on_error=on_error, index_dir=tmp_path)
    expected = reader.read(range(len(reader)))
    store.fail_at(*range(10_000))
    gc.collect()
    with pytest.raises(StoreError, match="is away"):
        reader.read(range(len(reader)))
    store.recover()
    again = reader.read(range(len(reader)))
    assert again.sample_numbers.tolist() == expected.sample_numbers.tolist()


def test_an_object_that_was_replaced(store, opened, folder):
    loader = Loader(opened(on_error="mask"), batch_size=4)
    store.put("set/1.tfrecord", (folder / "1.tfrecord").read_bytes())
    with pytest.raises(ChangedFileError, match="s3://life/set/1.tfrecord"):
        list(loader)
    assert loader.position == 20


# Local files beside objects


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_local_file_beside_objects_is_compared(opened, folder, prefetch):
    local = fastpack.open(folder / "1.tfrecord", transform=Resize(8))
    both = fastpack.concat([opened("0.tfrecord"), local])
    loader = Loader(both, batch_size=5, prefetch=prefetch, shuffle=Shuffle(1))
    assert sorted(labels_of(loader)) == list(range(NUM_SAMPLES))
    data = (folder / "1.tfrecord").read_bytes()
    os.unlink(folder / "1.tfrecord")
    (folder / "1.tfrecord").write_bytes(bytes(len(data)))
    fresh = Loader(both, batch_size=5, prefetch=prefetch, shuffle=Shuffle(1))
    os.utime(folder / "1.tfrecord", ns=(1, 1))
    both.samples.remote._files._kept.clear()
    with pytest.raises(ChangedFileError, match=r"1\.tfrecord"):
        list(fresh)


def test_one_file_in_two_parts(opened):
    reader = opened()
    both = fastpack.concat([reader[:20], reader[11:]])
    rows = np.random.default_rng(0).permutation(len(both))
    labels = both.read(rows)["label"]
    assert sorted(labels.tolist()) == sorted([*range(20), *range(11, NUM_SAMPLES)])


# Waiting, and its end


@pytest.mark.parametrize("end", ["close", "drop", "another"])
def test_all_requests_end_with_the_iteration(store, opened, monkeypatch, end):
    started, go = [], threading.Event()
    start = type(store).start_ranges

    def noting(self, *arguments):
        started.append(start(self, *arguments))
        return started[-1]

    loader = Loader(opened(), batch_size=3, prefetch=3)
    monkeypatch.setattr(type(store), "start_ranges", noting)
    store.num_reads, store.before = 0, lambda number: number < 2 or go.wait(PATIENCE_S)
    iteration = iter(loader)
    next(iteration)
    wait_until(lambda: len(started) > 4)
    began = time.monotonic()
    if end == "drop":
        del iteration
    elif end == "another":
        iter(loader)
    else:
        loader.close()
    assert time.monotonic() - began < PATIENCE_S / 2
    time.sleep(0.1)  # for a window that is being started
    count = len(started)
    assert all(each.done() for each in started)
    go.set()
    time.sleep(0.05)
    assert len(started) == count


def test_more_loaders_than_the_pool_has_threads(opened):
    """Lanes that wait for a window leave no thread to start it: they start it themselves."""
    loaders = [Loader(opened(), batch_size=4) for _ in range(threads.max_threads())]
    turns = itertools.zip_longest(*loaders)
    found = [labels_of(batches) for batches in zip(*turns, strict=True)]
    assert found == [list(range(NUM_SAMPLES))] * len(loaders)
