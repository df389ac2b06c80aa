"""PyTorch: memory, datasets, and every way that its DataLoader can be set up."""

import itertools
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.utils.data import (  # noqa: E402
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    Subset,
    WeightedRandomSampler,
    random_split,
)

import fastpack  # noqa: E402
import fastpack.torch as ft  # noqa: E402
from fastpack.errors import OptionError  # noqa: E402
from fastpack.loading.loader import Loader  # noqa: E402
from tests.support.extent import num_examples  # noqa: E402

BATCH = 4
# (num_workers, start method, persistent): what a DataLoader can be given.
WORKERS = [(0, None, False), *itertools.product([2], ["fork", "spawn"], [False, True])]

# Those that need not start an interpreter for each epoch.
QUICK_WORKERS = [setup for setup in WORKERS if setup[1:] != ("spawn", False)]


def workers(num_workers, method, persistent):
    return {
        "num_workers": num_workers,
        "multiprocessing_context": method,
        "persistent_workers": persistent,
    }


def keys_of(batches):
    return [batch["key"] for batch in batches]


def expected(reader, epoch, **options):
    loader = Loader(reader, batch_size=BATCH, **options)
    loader.set_epoch(epoch)
    return list(loader)


def nchw(images):
    return np.moveaxis(images, -1, -3)


def assert_same(got, batch):
    assert (got["image"].numpy() == nchw(batch["image"])).all()
    assert got["label"].tolist() == batch["label"].tolist()
    assert got["key"] == list(batch["key"])


# Memory


def test_tensors_share_memory_with_the_batch(reader, monkeypatch):
    loader = ft.Loader(reader, batch_size=BATCH)
    batch = reader.read(range(BATCH))
    tensors = loader.convert(batch)
    assert tensors["image"].data_ptr() == batch["image"].ctypes.data
    assert tensors["label"].data_ptr() == batch["label"].ctypes.data
    batch["image"][0] = 7
    assert (tensors["image"][0] == 7).all()


def test_a_kept_tensor_outlives_the_batch(reader):
    large = reader.with_options(transform=fastpack.Resize(256))
    loader = ft.Loader(large, batch_size=13, prefetch=1)
    first = next(iter(loader))["image"][5]
    kept = first.clone()
    for _ in range(6):
        list(loader)
    assert (first == kept).all()


LAYOUTS = {
    "levels": [],
    "NHWC floats": [fastpack.Normalize((0, 0, 0), (1, 1, 1), layout="NHWC")],
    "NCHW floats": [fastpack.Normalize((0, 0, 0), (1, 1, 1), layout="NCHW")],
}


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_order_of_axes_is_a_view(reader, layout, channels_last):
    """Images are NCHW, or NHWC with channels_last, whatever the memory is."""
    steps = [fastpack.Resize((16, 12)), *LAYOUTS[layout]]
    loader = ft.Loader(reader, batch_size=BATCH, transform=steps, channels_last=channels_last)
    batch = loader._loader.replay(0, 0)
    image = loader.convert(batch)["image"]
    images = batch["image"] if layout == "NCHW floats" else nchw(batch["image"])
    assert image.shape == ((BATCH, 16, 12, 3) if channels_last else (BATCH, 3, 16, 12))
    assert image.data_ptr() == batch["image"].ctypes.data
    assert (image.numpy() == (np.moveaxis(images, -3, -1) if channels_last else images)).all()
    if not channels_last:
        is_contiguous = image.is_contiguous(memory_format=torch.channels_last)
        assert is_contiguous == (layout != "NCHW floats")


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_order_of_axes_of_images_of_different_sizes(reader, channels_last):
    plain = reader.with_options(transform=None)
    batch = ft.Loader(plain, batch_size=2, channels_last=channels_last).peek()
    sizes = [(20, 24, 3), (21, 25, 3)] if channels_last else [(3, 20, 24), (3, 21, 25)]
    assert [tuple(image.shape) for image in batch["image"]] == sizes
    sample = ft.Dataset(plain, channels_last=channels_last)[1]
    assert tuple(sample["image"].shape) == sizes[1]


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("NHWC", (4, 6, 8, 3), (3, 6, 8)),
        ("NCHW", (4, 3, 6, 8), (3, 6, 8)),
        ("NHW", (4, 6, 8), (6, 8)),
    ],
)
def test_the_order_of_axes_of_stored_pixels(tmp_path, axes, shape, expected):
    h5py = pytest.importorskip("h5py")
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    with h5py.File(tmp_path / "pixels.h5", "w") as file:
        file["X"] = pixels
    dataset = fastpack.open(tmp_path / "pixels.h5", axes={"X": axes})
    tensor = ft.Loader(dataset, batch_size=4).peek()["X"]
    assert tuple(tensor.shape) == (4, *expected)
    assert (tensor.numpy() == (nchw(pixels) if axes == "NHWC" else pixels)).all()
    resized = ft.Loader(dataset, batch_size=4, transform=fastpack.Resize(5)).peek()["X"]
    assert tuple(resized.shape) == (4, expected[0] if len(expected) == 3 else 1, 5, 5)


