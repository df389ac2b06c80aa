"""Counts of values in blocks, against numpy on all values."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastpack.inspection import counting
from fastpack.inspection.counting import ValueCounts
from tests.support.extent import num_examples

BLOCKS = st.lists(st.lists(st.integers(-5, 2**40), max_size=9), min_size=1, max_size=9)


@given(BLOCKS, st.integers(1, 20))
@settings(max_examples=num_examples(200))
def test_counts_are_those_of_all_values(blocks, waiting):
    counts = ValueCounts()
    before, counting._WAITING = counting._WAITING, waiting
    try:
        for block in blocks:
            counts.add(np.array(block, np.int64))
    finally:
        counting._WAITING = before
    every = np.concatenate([np.array(block, np.int64) for block in blocks])
    expected = np.unique(every, return_counts=True)
    for found, wanted in zip(counts.found(), expected, strict=True):
        assert found.tolist() == wanted.tolist()
    if len(every):
        assert counts.median() == int(np.floor(np.median(every)))
