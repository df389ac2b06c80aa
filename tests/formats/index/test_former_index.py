"""Indexes of earlier versions, `NAME.index.npz`, are read and saved in the present form."""

import os
import shutil

import numpy as np
import pytest

import fastpack
from fastpack.errors import FastpackError
from fastpack.files.companions import former_index_path, index_path
from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.index_file import load_index
from fastpack.images.batch import Batch
from tests.support.images import read_pillow
from tests.support.indexed_files import FORMER, IMAGES, PIXELS


def assert_content(batch: Batch, kind: str) -> None:
    expected = [read_pillow(image) for image in IMAGES] if kind == "tfrecord" else list(PIXELS)
    assert all(map(np.array_equal, batch["image"], expected))
    assert batch["label"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", FORMER)
def test_it_is_read_and_saved_again(tmp_path, monkeypatch, kind):
    path = FORMER[kind](tmp_path)
    container = type(FileIndex(path).container)
    monkeypatch.setattr(container, "index", lambda *_, **__: pytest.fail("it was indexed again"))
    reader = fastpack.open(path)
    assert_content(reader.read(range(4)), kind)
    assert index_path(path).exists()
    former = load_index(former_index_path(path))
    present = load_index(index_path(path))
    assert present.to_tables().keys() == former.to_tables().keys()
    for name, columns in former.to_tables().items():
        for column, values in columns.items():
            assert np.array_equal(present.to_tables()[name][column], values), (name, column)
    former_index_path(path).unlink()
    assert_content(fastpack.open(path).read(range(4)), kind)


@pytest.mark.parametrize("kind", FORMER)
def test_it_is_read_where_nothing_can_be_saved(tmp_path, kind):
    path = FORMER[kind](tmp_path)
    assert_content(fastpack.open(path, save_index=False).read(range(4)), kind)
    assert not index_path(path).exists()


def test_a_stale_one_is_not_used(tmp_path):
    path = FORMER["tfrecord"](tmp_path)
    os.utime(path)
    assert len(fastpack.open(path)) == 4
    assert index_path(path).exists()
    assert fastpack.verify(path).is_sound


def test_a_present_one_comes_first(tmp_path):
    path = FORMER["tfrecord"](tmp_path)
    fastpack.open(path)
    former_index_path(path).write_bytes(b"damaged")
    assert len(fastpack.open(path)) == 4


def test_an_index_dir(tmp_path):
    path, indexes = FORMER["tfrecord"](tmp_path), tmp_path / "indexes"
    indexes.mkdir()
    shutil.move(former_index_path(path), former_index_path(path, indexes))
    assert len(fastpack.open(path, index_dir=indexes)) == 4
    assert index_path(path, indexes).exists()


def test_a_pack_that_replaces_the_set_removes_it(tmp_path):
    path = FORMER["tfrecord"](tmp_path)
    fastpack.pack(fastpack.open(path, decode=False), path, overwrite=True)
    assert not former_index_path(path).exists()
    assert len(fastpack.open(path)) == 4


def test_a_folder_in_its_place(tmp_path):
    path = FORMER["tfrecord"](tmp_path)
    former_index_path(path).unlink()
    former_index_path(path).mkdir()
    assert len(fastpack.open(path)) == 4
    with pytest.raises(FastpackError, match=former_index_path(path).name):
        load_index(former_index_path(path))