def test_pin_memory(reader):
    batch = next(iter(ft.Loader(reader, batch_size=BATCH, pin_memory=True)))
    assert batch["image"].is_pinned() == torch.accelerator.is_available()
    assert_same(batch, expected(reader, 0)[0])


# Map-style


def test_samples(reader):
    dataset = ft.Dataset(reader)
    sample = dataset[5]
    assert len(dataset) == 26
    assert (sample["image"].numpy() == nchw(reader[5]["image"])).all()
    assert (sample["label"], sample["key"], sample["weight"]) == (5, "pic/05.jpg", 0.625)
    assert sample["weight"].dtype == torch.float32
    assert sample["boxes"].tolist() == [0]
    with pytest.raises(IndexError):
        dataset[26]


def test_samples_of_several(reader):
    dataset = ft.Dataset(reader)
    together = dataset.__getitems__([7, 0, 7])
    assert [sample["key"] for sample in together] == ["pic/07.jpg", "pic/00.jpg", "pic/07.jpg"]
    for sample, row, epoch in zip(
        together, [7, 0, 7], [0, 0, 1], strict=True
    ):  # what comes twice gets two crops
        pixels = reader.read([row], epoch=epoch)["image"][0]
        assert (sample["image"].numpy() == nchw(pixels)).all()


def test_collate_copies_nothing(reader):
    samples = ft.Dataset(reader).__getitems__([1, 2, 3])
    assert ft.collate(samples)["image"].data_ptr() == samples[0]["image"].data_ptr()


def test_collate_of_single_samples(reader):
    dataset = ft.Dataset(reader)
    batch = ft.collate([dataset[i] for i in (2, 9)])
    assert (batch["image"].numpy() == nchw(reader.read([2, 9])["image"])).all()
    assert [boxes.tolist() for boxes in batch["boxes"]] == [[], [0, 1, 2]]
    assert batch["key"] == ["pic/02.jpg", "pic/09.jpg"]


@pytest.mark.parametrize("setup", WORKERS, ids=str)
def test_map_style_matrix(reader, setup):
    """Two epochs with crops of their own, in a DataLoader that persists."""
    dataset = ft.Dataset(reader)
    batches = DataLoader(dataset, batch_size=BATCH, collate_fn=ft.collate, **workers(*setup))
    for epoch in range(2):
        dataset.set_epoch(epoch)
        for got, batch in zip(batches, expected(reader, epoch), strict=True):
            assert_same(got, batch)
    del batches


def test_default_collate(reader):
    plain = fastpack.open(
        [shard.path for shard in reader.index.shards],
        fields=["image", "label", "key"],
        transform=fastpack.Resize(8),
    )
    for got, batch in zip(
        DataLoader(ft.Dataset(plain), batch_size=BATCH),
        Loader(plain, batch_size=BATCH),
        strict=True,
    ):
        assert_same(got, batch)


