"""Joining of byte ranges to requests."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastpack.stores.ranges import Ranges, join

SPANS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5000), st.integers(0, 700)), max_size=60
)


def ranges_of(spans):
    columns = np.array(spans, np.int64).reshape(-1, 3)
    return Ranges(columns[:, 0], columns[:, 1], columns[:, 1] + columns[:, 2])


@given(SPANS, st.integers(0, 600), st.integers(1, 3000))
def test_each_range_lies_in_a_joined_one(spans, max_gap, max_bytes):
    given_ranges = ranges_of(spans)
    joined = join(given_ranges, max_gap, max_bytes)
    rows = list(
        zip(joined.files.tolist(), joined.starts.tolist(), joined.ends.tolist(), strict=True)
    )
    assert rows == sorted(rows)
    longest = max((length for _, _, length in spans), default=0)
    assert all(end - start <= max(max_bytes, longest) for _, start, end in rows)
    for file, start, length in spans:
        if length:
            # The last joined range that begins at or before it: this is how spans are found.
            candidates = [row for row in rows if row[0] == file and row[1] <= start]
            assert candidates[-1][2] >= start + length


@given(SPANS, st.integers(0, 600))
def test_no_two_joined_ranges_are_near(spans, max_gap):
    joined = join(ranges_of(spans), max_gap, 10**9)
    for row in range(1, len(joined)):
        is_same = joined.files[row] == joined.files[row - 1]
        assert not is_same or joined.starts[row] - joined.ends[row - 1] > max_gap


def test_nothing_is_joined_to_nothing():
    assert len(join(ranges_of([(0, 5, 0)]))) == 0
