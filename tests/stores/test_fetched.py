"""Spans found in the ranges that were fetched."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack.stores.fetched import Fetched
from fastpack.stores.ranges import Ranges, join

CONTENTS = [np.random.default_rng(file).bytes(1000) for file in range(3)]
SPANS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 900), st.integers(0, 100)), max_size=20
)


def columns_of(rows, count):
    return list(np.array(rows, np.int64).reshape(-1, count).T)


def ranges_of(rows):
    files, starts, lengths = columns_of(rows, 3)
    return Ranges(files, starts, starts + lengths)


def fetched_of(ranges):
    rows = zip(ranges.files.tolist(), ranges.starts.tolist(), ranges.ends.tolist(), strict=True)
    return Fetched([CONTENTS[file][start:end] for file, start, end in rows], ranges)


def bytes_of(fetched, rows):
    numbers, offsets = fetched.locate(*columns_of(rows, 3))
    assert (numbers.dtype, offsets.dtype) == (np.uint32, np.uint64)
    places = zip(numbers.tolist(), offsets.tolist(), rows, strict=True)
    buffers = fetched.memories.buffers
    return [
        bytes(buffers[number][first : first + length]) for number, first, (*_, length) in places
    ]


def contents_of(rows):
    return [CONTENTS[file][first : first + length] for file, first, length in rows]


@given(SPANS, st.integers(0, 200), st.integers(1, 600), st.randoms(), st.integers(1, 3))
def test_a_span_is_found_in_a_range_that_has_it(rows, max_gap, max_bytes, random, num_parts):
    parts = [rows[part::num_parts] for part in range(num_parts)]
    fetched = Fetched.joined([fetched_of(join(ranges_of(p), max_gap, max_bytes)) for p in parts])
    random.shuffle(rows)
    assert bytes_of(fetched, rows) == contents_of(rows)


@given(
    SPANS,
    st.tuples(st.integers(0, 4), st.integers(0, 1100) | st.just(2**62), st.integers(1, 300)),
)
def test_a_span_outside_of_all_ranges_is_an_error(rows, span):
    joined = join(ranges_of(rows), 0)
    ranges = zip(joined.files.tolist(), joined.starts.tolist(), joined.ends.tolist(), strict=True)
    file, first, length = span
    is_inside = any(
        file == of_file and start <= first and first + length <= end
        for of_file, start, end in ranges
    )
    fetched = fetched_of(joined)
    if is_inside:
        assert bytes_of(fetched, [span]) == contents_of([span])
    else:
        with pytest.raises(LookupError, match=f"{length} bytes at {first} of file {file}"):
            fetched.locate(*columns_of([*rows, span], 3))


def test_windows_without_bytes_join_those_with_bytes():
    full = [(0, 10, 20), (2, 0, 5)]
    parts = [[], full[:1], [(1, 5, 0)], full[1:]]
    fetched = Fetched.joined([fetched_of(join(ranges_of(part))) for part in parts])
    assert bytes_of(fetched, full) == contents_of(full)


def test_empty_spans_need_no_range():
    fetched = fetched_of(ranges_of([]))
    assert bytes_of(fetched, [(0, 0, 0), (7, 10**12, 0)]) == [b"", b""]
    with pytest.raises(LookupError):
        fetched.locate(*columns_of([(0, 0, 0), (0, 0, 1)], 3))


def test_windows_overlap_in_the_gaps_that_they_read():
    rows = [(1, 0, 10), (1, 90, 10), (1, 40, 10)]
    parts = [fetched_of(join(ranges_of(part), max_gap=200)) for part in (rows[:2], rows[2:])]
    assert bytes_of(Fetched.joined(parts), rows) == contents_of(rows)
    assert bytes_of(Fetched.joined(parts[::-1]), rows) == contents_of(rows)
