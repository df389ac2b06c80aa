"""Many shards over a slow network, and many processes with one folder of local metadata."""

import multiprocessing
import pickle
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import fastpack
from fastpack.formats.file_index import FileIndex
from fastpack.formats.manifest_builder import ManifestBuilder
from fastpack.stores.store_path import as_path
from tests.support.stores.sets import NUM_SAMPLES

_ROUND_TRIP = 0.02  # seconds
_IN_A_SHARD = 10


def put_copies(stored, count):
    """Stores one shard under many names, its index with their etag, and a root manifest."""
    shard, path = stored.shards[0], as_path(stored.path)
    first = FileIndex(path.with_name(shard.name))
    index = first.open_saved()
    saved = first.index_path.read_bytes()
    names = [f"many-{number:05d}-of-{count:05d}.tfrecord" for number in range(count)]
    builder = ManifestBuilder([path.with_name(name) for name in names])
    for number, name in enumerate(names):
        stored.server.put(stored.key(name), shard.read_bytes())
        stored.server.put(stored.key(f"{name}.fpindex"), saved)
        builder.add(number, index)
    stored.server.put(stored.key("many.tfrecord.manifest"), builder.manifest().root_bytes())


@pytest.fixture
def slowly(servers):
    proxy = servers["seaweedfs"].proxy
    yield lambda: setattr(proxy, "latency_s", _ROUND_TRIP)
    proxy.latency_s = 0.0


def test_opening_many_shards_over_a_slow_network(copy, slowly, metadata):
    """With a root manifest the number of shards does not matter: two requests."""
    stored, count = copy(), 300
    put_copies(stored, count)
    for path in metadata.rglob("*"):
        if path.is_file():
            path.unlink()
    slowly()
    start = time.monotonic()
    reader = stored.open("many.tfrecord")
    assert len(reader) == count * _IN_A_SHARD
    assert time.monotonic() - start < 1
    stored.server.proxy.forget()
    start = time.monotonic()
    labels = reader.read(np.arange(0, len(reader), _IN_A_SHARD))["label"]  # of each shard one
    one_by_one = 2 * count * _ROUND_TRIP
    assert time.monotonic() - start < one_by_one / 2
    assert len(set(labels.tolist())) == 1
    assert stored.server.proxy.counts()["get"] == 2 * count


def test_listed_shards_are_asked_for_together(copy, slowly):
    stored, count = copy(), 60
    put_copies(stored, count)
    folder = stored.url.rpartition("/")[0]
    urls = [f"{folder}/many-{n:05d}-of-{count:05d}.tfrecord" for n in range(count)]
    stored.server.proxy.forget()
    reader = fastpack.open(urls, storage_options=stored.server.options)
    assert len(reader) == count * _IN_A_SHARD
    assert stored.server.proxy.counts()["head"] == 0
    assert stored.server.proxy.counts()["list"] == 1


def read_all(url, options, cache):
    import os

    os.environ["XDG_CACHE_HOME"] = cache
    reader = fastpack.open(url, storage_options=options, transform=None)
    batch = reader.read(range(len(reader)))
    return batch["label"].tolist(), [int(image.sum()) for image in batch["image"]]


def read_pickled(data):
    reader = pickle.loads(data)
    batch = reader.read(range(len(reader)))
    return batch["label"].tolist(), [int(image.sum()) for image in batch["image"]]


@pytest.mark.parametrize("companions", [True, False])
def test_ranks_share_local_metadata(copy, tmp_path, companions):
    stored = copy(companions=companions)
    if companions:
        stored.put_root_manifest()
    cache = tmp_path / "shared"
    arguments = stored.url, stored.server.options, str(cache)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawn) as ranks:
        found = [rank.result() for rank in [ranks.submit(read_all, *arguments) for _ in range(8)]]
    assert found[0][0] == stored.opened_locally().columns["label"][:].tolist()
    assert all(each == found[0] for each in found)
    names = [path.name for path in cache.rglob("*") if path.is_file()]
    assert len(names) == len(stored.shards) + 1
    assert not [name for name in names if name.endswith(".tmp")]


@pytest.mark.parametrize("save_index", [True, False])
@pytest.mark.parametrize("has_root", [True, False])
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_other_processes_read_a_pickled_dataset(copy, method, has_root, save_index):
    stored = copy()
    if has_root:
        stored.put_root_manifest()
    reader = stored.open(save_index=save_index)
    local = stored.opened_locally()
    expected = local.read(range(NUM_SAMPLES))["label"].tolist()
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as other:
        labels, _ = other.submit(read_pickled, pickle.dumps(reader)).result(timeout=60)
    assert labels == expected