def test_distributed_sampler(reader):
    dataset, delivered = ft.Dataset(reader), []
    for rank in range(2):
        sampler = DistributedSampler(dataset, num_replicas=2, rank=rank, seed=3)
        sampler.set_epoch(1)
        dataset.set_epoch(1)
        delivered += sum(
            keys_of(DataLoader(dataset, batch_size=BATCH, sampler=sampler, collate_fn=ft.collate)),
            [],
        )
    assert sorted(delivered) == list(reader.columns["key"])


def test_other_datasets_on_top(reader):
    dataset = ft.Dataset(reader)
    subset = DataLoader(Subset(dataset, [3, 1, 20]), batch_size=2, collate_fn=ft.collate)
    assert keys_of(subset) == [["pic/03.jpg", "pic/01.jpg"], ["pic/20.jpg"]]
    both = DataLoader(ConcatDataset([dataset, dataset]), batch_size=26, collate_fn=ft.collate)
    assert keys_of(both) == [list(reader.columns["key"])] * 2


# Libraries on top of the adapter


class WithLength(ft.Dataset):
    """Adds something to each sample."""

    def __getitem__(self, i):
        sample = super().__getitem__(i)
        return {
            "image": sample["image"],
            "label": int(sample["label"]),
            "length": len(sample["key"]),
            "row": i,
        }


class WithRows(ft.Dataset):
    """Adds something to each batch."""

    def __getitems__(self, rows):
        return [
            {"image": sample["image"], "row": row}
            for sample, row in zip(super().__getitems__(rows), rows, strict=True)
        ]


class WithBoth(WithLength):
    def __getitems__(self, rows):
        return [sample | {"batch": len(rows)} for sample in super().__getitems__(rows)]


@pytest.mark.parametrize("setup", [(0, None, False), (2, "fork", False)], ids=str)
@pytest.mark.parametrize("collate", [ft.collate, None], ids=["ours", "default"])
@pytest.mark.parametrize("kind", [WithLength, WithRows, WithBoth])
def test_methods_of_subclasses_are_called(reader, setup, collate, kind):
    samples = kind(reader)
    batches = DataLoader(
        samples, batch_size=BATCH, **({"collate_fn": collate} if collate else {}), **workers(*setup)
    )
    for _ in range(2):
        came = list(batches)
        assert [row for batch in came for row in list(batch["row"])] == list(range(26))
        assert (
            [set(batch) for batch in came] == [set(samples[0])] * 7
            if kind is not WithBoth
            else "batch" in came[0]
        )
    assert samples[5]["row"] == 5
    del batches


def test_parts_of_subclasses(reader):
    samples = WithLength(reader)
    first, second = random_split(samples, [20, 6])
    sampler = WeightedRandomSampler([1.0] * 26, 40)
    for data, count in [
        (Subset(samples, [3, 1, 20]), 3),
        (first, 20),
        (second, 6),
        (ConcatDataset([samples, second]), 32),
    ]:
        rows = [
            row
            for batch in DataLoader(data, batch_size=4, shuffle=True)
            for row in batch["row"].tolist()
        ]
        assert len(rows) == len(data) == count
    assert (
        sum(len(batch["row"]) for batch in DataLoader(samples, batch_size=4, sampler=sampler)) == 40
    )
    by_batch = BatchSampler(RandomSampler(samples), 5, drop_last=True)
    assert [len(batch["row"]) for batch in DataLoader(samples, batch_sampler=by_batch)] == [5] * 5
    assert DataLoader(samples, batch_size=None)  # and samples one by one
    assert sum(1 for _ in DataLoader(samples, batch_size=None)) == 26


def test_chained_iterables(reader):
    parts = [
        ft.IterableDataset(reader[:10], batch_size=BATCH),
        ft.IterableDataset(reader[10:], batch_size=BATCH),
    ]
    batches = DataLoader(ChainDataset(parts), batch_size=None)
    assert sum(keys_of(batches), []) == list(reader.columns["key"])
    assert len(batches) == 7


