"""A file is recognized once, however many steps its indexing has."""

import builtins
import os

import h5py
import pytest

import fastpack
from fastpack.errors import MissingFileError
from fastpack.files.companions import index_path
from fastpack.formats import registry
from fastpack.formats.file_index import FileIndex
from fastpack.formats.indexing import build_indexes
from fastpack.sources import ImageFiles
from tests.support.samples import two_classes
from tests.support.wire import bytes_list, entry, example, frame

# Once to recognize the file and once to index it. HDF5's library opens it by itself; the checks of
# its images read around the library.
OPENS = {"tfrecord": 2, "tar": 2, "hdf5": 3}


@pytest.fixture
def opens(monkeypatch):
    """Count how often each file is opened by Python, the OS module or HDF5's library."""
    counts = {}

    def counting(opener):
        def count(path, *args, **kwargs):
            if not isinstance(path, int):
                name = os.path.basename(os.fsdecode(path))
                counts[name] = counts.get(name, 0) + 1
            return opener(path, *args, **kwargs)

        return count

    monkeypatch.setattr(builtins, "open", counting(open))
    monkeypatch.setattr(os, "open", counting(os.open))
    monkeypatch.setattr(h5py.h5f, "open", counting(h5py.h5f.open))
    return counts


def packed(folder, name):
    path = folder / f"x{registry.named(name).suffixes[0]}"
    return fastpack.pack(ImageFiles(two_classes(folder), range(6)), path).paths[0]


@pytest.mark.parametrize("name", registry.NAMES)
@pytest.mark.parametrize("index", [fastpack.open, build_indexes], ids=["open", "index"])
def test_a_file_without_an_index_is_recognized_once(name, index, tmp_path, opens):
    path = packed(tmp_path, name)
    index_path(path).unlink()
    opens.clear()
    index(path)
    assert opens[path.name] == OPENS[name]
    assert index_path(path).exists()


@pytest.mark.parametrize("name", registry.NAMES)
def test_a_file_with_a_fresh_index_is_opened_once(name, tmp_path, opens):
    """It is compared with its index, which knows the format."""
    path = packed(tmp_path, name)
    opens.clear()
    fastpack.open(path)
    assert opens[path.name] == 1


def test_a_file_is_recognized_when_it_is_needed(tmp_path):
    file = FileIndex(tmp_path / "x.h5")
    assert file.earlier() is None
    with pytest.raises(MissingFileError):
        file.index()


def test_an_empty_file_beside_files_of_other_kinds(tmp_path):
    """The empty file has no index, so the others must not take its place."""
    (tmp_path / "a.tfrecord").write_bytes(b"")
    for name, value in (("b", b"\xff\xfe"), ("c", b"text")):
        record = frame(example(entry(b"x", bytes_list(value))))
        (tmp_path / f"{name}.tfrecord").write_bytes(record)
    for _ in range(2):
        dataset = fastpack.open(tmp_path)
        assert dataset.schema["x"].kind == "bytes"
        assert [dataset[row]["x"] for row in range(2)] == [b"\xff\xfe", b"text"]
    assert build_indexes(tmp_path, rebuild=True).num_samples == 2


def test_endings_of_names_are_those_of_the_containers():
    endings = [ending for name in registry.NAMES for ending in registry.named(name).suffixes]
    assert sorted(endings) == sorted(registry.PACKED_SUFFIXES)
