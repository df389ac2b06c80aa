"""Batches of rows: by bytes, and around rows that fail."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastpack.core.bisect import bisect
from fastpack.core.portions import portions
from fastpack.errors import FastpackError


@given(st.integers(0, 40), st.sets(st.integers(0, 39)))
def test_bisect_reads_each_row_once_and_names_those_that_fail(num_rows, bad):
    def read(rows):
        if bad & set(rows.tolist()):
            raise FastpackError("damaged")
        return rows.tolist()

    found = list(bisect(read, np.arange(num_rows)))
    assert [row for rows, _ in found for row in rows.tolist()] == list(range(num_rows))
    failed = [rows.tolist() for rows, result in found if isinstance(result, FastpackError)]
    assert failed == [[row] for row in sorted(bad) if row < num_rows]


@given(st.lists(st.integers(0, 3)), st.integers(1, 6), st.none() | st.integers(1, 5))
def test_portions_cover_all_rows_within_their_bounds(sizes, max_bytes, max_rows):
    parts = list(portions(sizes, max_bytes, max_rows))
    assert [row for part in parts for row in range(part.start, part.stop)] == [*range(len(sizes))]
    for part in parts:
        assert part.stop - part.start <= (max_rows or len(sizes))
        assert sum(sizes[part]) <= max_bytes or part.stop - part.start == 1
    for part in parts[:-1]:  # the next row fits no more
        is_full = part.stop - part.start == max_rows
        assert is_full or sum(sizes[part]) + sizes[part.stop] > max_bytes