# Epochs without set_epoch


@pytest.mark.parametrize("setup", QUICK_WORKERS, ids=str)
def test_each_time_a_sample_gets_other_crops(reader, setup):
    samples = ft.Dataset(reader)
    batches = DataLoader(samples, batch_size=BATCH, collate_fn=ft.collate, **workers(*setup))
    for epoch in range(3):
        for got, batch in zip(batches, expected(reader, epoch), strict=True):
            assert_same(got, batch)
    samples.set_epoch(7)
    for epoch in (7, 8):
        for got, batch in zip(batches, expected(reader, epoch), strict=True):
            assert_same(got, batch)
    del batches


def test_samples_without_random_transforms_are_not_counted(reader):
    assert ft.Dataset(reader.with_options(transform=fastpack.Resize(8)))._reads is None


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=num_examples(100))
def test_reads_are_counted_for_groups_of_samples(num_samples, max_counters, seed):
    """The order within an epoch, and how it is cut into batches, do not matter."""
    random = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ft, "_MAX_COUNTERS", max_counters)
        reads = ft._Reads(num_samples)
    for epoch in range(3):
        rows = random.permutation(num_samples)
        for batch in np.array_split(rows, random.integers(1, 5)):
            assert (reads.count(batch) == epoch).all()
    reads.clear()
    assert reads.count(np.array([-1])).tolist() == [0]


@given(st.lists(st.lists(st.integers(0, 5), max_size=7), max_size=7))
@settings(max_examples=num_examples(100))
def test_reads_of_few_samples_are_counted_one_by_one(batches):
    reads, counts = ft._Reads(6), [0] * 6
    for rows in batches:
        found = reads.count(np.array(rows, np.int64)).tolist()
        for row, times in zip(rows, found, strict=True):
            assert times == counts[row]
            counts[row] += 1


def test_counters_of_reads_have_a_limit():
    reads = ft._Reads(10**12)
    assert reads._counters.numbers.nbytes <= 2**24
    assert len(pickle.dumps(reads)) < 1000
    assert reads.count(np.array([0, 10**12 - 1, 5 * 10**11])).tolist() == [0, 0, 0]


@pytest.mark.filterwarnings("ignore:these workers are new:UserWarning")
@pytest.mark.parametrize("setup", QUICK_WORKERS, ids=str)
def test_each_iteration_is_the_next_epoch(reader, setup):
    """Workers that are new in each epoch warn."""
    dataset = ft.IterableDataset(reader, batch_size=BATCH, shuffle=2)
    batches = DataLoader(dataset, batch_size=None, **workers(*setup))
    is_new = setup[0] > 0 and not setup[2]
    for first in (0, 5):
        dataset.set_epoch(first)
        for epoch in range(first, first + 3):
            for got, batch in zip(
                batches, expected(reader, first if is_new else epoch, shuffle=2), strict=True
            ):
                assert_same(got, batch)
    del batches


REPEATING = """
import sys, warnings
import fastpack, fastpack.torch
from torch.utils.data import DataLoader

if __name__ == "__main__":
    reader, shuffle = fastpack.open(sys.argv[1], fields=["label"]), eval(sys.argv[2])
    dataset = fastpack.torch.IterableDataset(reader, batch_size=4, shuffle=shuffle)
    batches = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="fork")
    for epoch in range(2):
        if sys.argv[3] == "set":
            dataset.set_epoch(epoch)
        list(batches)
"""


