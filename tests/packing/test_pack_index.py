"""The index that a pack saves equals the index that the container makes of the file."""

import tempfile
from pathlib import Path
from unittest.mock import patch

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastpack import Batch, PackOptions, encode, pack
from fastpack.core import Field, Ragged, Schema
from fastpack.core.ragged import Text
from fastpack.errors import CorruptRecordError, Location
from fastpack.files import spool
from fastpack.files.companions import index_path
from fastpack.formats import registry
from fastpack.formats.index.index_file import load_index
from tests.support.extent import num_examples

IMAGES = [
    encode(np.full((3 + i, 4, 3), 40 * i, np.uint8), kind)
    for i in range(3)
    for kind in ("png", "jpeg")
]
names = st.text(
    st.characters(min_codepoint=32, max_codepoint=1000, exclude_characters="/."),
    min_size=1,
    max_size=5,
)
keys = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=9)


class Samples:
    """A source of what is in memory."""

    def __init__(self, fields, values, class_names=()):
        self.schema = Schema(fields, class_names)
        self._values = values
        self.sizes = values["image"].lengths

    def __len__(self):
        return len(self.sizes)

    def location(self, row):
        return Location("memory", row)

    def read(self, rows):
        return Batch(
            {
                name: each.take(rows) if isinstance(each, Ragged) else each[rows]
                for name, each in self._values.items()
            },
            len(rows),
        )


@st.composite
def sources(draw):
    count = draw(st.integers(1, 12))
    lists = lambda values: st.lists(values, min_size=count, max_size=count)  # noqa: E731
    fields = [Field("image", "image")]
    values = {"image": Ragged.of_bytes(draw(lists(st.sampled_from(IMAGES))))}
    class_names = ()
    if draw(st.booleans()):
        fields.append(Field("label", "int", dtype="int64"))
        values["label"] = np.array(draw(lists(st.integers(-1, 6))), np.int64)
        class_names = tuple(draw(st.sampled_from([(), ("a", "b", "c", "d", "e", "f", "g")])))
    if draw(st.booleans()):
        fields.append(Field("key", "text"))
        values["key"] = Text.of(draw(lists(keys)))
    for name in draw(st.sets(names, max_size=3)) - {
        "image",
        "label",
        "key",
        "class_name",
        "images",
        "labels",
        "keys",
        "class_names",
    }:
        kind = draw(st.sampled_from(["int", "float", "text"]))
        if kind == "int":
            fields.append(Field(name, kind, dtype="int64"))
            values[name] = np.array(draw(lists(st.integers(-(2**63), 2**63 - 1))), np.int64)
        elif kind == "float":
            fields.append(Field(name, kind, dtype="float32"))
            values[name] = np.array(draw(lists(st.floats(width=32, allow_nan=False))), np.float32)
        else:
            fields.append(Field(name, kind))
            values[name] = Text.of(draw(lists(keys)))
    return Samples(tuple(fields), values, class_names)


def assert_same(a, b):
    assert a.schema == b.schema
    assert a.columns.keys() == b.columns.keys()
    for name in a.columns:
        assert type(a.columns[name]) is type(b.columns[name])
        assert (
            a.columns[name] == b.columns[name]
            if isinstance(a.columns[name], Ragged)
            else (a.columns[name] == b.columns[name]).all()
        )
        assert getattr(a.columns[name], "dtype", None) == getattr(b.columns[name], "dtype", None)
    for mine, theirs in ((a.spans, b.spans), (a.infos, b.infos)):
        assert mine.keys() == theirs.keys()
        assert all((mine[name] == theirs[name]).all() for name in mine)
    assert (a.record_numbers == b.record_numbers).all()
    assert (a.shard_numbers == b.shard_numbers).all()


# Bytes of each column that a writer holds back in memory; what is more goes to disk.
held_bytes = st.sampled_from([0, 20, 2**20])


@settings(max_examples=num_examples(60))
@given(sources(), st.sampled_from([None, 1]), held_bytes)
def test_of_a_tfrecord(source, memory, held):
    with tempfile.TemporaryDirectory() as folder, patch.object(spool, "_HELD_BYTES", held):
        path = Path(folder) / "x.tfrecord"
        pack(source, path, PackOptions(sync=False, memory=memory))
        assert_same(load_index(index_path(path)), registry.named("tfrecord").index(path))


@settings(max_examples=num_examples(25))
@given(sources(), st.sampled_from(["encoded", "vlen"]), held_bytes)
def test_of_an_hdf5_file(source, layout, held):
    with tempfile.TemporaryDirectory() as folder, patch.object(spool, "_HELD_BYTES", held):
        path = Path(folder) / "x.h5"
        pack(source, path, PackOptions(sync=False, layout=layout))
        assert_same(load_index(index_path(path)), registry.named("hdf5").index(path))


def test_names_in_the_file_are_found_again(tmp_path):
    values = {
        "image": Ragged.of_bytes(IMAGES[:3]),
        "label": np.arange(3),
        "key": Text.of(["a", "b", "c"]),
    }
    fields = (Field("image", "image"), Field("label", "int", dtype="int64"), Field("key", "text"))
    stored = {"image": "image/encoded", "label": "image/class/label", "key": "image/filename"}
    pack(
        Samples(fields, values, ("x", "y", "z")), tmp_path / "x.tfrecord", PackOptions(names=stored)
    )
    saved = load_index(index_path(tmp_path / "x.tfrecord"))
    assert_same(saved, registry.named("tfrecord").index(tmp_path / "x.tfrecord"))
    assert saved.schema["image"].stored_as == "image/encoded"
    assert saved.schema.class_names == ("x", "y", "z")


def test_a_column_may_be_named_as_attributes_are_marked(tmp_path):
    """Checksums of an HDF5 file name the attribute "@schema"; a column of that name differs."""
    fields = (Field("image", "image"), Field("@schema", "int", dtype="int64"))
    pack(
        Samples(fields, {"image": Ragged.of_bytes(IMAGES[:2]), "@schema": np.array([5, 6])}, ()),
        tmp_path / "x.h5",
    )
    assert registry.named("hdf5").index(tmp_path / "x.h5").columns["@schema"].tolist() == [5, 6]
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["@schema"][1] = 7
    with pytest.raises(CorruptRecordError, match="/@schema"):
        registry.named("hdf5").index(tmp_path / "x.h5")
