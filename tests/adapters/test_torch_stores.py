"""PyTorch with datasets in stores: each worker makes its own client, however it is started."""

import itertools
import pickle

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("obstore", reason="pip install obstore")

from torch.utils.data import DataLoader  # noqa: E402

import fastpack  # noqa: E402
import fastpack.torch as ft  # noqa: E402
from fastpack import HorizontalFlip, RandomResizedCrop, Shuffle  # noqa: E402

BATCH = 4
METHODS = ["fork", "spawn"]


@pytest.fixture
def sets(shards, servers, tmp_path, monkeypatch):
    """The same samples on disk and in a store; the parent has used the client."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "indexes"))
    server = servers["seaweedfs"]
    for path in shards:
        server.put(f"{tmp_path.name}/{path.name}", path.read_bytes())

    def opened(where, **options):
        transform = [RandomResizedCrop((16, 12)), HorizontalFlip()]
        return fastpack.open(where, transform=transform, seed=5, **options)

    options = {"storage_options": server.options}
    url = f"{server.url}/{tmp_path.name}/*.tfrecord"
    cache = {"cache": tmp_path / "cache", "cache_size": "20MB"}
    remote = {"plain": opened(url, **options), "cached": opened(url, **options, **cache)}
    for reader in remote.values():
        reader.read([0, 13])
    return opened(shards), remote


def assert_same(batches, wanted):
    for batch, expected in itertools.zip_longest(batches, wanted):
        assert (batch["image"] == expected["image"]).all()
        assert batch["label"].tolist() == expected["label"].tolist()
        assert batch["key"] == expected["key"]


@pytest.mark.parametrize("kind", ["plain", "cached"])
@pytest.mark.parametrize("method", METHODS)
def test_map_style_workers(sets, method, kind):
    local, remote = sets

    def batches(reader, **workers):
        dataset = ft.Dataset(reader)
        loader = DataLoader(
            dataset, BATCH, collate_fn=ft.collate, pin_memory=torch.cuda.is_available(), **workers
        )
        return [batch for _ in range(2) for batch in loader]

    workers = {"num_workers": 2, "multiprocessing_context": method, "persistent_workers": True}
    assert_same(batches(remote[kind], **workers), batches(local))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shuffle", [3, Shuffle(1, block=4000, window=3)])
def test_iterable_workers_beside_a_loader_that_reads_ahead(sets, method, shuffle):
    local, remote = sets
    busy = iter(fastpack.Loader(remote["plain"], batch_size=1, prefetch=4))
    next(busy)  # its threads read while the workers are forked
    options = {"batch_size": BATCH, "shuffle": shuffle}

    def batches(reader, **workers):
        loader = DataLoader(ft.IterableDataset(reader, **options), batch_size=None, **workers)
        return [batch for _ in range(2) for batch in loader]

    workers = {"num_workers": 2, "multiprocessing_context": method, "persistent_workers": True}
    assert_same(batches(remote["plain"], **workers), batches(local))
    assert len(list(busy)) == len(local) - 1


@pytest.mark.parametrize("kind", ["plain", "cached"])
def test_loader(sets, kind):
    local, remote = sets
    options = {"batch_size": BATCH, "shuffle": 3, "pin_memory": True}
    loader, reference = ft.Loader(remote[kind], **options), ft.Loader(local, **options)
    for _ in range(2):
        assert_same(loader, reference)


def test_a_pickled_reader(sets):
    local, remote = sets
    for reader in remote.values():
        again = pickle.loads(pickle.dumps(reader))
        assert_same(
            [ft.Loader(again, batch_size=26).peek()], [ft.Loader(local, batch_size=26).peek()]
        )
        assert "secret" not in repr(again)