@pytest.mark.parametrize(
    ("shuffle", "sets", "warns"), [("1", "not", True), ("1", "set", False), ("None", "not", False)]
)
def test_workers_that_repeat_an_epoch_warn(shards, shuffle, sets, warns):
    run = subprocess.run(
        [sys.executable, "-c", REPEATING, shards[0], shuffle, sets], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("repeat epoch 0") == warns


@pytest.mark.parametrize("junk", [-1, 1.5, "1", None, True])
@pytest.mark.parametrize(
    "make",
    [ft.Dataset, ft.IterableDataset, ft.Loader],
    ids=["Dataset", "IterableDataset", "Loader"],
)
def test_epochs_that_are_none(reader, make, junk):
    with pytest.raises(fastpack.FastpackError, match="epoch must be an integer"):
        make(reader).set_epoch(junk)


def test_what_loops_ask_of_a_loader(reader):
    loader = ft.Loader(reader, batch_size=BATCH)
    assert (len(loader.dataset), loader.batch_size, len(loader)) == (26, BATCH, 7)


@pytest.mark.parametrize(
    "make",
    [ft.Dataset, ft.IterableDataset, ft.Loader],
    ids=["Dataset", "IterableDataset", "Loader"],
)
def test_picklable(reader, make):
    made = make(reader)
    copy = pickle.loads(pickle.dumps(made))
    copy.set_epoch(3)
    made.set_epoch(4)
    assert len(copy) == len(made)
    first, second = (
        next(iter(each)) if make is not ft.Dataset else each[0] for each in (copy, made)
    )
    assert not torch.equal(first["image"], second["image"])  # each its own epoch


def test_bad_images(broken):
    dataset = ft.Dataset(broken.with_options(on_error="mask"))
    batch = next(iter(DataLoader(dataset, batch_size=5, collate_fn=ft.collate)))
    assert batch["mask"].tolist() == [True, True, True, False, True]
    assert "pic/03.jpg" in batch["failures"][0]
    assert not dataset[3]["mask"]
    with pytest.raises(OptionError, match="mask"):
        ft.Dataset(broken.with_options(on_error="skip"))


# Iterable


@pytest.mark.parametrize("setup", WORKERS, ids=str)
def test_iterable_matrix(reader, setup):
    """However many workers: the loader's batches in the loader's order, each once."""
    dataset = ft.IterableDataset(reader, batch_size=BATCH, shuffle=2)
    batches = DataLoader(dataset, batch_size=None, **workers(*setup))
    for epoch in range(2):
        dataset.set_epoch(epoch)
        assert len(batches) == 7
        for got, batch in zip(batches, expected(reader, epoch, shuffle=2), strict=True):
            assert_same(got, batch)
    del batches


@pytest.mark.filterwarnings("ignore:This DataLoader will create .* worker processes:UserWarning")
@pytest.mark.filterwarnings("ignore:these workers are new:UserWarning")
@pytest.mark.parametrize("num_workers", [3, 9])
def test_workers_share_a_ranks_part(reader, num_workers):
    """9 workers are more than there are batches."""
    delivered = []
    for rank in range(2):
        dataset = ft.IterableDataset(reader, batch_size=2, shuffle=2, rank=rank, world=2)
        batches = DataLoader(dataset, batch_size=None, num_workers=num_workers)
        assert keys_of(batches) == keys_of(
            ft.Loader(reader, batch_size=2, shuffle=2, rank=rank, world=2)
        )
        delivered += sum(keys_of(batches), [])
    assert sorted(delivered) == list(reader.columns["key"])


@pytest.mark.parametrize(
    ("cores", "num_workers", "asked", "threads"), [(16, 4, None, 4), (2, 8, None, 1), (16, 4, 3, 3)]
)
def test_workers_share_the_cores(reader, monkeypatch, cores, num_workers, asked, threads):
    """Eight workers with a thread for each of sixteen cores would be in each other's way."""
    monkeypatch.setattr(ft, "num_cores", lambda: cores)
    monkeypatch.setattr(
        ft.data, "get_worker_info", lambda: SimpleNamespace(id=1, num_workers=num_workers)
    )
    asking = reader.with_options(num_workers=asked)
    assert ft.Dataset(asking)._reader_here().options.num_workers == threads
    assert iter(ft.IterableDataset(asking))._loader._loader.dataset.options.num_workers == threads


def test_an_error_in_a_worker_names_the_record(broken):
    dataset = ft.IterableDataset(broken, batch_size=BATCH)
    with pytest.raises(Exception, match=r"record 3.*pic/03\.jpg"):
        list(DataLoader(dataset, batch_size=None, num_workers=1))


# torchdata


def stateful(dataset, setup, **options):
    loaders = pytest.importorskip("torchdata.stateful_dataloader")
    return loaders.StatefulDataLoader(dataset, **options, **workers(*setup))


MAKERS = {
    "map": lambda reader, setup: stateful(
        ft.Dataset(reader), setup, batch_size=BATCH, collate_fn=ft.collate
    ),
    "iterable": lambda reader, setup: stateful(
        ft.IterableDataset(reader, batch_size=BATCH, shuffle=2), setup, batch_size=None
    ),
}


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")  # torchdata calls it
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(
    ("setup", "taken"),
    [*((setup, 3) for setup in WORKERS), ((2, "fork", False), 0), ((2, "fork", False), 6)],
    ids=str,
)
def test_stateful_matrix(reader, kind, setup, taken):
    shuffle = {"map": None, "iterable": 2}[kind]
    first = MAKERS[kind](reader, setup)
    first.dataset.set_epoch(1)
    batches = iter(first)
    for _ in range(taken):
        next(batches)
    state = pickle.loads(pickle.dumps(first.state_dict()))
    second = MAKERS[kind](reader, setup)
    second.dataset.set_epoch(1)
    second.load_state_dict(state)
    for got, batch in zip(second, expected(reader, 1, shuffle=shuffle)[taken:], strict=True):
        assert_same(got, batch)
    second.dataset.set_epoch(2)  # and goes on with whole epochs
    for got, batch in zip(second, expected(reader, 2, shuffle=shuffle), strict=True):
        assert_same(got, batch)
    del batches, first, second


def test_a_state_of_another_dataset(reader):
    batches = ft.IterableDataset(reader, batch_size=BATCH)
    state = iter(batches).state_dict()
    with pytest.raises(fastpack.FastpackError):
        iter(ft.IterableDataset(reader[:9], batch_size=BATCH)).load_state_dict(state)


def test_numbers_are_shared_with_forked_workers_after_a_plain_copy(reader):
    dataset = pickle.loads(pickle.dumps(ft.IterableDataset(reader, batch_size=13)))
    batches = DataLoader(
        dataset,
        batch_size=None,
        num_workers=1,
        persistent_workers=True,
        multiprocessing_context="fork",
    )
    images = []
    for epoch in range(2):
        dataset.set_epoch(epoch)
        images.append(torch.cat([batch["image"] for batch in batches]).numpy())
    for epoch, pixels in enumerate(images):
        assert (pixels == nchw(reader.read(np.arange(26), epoch=epoch)["image"])).all()


def test_slices_and_lists_of_indices(digits):
    dataset = fastpack.torch.Dataset(fastpack.open(digits))
    assert [int(sample["label"]) for sample in dataset[2:5]] == [2, 3, 4]
    sampler = torch.utils.data.BatchSampler(range(10), 4, drop_last=False)
    batches = torch.utils.data.DataLoader(dataset, sampler=sampler, batch_size=None)
    assert [batch["label"].tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_list_of_indices_is_a_batch(reader):
    batch = ft.Dataset(reader)[[3, 1]]
    assert batch["key"] == ["pic/03.jpg", "pic/01.jpg"]
    assert tuple(batch["image"].shape) == (2, 3, 16, 12)


@pytest.mark.parametrize("make", [ft.Dataset, ft.IterableDataset, ft.Loader])
def test_reprs_describe_the_dataset(reader, make):
    text = repr(make(reader))
    assert text.startswith(f"fastpack.torch.{make.__name__}(")
    assert "26 samples" in text if make is ft.Dataset else "batches of 256 samples" in text
