"""JAX and Grain: memory, shardings, data sources."""

import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import fastpack
from fastpack.errors import OptionError, ShapeError
from fastpack.loading.loader import Loader

jax = pytest.importorskip("jax")

import fastpack.jax as fj  # noqa: E402

# The sources


def test_a_source(reader):
    source = fj.DataSource(reader, epoch=2)
    batch = reader.read([4, 0], epoch=2)
    assert len(source) == 26
    for sample, i in zip(source._getitems([4, 0]), range(2), strict=True):
        assert sample["key"] == batch["key"][i]
        assert (sample["image"] == batch["image"][i]).all()
    assert (source[4]["image"] == batch["image"][0]).all()
    assert repr(source) == f"DataSource({reader!r}, epoch=2)"


@pytest.mark.filterwarnings("ignore:samples are repeated:UserWarning")
def test_a_source_is_picklable_and_thread_safe(reader):
    source = pickle.loads(pickle.dumps(fj.DataSource(reader)))
    wanted, wrong = [reader[i]["image"] for i in range(26)], []

    def read(first):
        for i in range(first, first + 52):
            if (source[i % 26]["image"] != wanted[i % 26]).any():
                wrong.append(i)

    threads = [threading.Thread(target=read, args=(first,)) for first in (0, 7, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_source_gives_what_is_asked_for(broken):
    with pytest.raises(OptionError, match="raise"):
        fj.DataSource(broken.with_options(on_error="mask"))


@pytest.fixture
def grain():
    return pytest.importorskip("grain.python")


def test_grain_knows_a_source(reader, grain):
    assert isinstance(fj.DataSource(reader), grain.RandomAccessDataSource)


def test_grain_reads_batches_at_once(reader, grain, monkeypatch):
    source, reads = fj.DataSource(reader), []
    getitems = source._getitems
    monkeypatch.setattr(
        source, "_getitems", lambda rows: reads.append(list(rows)) or getitems(rows)
    )
    plain = grain.MapDataset.source(source).map(
        lambda sample: {"image": sample["image"], "label": sample["label"]}
    )
    batches = list(plain.batch(13))
    assert [batch["image"].shape for batch in batches] == [(13, 16, 12, 3)] * 2
    assert (
        np.concatenate([batch["label"] for batch in batches]).tolist()
        == reader.columns["label"].tolist()
    )
    assert sorted(sum(reads, [])) == list(range(26))


def test_grain_shuffles_and_resumes(reader, grain):
    epochs = [
        grain.MapDataset.source(fj.DataSource(reader, epoch=epoch)).shuffle(seed=epoch)
        for epoch in range(2)
    ]
    dataset = grain.MapDataset.concatenate(epochs).to_iter_dataset()
    samples = iter(dataset)
    before = [next(samples) for _ in range(30)]
    state = samples.get_state()
    rest = [sample["image"].tobytes() for sample in samples]
    resumed = iter(dataset)
    resumed.set_state(state)
    assert [sample["image"].tobytes() for sample in resumed] == rest
    assert len(before) + len(rest) == 52
    assert sorted(sample["key"] for sample in before[:26]) == list(reader.columns["key"])


def test_a_source_that_repeats_warns(reader, grain):
    dataset = grain.MapDataset.source(fj.DataSource(reader)).repeat(2)
    with pytest.warns(UserWarning, match="same random crops.*epoch="):
        list(dataset)
    plain = grain.MapDataset.source(
        fj.DataSource(reader.with_options(transform=fastpack.Resize(8)))
    ).repeat(2)
    source = fj.DataSource(reader)
    source[0]
    with warnings.catch_warnings(action="error"):
        assert len(list(plain)) == 52
        assert (
            len(list(grain.MapDataset.source(source))) == 26
        )  # one look at one before is no epoch


def test_grain_workers(reader, grain, tmp_path):
    """In a process of its own: Grain's worker processes start from the main module."""
    script = tmp_path / "script.py"
    script.write_text(f"""
import absl.flags, fastpack, fastpack.jax, grain.python as grain

def key_of(sample):
    return sample["key"]

if __name__ == "__main__":
    absl.flags.FLAGS(["script"])
    paths = {[str(shard.path) for shard in reader.index.shards]}
    source = fastpack.jax.DataSource(fastpack.open(paths, transform=fastpack.Resize(8)))
    loader = grain.DataLoader(
        data_source=source,
        sampler=grain.IndexSampler(
            len(source), shard_options=grain.NoSharding(), shuffle=True, num_epochs=1, seed=3
        ),
        operations=[grain.MapOperation(key_of)],
        worker_count=2,
    )
    for key in loader:
        print(key)
""")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert sorted(run.stdout.split()) == list(reader.columns["key"]), run.stderr


# The loader


def mesh():
    return jax.sharding.Mesh(np.array(jax.devices()), ("data",))


def test_batches_lie_as_the_sharding_says(reader):
    sharding = jax.sharding.NamedSharding(mesh(), jax.sharding.PartitionSpec("data"))
    fields = fastpack.open(
        [shard.path for shard in reader.index.shards],
        fields=["image", "label", "key"],
        transform=fastpack.Resize(8),
    )
    for got, batch in zip(
        fj.Loader(fields, batch_size=13, sharding=sharding),
        Loader(fields, batch_size=13),
        strict=True,
    ):
        for name in ("image", "label"):
            assert got[name].sharding == sharding
            assert (np.asarray(got[name]) == batch[name]).all()
        assert got["key"] == list(batch["key"])


def test_batches_go_into_compiled_functions(reader):
    mean = jax.jit(lambda images: images.astype("float32").mean())
    for got, batch in zip(
        fj.Loader(reader, batch_size=13), Loader(reader, batch_size=13), strict=True
    ):
        assert float(mean(got["image"])) == pytest.approx(batch["image"].mean(), rel=1e-5)


def test_images_of_differing_sizes(reader):
    several = reader.with_options(transform=None)
    batch = next(iter(fj.Loader(several, batch_size=4)))
    assert [image.shape for image in batch["image"]] == [
        (20, 24, 3),
        (21, 25, 3),
        (22, 26, 3),
        (23, 24, 3),
    ]
    sharding = jax.sharding.NamedSharding(mesh(), jax.sharding.PartitionSpec("data"))
    with pytest.raises(ShapeError, match="RandomResizedCrop"):
        next(iter(fj.Loader(several, sharding=sharding)))


def test_a_kept_array_outlives_the_batch(reader):
    """JAX may take the batch's memory for its own, which must not be written to while it lives."""
    large = reader.with_options(transform=fastpack.Resize(256))
    loader = fj.Loader(large, batch_size=13, prefetch=1)
    first = next(iter(loader))["image"]
    kept = np.array(first)
    for _ in range(6):
        list(loader)
    assert (np.asarray(first) == kept).all()


def test_several_devices(tmp_path, shards):
    """Four devices that the CPU plays, in a process of their own since JAX counts them once."""
    script = f"""
import jax, numpy as np
jax.config.update("jax_num_cpu_devices", 4)
import fastpack, fastpack.jax
mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
paths = {[str(path) for path in shards]}
dataset = fastpack.open(paths, fields=["image", "label"], transform=fastpack.Resize(8))
loader = fastpack.jax.Loader(dataset, batch_size=8, drop_last=True, sharding=sharding)
for batch in loader:
    shards = batch["label"].addressable_shards
    parts = sorted((shard.index[0].start, shard.data.tolist()) for shard in shards)
    print([labels for _, labels in parts])
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    labels = [number % 7 for number in range(26)]
    wanted = [
        [labels[first : first + 2] for first in range(step * 8, step * 8 + 8, 2)]
        for step in range(3)
    ]
    assert run.stdout.splitlines() == [str(parts) for parts in wanted], run.stderr
