"""The tables of an index: all are taken, joined and selected alike."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastpack.core.dtypes import IMAGE_INFO, SPAN
from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Field, Schema
from fastpack.files.shard import Shard
from fastpack.formats.index.folder_files import Files
from fastpack.formats.index.index import _TABLES, Index, concatenate
from fastpack.formats.index.index_file import IndexFile
from fastpack.images.seek_points import SeekPoints
from tests.support.extent import num_examples

N = 5
NOT_PER_SAMPLE = {"shards", "schema", "original_digest", "notes", "fetched", "receipt"}


@pytest.fixture
def index(tmp_path) -> Index:
    """Return an index that has each table but chunks; sample i has the number i in all of them."""
    numbers = np.arange(N)
    spans = np.zeros(N, SPAN)
    spans["offset"] = numbers
    keys = Text.of(map(str, numbers))
    boxes = Ragged(np.arange(2.0 * N), 2 * np.arange(N + 1))
    schema = Schema((Field("a", "bytes"), Field("key", "text"), Field("box", "float", (None,))))
    return Index(
        (Shard(tmp_path, "folder", 99, 0, 0),),
        schema,
        np.zeros(N, np.uint32),
        numbers,
        {"key": keys, "box": boxes},
        {"a": spans},
        {},
        seek_points={"a": SeekPoints.of_lengths(np.arange(N, dtype=np.uint64), np.ones(N, int))},
        files=Files(keys, numbers),
        lost=numbers.astype(np.uint8),
    )


def facts(index: Index) -> dict[str, list]:
    """Return the numbers of the samples, by each table."""
    return {
        "records": index.record_numbers.tolist(),
        "keys": [int(key) for key in index.columns["key"]],
        "boxes": [int(row[0]) // 2 for row in index.columns["box"]],
        "spans": index.spans["a"]["offset"].tolist(),
        "seek points": [int(index.seek_points["a"].table(row)[0]) for row in range(len(index))],
        "names": [int(name) for name in index.files.names],
        "times": index.files.times.tolist(),
        "lost": index.lost.tolist(),
    }


def test_each_field_is_a_table_or_a_fact_of_all():
    """A new field of Index that is per sample must be declared as a table."""
    assert {field.name for field in fields(Index)} == {*_TABLES, *NOT_PER_SAMPLE}


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4], [4, 2, 2], []])
def test_all_tables_are_taken(index, rows):
    taken = facts(index.take(np.array(rows, np.int64)))
    assert set(map(tuple, taken.values())) == {tuple(rows)}


def test_all_tables_are_joined(index):
    joined = concatenate([index.take(np.array([3, 1])), index.take(np.array([0]))])
    found = facts(joined)
    assert set(map(tuple, found.values())) == {(3, 1, 0)}
    assert joined.shard_numbers.tolist() == [0, 0, 1]
    assert joined.spans["a"]["shard"].tolist() == [0, 0, 1]


def test_indexes_without_a_table_are_joined_to_those_with_it(index):
    """Other samples have empty names, no time, no seek points, and are not lost."""
    other = replace(index, files=None, lost=None, seek_points={})
    joined = concatenate([other, index])
    assert joined.files.times.tolist() == [0] * N + [*range(N)]
    assert list(joined.files.names) == [""] * N + [*map(str, range(N))]
    assert joined.lost.tolist() == [0] * N + [*range(N)]
    assert joined.seek_points["a"].num_with_seek_points == N
    none = concatenate([other, other])
    assert (none.files, none.lost, none.seek_points) == (None, None, {})


def test_tables_of_fields_are_selected(index):
    selected = index.select({"blob": "a"})
    assert list(selected.spans) == list(selected.seek_points) == ["blob"]
    assert selected.columns == {}
    assert len(selected.files.names) == N


# Saved indexes

NUMBERS = {"i1": (-128, 127), "i8": (-(2**63), 2**63 - 1), "i4": (-(2**31), 2**31 - 1)}
TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)


@st.composite
def numbers_of(draw, count):
    dtype = draw(st.sampled_from([*NUMBERS, "f4", "f8"]))
    if dtype in NUMBERS:
        bounds = st.integers(*NUMBERS[dtype])
    else:
        bounds = st.floats(width=8 * int(dtype[1]))
    return np.array(draw(st.lists(bounds, min_size=count, max_size=count)), dtype)


@st.composite
def lengths_of(draw, count):
    lengths = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


@st.composite
def bytes_of(draw, count, dtype):
    size = count * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    return np.frombuffer(data, dtype).copy()


@st.composite
def indexes(draw):
    """An index that has each kind of table, with random content."""
    n = draw(st.integers(0, 6))
    offsets, text_offsets, blob_offsets = (draw(lengths_of(n)) for _ in range(3))
    number, listed = draw(numbers_of(n)), draw(numbers_of(int(offsets[-1])))
    texts = Text.of(draw(st.lists(TEXTS, min_size=n, max_size=n)))
    many = int(text_offsets[-1])
    lists_of_texts = Ragged(
        Text.of(draw(st.lists(TEXTS, min_size=many, max_size=many))), text_offsets
    )
    spans, blobs = draw(bytes_of(n, SPAN)), draw(bytes_of(int(blob_offsets[-1]), SPAN))
    for each in (spans, blobs):
        each["shard"], each["offset"] = 0, each["offset"] % 2**20
        each["length"], each["record_length"] = each["length"] % 2**20, 0
        each["record_offset"] = 0
    infos = [draw(bytes_of(len(each), IMAGE_INFO)) for each in (spans, blobs)]
    for each in infos:
        each["format"] %= 8
    word_offsets = draw(lengths_of(n))
    words = draw(bytes_of(int(word_offsets[-1]), np.dtype("u8")))
    kinds = {"i": "int", "f": "float"}
    fields = (
        Field("image", "image"),
        Field("fr/ames", "image", (None,)),
        Field("number", kinds[number.dtype.kind], dtype=number.dtype.name),
        Field("listed", kinds[listed.dtype.kind], (None,), dtype=listed.dtype.name),
        Field("key", "text"),
        Field("tags%", "text", (None,)),
    )
    columns = {
        "number": number,
        "listed": Ragged(listed, offsets),
        "key": texts,
        "tags%": lists_of_texts,
    }
    return Index(
        (Shard(Path("x"), "folder", 2**40, draw(st.integers(0, 2**62)), 7),),
        Schema(fields, ("a", "ü")),
        np.zeros(n, np.uint32),
        np.arange(n),
        columns,
        {"image": spans, "fr/ames": Ragged(blobs, blob_offsets)},
        {"image": infos[0], "fr/ames": Ragged(infos[1], blob_offsets)},
        seek_points={"image": SeekPoints(words, word_offsets[:-1], word_offsets[1:])},
        files=draw(st.sampled_from([None, Files(texts, np.arange(n))])),
        lost=draw(st.sampled_from([None, np.ones(n, np.uint8)])),
        notes=tuple(draw(st.lists(TEXTS, max_size=2))),
        receipt=draw(TEXTS),
    )


def content(index: Index) -> dict:
    """Return all values of an index, in a form that can be compared."""
    tables = {
        (name, column): (array.dtype, array.tobytes())
        for name, columns in index.to_tables().items()
        for column, array in columns.items()
    }
    return tables | {"facts": (index.shards, index.schema, index.notes, index.receipt)}


def unpadded(index: Index) -> Index:
    """Return the index with lists one after the other, as `take` gives them."""
    return index.take(np.arange(len(index)))


@given(indexes(), st.data())
@settings(max_examples=num_examples(80), suppress_health_check=[HealthCheck.too_slow])
def test_an_index_that_was_saved_loads_equal(index, data):
    file = IndexFile.of(index)
    assert content(file.load()) == content(unpadded(index))
    rows = np.array(
        data.draw(st.lists(st.integers(0, len(index) - 1)) if len(index) else st.just([]))
    )
    rows = rows.astype(np.int64)
    batch = replace(file.take(rows), **file.facts())
    assert content(batch) == content(index.take(rows))
    name = data.draw(st.sampled_from([field.name for field in index.schema.fields]))
    only = replace(index.schema, fields=(index.schema[name],))
    taken = content(file.take(rows, only))
    expected = content(index.select({name: name}).take(rows))
    assert {key: taken[key] for key in taken if key != "facts"} == {
        key: expected[key] for key in expected if key != "facts"
    }
