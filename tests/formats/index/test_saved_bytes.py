"""The bytes of a saved index: the same files give the same ones, whatever the code looks like."""

import os
import shutil
from zlib import crc32

import pytest

from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.index import Index, concatenate
from fastpack.formats.index.index_file import load_index, save_index
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
