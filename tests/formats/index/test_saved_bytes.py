"""The bytes of a saved index: the same files give the same ones, whatever the code looks like."""

import os
import shutil
from zlib import crc32

import pytest

from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.index import Index, concatenate
from fastpack.formats.index.index_file import load_index, save_index
from tests.support.paths import GOLDEN

# Recorded before the tables of an index had a protocol.
CHECKSUMS = {
    "v1.tfrecord": 0x7F287591,
    "v1-names.tfrecord": 0x19AA5D3C,
    "v1-encoded.h5": 0x8D7CC8B5,
    "v1-pixels.h5": 0x5C7171DE,
    "input": 0x7C4B8A84,
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
    save_index(index, folder / "saved.npz")
    return crc32((folder / "saved.npz").read_bytes())


@pytest.mark.parametrize("name", CHECKSUMS)
def test_a_saved_index_has_the_same_bytes(name, tmp_path):
    index = index_of(name, tmp_path)
    assert checksum(index, tmp_path) == CHECKSUMS[name]
    loaded = load_index(tmp_path / "saved.npz")
    assert checksum(concatenate([loaded]), tmp_path) == checksum(loaded, tmp_path)


def test_joined_indexes_are_saved_and_loaded(tmp_path):
    """Samples of a folder and of a file: names and times are those of the folder's."""
    joined = concatenate(
        [
            index_of("input", tmp_path).select({"image": "image", "key": "key"}),
            index_of("v1.tfrecord", tmp_path).select({"image": "image", "key": "key"}),
        ]
    )
    joined.save(tmp_path / "joined.npz")
    loaded = load_index(tmp_path / "joined.npz", tmp_path)
    assert loaded.files.times.tolist() == [SECOND] * 3 + [0] * 3
    assert loaded.spans["image"]["shard"].tolist() == [0] * 3 + [1] * 3
    assert list(loaded.columns["key"]) == list(joined.columns["key"])
