"""HDF5 objects are indexed by their metadata, and blobs without a span are read through it."""

from functools import partial

import h5py
import numpy as np
import pytest

import fastpack
from fastpack.errors import StoreError
from tests.support.stores.faults import INTERNAL_ERROR, SLOW_DOWN, Rule

NUM_IMAGES = 600
random = np.random.default_rng(5)
PIXELS = random.integers(0, 255, (NUM_IMAGES, 64, 64, 3), dtype=np.uint8)  # 7 MB
LABELS = np.arange(NUM_IMAGES) % 7


def contiguous(file: h5py.File) -> None:
    file["images"] = PIXELS


def chunked(file: h5py.File) -> None:
    file.create_dataset("images", data=PIXELS, chunks=(8, 64, 64, 3))


def compressed(file: h5py.File) -> None:
    file.create_dataset("images", data=PIXELS, chunks=(8, 64, 64, 3), compression="gzip")


def by_the_library(file: h5py.File) -> None:
    """No kernel decodes lzf: the library reads each sample."""
    file.create_dataset("images", data=PIXELS, chunks=(8, 64, 64, 3), compression="lzf")


@pytest.mark.parametrize("write", [contiguous, chunked, compressed, by_the_library])
def test_indexing_reads_the_metadata_alone(servers, write, tmp_path):
    server, path = servers["seaweedfs"], tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        write(file)
        file["label"] = LABELS
        file.create_dataset("name", data=[f"name {n}" for n in range(NUM_IMAGES)])
    key = f"hdf5-{write.__name__}/x.h5"
    server.put(key, path.read_bytes())
    server.proxy.forget()
    reader = fastpack.open(f"{server.url}/{key}", storage_options=server.options, transform=None)
    assert len(reader) == NUM_IMAGES
    assert server.proxy.num_received() < path.stat().st_size / 4
    local = fastpack.open(path, transform=None)
    assert reader.schema == local.schema
    assert np.array_equal(reader.columns["label"], LABELS)
    assert list(reader.columns["name"]) == list(local.columns["name"])
    rows = [0, 1, 77, NUM_IMAGES - 1]
    assert np.array_equal(reader.read(rows)["image"], PIXELS[rows])


def test_rows_of_variable_length(servers, tmp_path, sets):
    server, path = servers["seaweedfs"], tmp_path / "x.h5"
    fastpack.convert(sets["tfrecord"], path, layout="vlen")
    key = "hdf5-vlen/x.h5"
    server.put(key, path.read_bytes())
    reader = fastpack.open(f"{server.url}/{key}", storage_options=server.options, transform=None)
    local = fastpack.open(path, transform=None)
    images, expected = (each.read(range(40))["image"] for each in (reader, local))
    for image, same in zip(images, expected, strict=True):
        assert np.array_equal(image, same)


@pytest.mark.parametrize("size", [None, 32])
def test_our_files_are_indexed_as_on_disk(servers, sets, tmp_path, size):
    """Reading compares their images with checksums; indexing does not."""
    server, path = servers["seaweedfs"], tmp_path / "x.h5"
    fastpack.pack(sets["images"], path, size=size)
    key = f"hdf5-own-{size}/x.h5"
    server.put(key, path.read_bytes())
    url = f"{server.url}/{key}"
    reader = fastpack.open(url, storage_options=server.options, transform=None)
    local = fastpack.open(path, transform=None)
    expected = local.read(range(len(local)))["image"]
    for image, same in zip(reader.read(range(len(local)))["image"], expected, strict=True):
        assert np.array_equal(image, same)
    span = local.index.spans["image"][3]
    data = bytearray(path.read_bytes())
    data[int(span["offset"]) + 200] ^= 1
    server.put(key, bytes(data))
    damaged = fastpack.open(url, storage_options=server.options, transform=None)
    with pytest.raises(fastpack.errors.CorruptRecordError, match="record 3"):
        damaged.read([3])
    damaged.read([0, 1, 2, 4])


def test_failures_while_the_library_reads(servers, tmp_path):
    server, path = servers["seaweedfs"], tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        contiguous(file)
        file["label"] = LABELS
    key = "hdf5-failures/x.h5"
    server.put(key, path.read_bytes())
    open_it = partial(fastpack.open, f"{server.url}/{key}", transform=None)
    server.proxy.rules.set(Rule(SLOW_DOWN, ("get",), key, count=2))
    assert len(open_it(storage_options=server.options, save_index=False)) == NUM_IMAGES
    server.proxy.rules.set(Rule(INTERNAL_ERROR, ("get",), key))
    with pytest.raises(StoreError, match="did not answer"):
        open_it(storage_options={**server.options, "deadline": 1}, save_index=False)
