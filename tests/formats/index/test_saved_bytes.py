"""The bytes of a saved index: the same files give the same ones, whatever the code looks like."""

import os
import shutil
from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest

import fastpack
from fastpack.files.companions import index_path, manifest_path
from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.index import Index, concatenate
from fastpack.formats.index.index_file import load_index, save_index
from tests.support.images import read_pillow
from tests.support.indexed_files import IMAGES, PIXELS
from tests.support.paths import GOLDEN

# Of version 2 of saved indexes.
CHECKSUMS = {
    "v1.tfrecord": 0xAA086251,
    "v1-names.tfrecord": 0xC6D21ED6,
    "v1-encoded.h5": 0x591861CB,
    "v1-pixels.h5": 0xFC4E0D19,
    "input": 0x2CDDEA8B,
}
SECOND = 10**9


def index_of(name, folder) -> Index:
    """Return the index of a copy of a golden file, of a fixed time."""
    path = folder / name
    if (GOLDEN / name).is_dir():
        shutil.copytree(GOLDEN / name, path)
    else:
        shutil.copy(GOLDEN / name, path)
    for each in [path, *path.rglob("*")]:
        os.utime(each, ns=(SECOND, SECOND))
    return FileIndex(path).index(save=False)


def checksum(index, folder) -> int:
    save_index(index, folder / "saved")
    return crc32((folder / "saved").read_bytes())


@pytest.mark.parametrize("name", CHECKSUMS)
def test_a_saved_index_has_the_same_bytes(name, tmp_path):
    index = index_of(name, tmp_path)
    assert checksum(index, tmp_path) == CHECKSUMS[name]
    loaded = load_index(tmp_path / "saved", tmp_path)
    assert checksum(concatenate([loaded]), tmp_path) == checksum(loaded, tmp_path)


def test_joined_indexes_are_saved_and_loaded(tmp_path):
    """Samples of a folder and of a file: names and times are those of the folder's."""
    joined = concatenate(
        [
            index_of("input", tmp_path).select({"image": "image", "key": "key"}),
            index_of("v1.tfrecord", tmp_path).select({"image": "image", "key": "key"}),
        ]
    )
    save_index(joined, tmp_path / "joined")
    loaded = load_index(tmp_path / "joined", tmp_path)
    assert loaded.files.times.tolist() == [SECOND] * 3 + [0] * 3
    assert loaded.spans["image"]["shard"].tolist() == [0] * 3 + [1] * 3
    assert list(loaded.columns["key"]) == list(joined.columns["key"])


# Files of this version, which later versions must read.


@pytest.fixture
def present(tmp_path):
    """A copy of a set of two TFRecords with its manifest, and of an HDF5 file with chunks."""
    shutil.copytree(GOLDEN / "present", tmp_path, dirs_exist_ok=True)
    for path in tmp_path.iterdir():
        os.utime(path, ns=(SECOND, SECOND))
    return tmp_path


@pytest.mark.parametrize("name", ["x.h5", "set-00000-of-00002.tfrecord"])
def test_golden_indexes_are_read_and_saved_alike(present, name):
    path = present / name
    index = load_index(index_path(path))
    assert "image" in index.chunks or index.seek_points["image"]
    assert FileIndex(path).open_saved() is not None
    again = FileIndex(path).build(None)
    save_index(replace(again, seek_points=index.seek_points), present / "again")
    assert (present / "again").read_bytes() == index_path(path).read_bytes()


def test_a_golden_manifest_is_read_and_saved_alike(present, monkeypatch):
    output = present / "set.tfrecord"
    saved = manifest_path(output).read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(FileIndex, "open", lambda *_, **__: pytest.fail("an index was opened"))
        batch = fastpack.open(output).read(range(8))
    assert batch["label"].tolist() == [0, 1, 2, 3] * 2
    assert all(map(np.array_equal, batch["image"], [*map(read_pillow, IMAGES)] * 2))
    manifest_path(output).unlink()
    fastpack.open(output)
    assert manifest_path(output).read_bytes() == saved


def test_golden_chunks_are_read(present):
    batch = fastpack.open(present / "x.h5").read([3, 0])
    assert (batch["image"] == PIXELS[[3, 0]]).all()
