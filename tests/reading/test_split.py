"""selections_of selects the rows that arrays of all numbers would give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack.core import Text
from fastpack.core.keys import spread_by_key
from fastpack.errors import OptionError
from fastpack.reading import split
from fastpack.reading.permutation import SPLIT, keys_of, permuted
from fastpack.reading.split import selections_of


def all_rows(selection):
    return selection.rows_at(np.arange(len(selection))).tolist()


def parts_in_arrays(numbers, fractions):
    """The split as it was before: one number a sample, in an array."""
    parts = np.searchsorted(np.cumsum(list(fractions.values())), numbers, side="right")
    return {name: np.flatnonzero(parts == part).tolist() for part, name in enumerate(fractions)}


FRACTIONS = st.sampled_from(
    [
        {"train": 0.9, "val": 0.1},
        {"all": 1},
        {"a": 0.3, "b": 0.3},
        {"a": 0.1, "b": 0.2, "c": 0.7},
        {"tiny": 1e-9, "val": 0.01},
    ]
)


@pytest.mark.parametrize("by", ["index", "key"])
@given(st.integers(0, 3000), FRACTIONS, st.integers(0, 2**64 - 1))
def test_parts_are_those_of_whole_arrays(by, num_rows, fractions, seed):
    text = Text.of([f"photos/{row}.jpg" for row in range(num_rows)])
    if by == "key":
        numbers = spread_by_key(text, seed)
    else:
        permutation = keys_of(seed, 0, SPLIT)
        permuted_rows = permuted(np.arange(num_rows), num_rows, permutation)
        numbers = (permuted_rows + 0.5) / max(1, num_rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "_BLOCK_ROWS", 1000)
        found = selections_of(num_rows, fractions, by, seed, text.take)
    assert {name: all_rows(rows) for name, rows in found.items()} == parts_in_arrays(
        numbers, fractions
    )
    assert all(rows.num_rows == num_rows for rows in found.values())


def test_blocks_of_the_real_size():
    parts = selections_of(600_000, {"train": 0.75, "val": 0.25}, "index", 3, None)
    assert len(parts["train"]) == 450_000
    both = np.concatenate([part.rows_at(np.arange(len(part))) for part in parts.values()])
    assert (np.sort(both) == np.arange(600_000)).all()


@pytest.mark.parametrize("num_rows", [0, 5])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "key"}, 'split by="index": the samples have no keys'),
        ({"by": "label"}, "not by='label'"),
        ({"seed": -1}, "seed must be an integer"),
        ({"fractions": {}}, "positive and at most 1 together"),
        ({"fractions": {"a": 0.7, "b": 0.4}}, "positive and at most 1 together"),
        ({"fractions": {"a": 0}}, "positive and at most 1 together"),
        ({"fractions": 0.5}, "must be a mapping"),
    ],
)
def test_wrong_options(num_rows, options, message):
    given = {"fractions": {"a": 1}, "by": "index", "seed": 0, "keys": None} | options
    with pytest.raises(OptionError, match=message):
        selections_of(num_rows, **given)
