"""The tables of an index: all are taken, joined and selected alike."""

from dataclasses import fields, replace

import numpy as np
import pytest

from fastpack.core.dtypes import SPAN
from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Field, Schema
from fastpack.files.shard import Shard
from fastpack.formats.index.folder_files import Files
from fastpack.formats.index.index import _TABLES, Index, concatenate
from fastpack.images.seek_points import SeekPoints

N = 5
NOT_PER_SAMPLE = {"shards", "schema", "original_digest", "notes", "receipt"}


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
