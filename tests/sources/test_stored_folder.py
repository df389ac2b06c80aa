"""A folder of images in a store is packed like the same folder on disk."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastpack
from fastpack.errors import (
    ChangedFileError,
    EmptySourceError,
    FastpackError,
    MissingFileError,
    OptionError,
)

fsspec = pytest.importorskip("fsspec")

IMAGE = fastpack.encode(np.full((8, 9, 3), 77, np.uint8), "png")
FOLDERS = st.sampled_from(["", "cat/", "dog/", "cat/inner/", ".hidden/", "Ünï çö/", "val/", "x y/"])
NAMES = st.sampled_from(
    ["1.png", "2.PNG", "3.jpg", "1.txt", "2.txt", "3.txt", "read.me", "Thumbs.db", "._4.png", "5"]
)
TREES = st.dictionaries(st.tuples(FOLDERS, NAMES).map("".join), st.integers(0, 3), max_size=14)


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def content(name: str, number: int) -> bytes:
    if name.lower().endswith((".png", ".jpg")):
        return fastpack.encode(np.full((8, 9 + number, 3), number, np.uint8), "png")
    return f"text {number}".encode()


def outcome(source, output: Path):
    """Return the bytes of the packed file and the warnings, or the error without its place."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        try:
            fastpack.pack(source, output, on_error="skip")
        except FastpackError as error:
            return type(error).__name__
    return output.read_bytes(), [str(note.message) for note in notes]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TREES)
def test_random_trees_are_packed_alike(memory, tmp_path, tree):
    here = tmp_path / "here"
    for folder in (here, tmp_path / "out"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    memory.store.clear()
    for name, number in tree.items():
        data = content(name, number)
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        memory.pipe_file(f"/set/images/{name}", data)
    mine = outcome(here, tmp_path / "out" / "a.tfrecord")
    stored = outcome("memory://set/images", tmp_path / "out" / "b.tfrecord")
    if not tree:
        assert stored in ("EmptySourceError", "MissingFileError")
    else:
        assert stored == mine


def test_a_replaced_object_is_noticed(memory, tmp_path):
    for i in range(3):
        memory.pipe_file(f"/set/a/{i}.png", IMAGE)
    source = fastpack.from_folder("memory://set/a")
    memory.pipe_file("/set/a/1.png", IMAGE + b"more")
    with pytest.raises(ChangedFileError, match="memory://set/a/1.png"):
        fastpack.pack(source, tmp_path / "x.tfrecord")
    assert not (tmp_path / "x.tfrecord").exists()


def test_an_object_that_was_deleted_is_named(memory, tmp_path):
    for i in range(3):
        memory.pipe_file(f"/set/a/{i}.png", IMAGE)
    source = fastpack.from_folder("memory://set/a")
    memory.rm_file("/set/a/2.png")
    with pytest.raises(MissingFileError, match="memory://set/a/2.png"):
        fastpack.pack(source, tmp_path / "x.tfrecord")


def test_folders_without_images(memory, tmp_path):
    memory.pipe_file("/set/a/readme.md", b"text")
    with pytest.raises(EmptySourceError, match="memory://set/a"):
        fastpack.from_folder("memory://set/a")
    with pytest.raises(MissingFileError, match="memory://set/none"):
        fastpack.from_folder("memory://set/none")
    memory.pipe_file("/set/list.csv", b"path\n1.png\n")
    with pytest.raises(OptionError, match=r"local disk.*memory://set/list.csv"):
        fastpack.pack("memory://set/list.csv", tmp_path / "x.tfrecord")
