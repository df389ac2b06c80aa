"""Block shuffles from a server: few requests, as many as the plan says, and the same samples."""

import itertools

import numpy as np
import pytest

import fastpack
from fastpack import Loader, Shuffle
from fastpack.inspection.epoch_cost import epoch_cost
from fastpack.loading import LoaderOptions
from tests.support.samples import numbered_shard

NUM_SAMPLES, NUM_SHARDS = 800, 3
BLOCKS = Shuffle(3, block="1MiB", window=8)


@pytest.fixture
def sets(reach, tmp_path, monkeypatch):
    """The same samples on disk and in a store, and the server."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    reached, random = reach("seaweedfs"), np.random.default_rng(0)
    blobs = [random.bytes(int(size)) for size in random.integers(10_000, 60_000, NUM_SAMPLES)]
    folder = tmp_path / "set"
    folder.mkdir()
    for number, first in enumerate(range(0, NUM_SAMPLES, NUM_SAMPLES // NUM_SHARDS + 1)):
        path = folder / f"{number}.tfrecord"
        numbered_shard(path, blobs[first : first + NUM_SAMPLES // NUM_SHARDS + 1], first)
        reached.put(path.name, path.read_bytes())
    options = {"kinds": {"image": "bytes"}}
    url = f"{reached.server.url}/{reached.prefix}/*.tfrecord"
    remote = fastpack.open(url, storage_options=reached.server.options, **options)
    return fastpack.open(folder / "*.tfrecord", **options), remote, reached.server


@pytest.mark.parametrize("world", [1, 4])
def test_requests_are_those_of_the_plan(sets, world):
    local, remote, server = sets
    labels, costs = [], []
    server.proxy.forget()
    for rank in range(world):
        options = LoaderOptions(16, BLOCKS, rank=rank, world=world)
        for came, wanted in zip(Loader(remote, options), Loader(local, options), strict=True):
            assert came["label"].tolist() == wanted["label"].tolist()
            assert [*map(bytes, came["image"])] == [*map(bytes, wanted["image"])]
            labels += came["label"].tolist()
        costs.append(epoch_cost(remote, options))
    assert sorted(labels) == list(range(NUM_SAMPLES))
    num_requests = sum(cost.num_requests for cost in costs)
    assert server.proxy.counts() == {"get": num_requests}
    assert num_requests < (NUM_SAMPLES // 8 if world == 1 else NUM_SAMPLES // 4)
    # Steps do not end with rows here, so ranks share some of their few blocks.
    assert sum(cost.num_bytes for cost in costs) < 1.5 * remote.num_bytes


def test_a_state_goes_on_in_the_middle_of_a_window(sets):
    local, remote, _ = sets
    loader = Loader(remote, batch_size=16, shuffle=BLOCKS)
    came = [batch["label"] for batch in itertools.islice(loader, 9)]
    resumed = Loader(remote, batch_size=50, shuffle=BLOCKS)
    resumed.load_state_dict(loader.state_dict())
    came += [batch["label"] for batch in resumed]
    wanted = BLOCKS.order(local).samples_at(0, np.arange(NUM_SAMPLES)).samples
    assert np.concatenate(came).tolist() == wanted.tolist()
