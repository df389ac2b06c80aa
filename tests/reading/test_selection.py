"""Selections against numpy arrays; equal rows have one form and one digest."""

import functools
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastpack._native import bitmap as kernel
from fastpack.errors import MissingFileError, OutOfRangeError
from fastpack.reading.bitmap import Bitmap
from fastpack.reading.selection import (
    RowList,
    RowSet,
    Span,
    compose,
    everything,
    of_masks,
    of_rows,
    span,
)
from tests.support.extent import num_examples

SEEDS = st.integers(0, 2**32 - 1)
# About a block and a superblock of the bitmap, and few rows for all else.
SIZES = st.one_of(st.integers(0, 200), st.sampled_from([1023, 1024, 1025, 65535, 65537, 140_000]))


def all_rows(selection, size=1000):
    return np.concatenate([np.zeros(0, np.int64), *selection.blocks(size)])


def check(selection, num_rows, rows):
    """Compare with an array, and with the selection of that array."""
    assert (selection.num_rows, len(selection)) == (num_rows, len(rows))
    assert np.array_equal(all_rows(selection), rows)
    positions = np.random.default_rng(0).permutation(len(rows))[:300]
    found = selection.rows_at(positions)
    assert found.dtype == np.int64
    assert np.array_equal(found, rows[positions])
    direct = of_rows(num_rows, rows)
    assert (type(selection), selection.digest) == (type(direct), direct.digest)
    assert selection.direction == direct.direction
    again = pickle.loads(pickle.dumps(selection))
    assert again.digest == selection.digest
    assert np.array_equal(all_rows(again, 999), rows)


# Ways to select from any selection: positions, given a random generator and a length.


def a_slice(random, count):
    ends = sorted(random.integers(-count - 2, count + 3, 2).tolist())
    step = int(random.choice([-7, -2, -1, 1, 2, 5]))
    return slice(*(ends if step > 0 else ends[::-1]), step)


def select_slice(random, current):
    positions = range(len(current))[a_slice(random, len(current))]
    return span(len(current), positions.start, len(positions), positions.step), np.array(positions)


def select_filter(random, current):
    mask = random.random(len(current)) < random.choice([0, 0.001, 0.02, 0.5, 0.99, 1])
    cuts = np.sort(random.integers(0, len(current) + 1, 3))
    return of_masks(len(current), np.split(mask, cuts)), np.flatnonzero(mask)


def select_rising(random, current):
    share = random.choice([0.001, 0.1, 0.9])
    positions = np.flatnonzero(random.random(len(current)) < share)[:: random.choice([-1, 1])]
    return of_rows(len(current), positions), positions


def select_anyhow(random, current):
    count = int(random.integers(0, 2 * len(current) + 1)) if len(current) else 0
    positions = random.integers(0, max(1, len(current)), min(count, 5000))
    return of_rows(len(current), positions), positions


def select_sorted(random, current):
    """Positions that make rows rise again, whatever order they had."""
    positions = np.argsort(current, kind="stable")
    return of_rows(len(current), positions), positions


WAYS = [select_slice, select_filter, select_rising, select_anyhow, select_sorted]


@settings(max_examples=num_examples(150))
@given(SIZES, st.lists(st.sampled_from(WAYS), max_size=5), SEEDS)
def test_selections_of_selections(num_rows, ways, seed):
    random = np.random.default_rng(seed)
    selection, rows = everything(num_rows), np.arange(num_rows)
    check(selection, num_rows, rows)
    for way in ways:
        outer, positions = way(random, rows)
        check(outer, len(rows), positions.astype(np.int64))
        selection, rows = compose(outer, selection), rows[positions.astype(np.int64)]
        check(selection, num_rows, rows)


@given(st.lists(st.lists(st.sampled_from(WAYS), min_size=1, max_size=2), min_size=3, max_size=3))
def test_composition_is_associative(ways):
    random = np.random.default_rng(5)
    selection, rows = everything(3000), np.arange(3000)
    outers = []
    for way, *_ in ways:
        outer, positions = way(random, rows)
        outers.append(outer)
        rows = rows[positions.astype(np.int64)]
    one_by_one = functools.reduce(lambda inner, outer: compose(outer, inner), outers, selection)
    first, second, third = outers
    at_once = compose(compose(third, second), first)
    assert one_by_one.digest == at_once.digest
    check(at_once, 3000, rows)


@pytest.mark.parametrize(
    ("rows", "form"),
    [
        ([], Span),
        ([7], Span),
        ([7, 3], Span),
        ([5, 5, 5], Span),
        ([0, 50, 99], RowList),
        ([1, 2, 4, 8, 9], RowSet),
        ([9, 8, 4, 2, 1], RowSet),
        ([1, 2, 2, 4, 5, 6], RowList),
        ([1, 2, 3, 4, 6, 5], RowList),
    ],
)
def test_each_kind_of_rows_has_one_form(rows, form):
    found = of_rows(100, np.array(rows, np.int64))
    assert type(found) is form
    check(found, 100, np.array(rows, np.int64))


def test_other_rows_and_other_sources_have_other_digests():
    selections = [
        everything(100),
        everything(101),
        span(100, 0, 99),
        span(100, 1, 99),
        span(100, 99, 100, -1),
        of_rows(100, np.array([1, 2, 4, 8, 9])),
        of_rows(100, np.array([9, 8, 4, 2, 1])),
        of_rows(101, np.array([1, 2, 4, 8, 9])),
        of_rows(100, np.array([1, 2, 4, 8, 10])),
        of_rows(100, np.array([1, 2, 9, 8, 4])),
        of_rows(100, np.array([1, 2, 4])),
        of_rows(100, np.array([1, 2, 4, 4])),
    ]
    assert len({selection.digest for selection in selections}) == len(selections)


def test_digests_are_stable():
    """A loader's state has them: a change here makes all states invalid."""
    assert [
        everything(10**12).digest,
        of_rows(100, np.array([1, 2, 4, 8, 9])).digest,
        of_rows(100, np.array([3, 1, 2])).digest,
        of_rows(10**12, np.array([3, 1, 2])).digest,
    ] == ["2e20334e", "8f0fed8d", "30a1ec0c", "eb9366fc"]


def test_large_sources_take_no_memory():
    num_rows = 10**12
    check_positions = np.array([0, 3])
    halves = compose(span(num_rows // 2, 5, 10**11), span(num_rows, 0, num_rows // 2, 2))
    assert halves.rows_at(check_positions).tolist() == [10, 16]
    few = compose(of_rows(10**11, np.array([7, 10**11 - 1, 7])), halves)
    assert all_rows(few).tolist() == [24, 2 * (10**11 + 4), 24]
    assert len(pickle.dumps(halves)) < 300


@pytest.mark.parametrize("rows", [[-1], [10], [3, 10, 4]])
def test_rows_that_do_not_exist(rows):
    with pytest.raises(OutOfRangeError, match="among 10"):
        of_rows(10, np.array(rows))


@pytest.mark.parametrize("given_span", [(0, 11, 1), (-1, 2, 1), (3, 5, -1), (5, 3, 3)])
def test_spans_that_do_not_exist(given_span):
    with pytest.raises(OutOfRangeError, match="among 10"):
        span(10, *given_span)


@pytest.mark.parametrize(
    "masks",
    [
        [np.ones(9, bool)],
        [np.ones(9, bool), np.ones(2, bool)],
        [np.ones(10)],
        [np.ones((5, 2), bool)],
    ],
)
def test_masks_must_match_the_source(masks):
    with pytest.raises(ValueError, match="masks"):
        of_masks(10, masks)


def test_selections_must_match():
    with pytest.raises(ValueError, match="selects from 10 rows, not from 9"):
        compose(everything(10), everything(9))


# The kernel


def bitmap_of(bits):
    made = Bitmap(len(bits))
    made.add(np.flatnonzero(bits))
    made.number()
    return made


@pytest.mark.parametrize("num_rows", [1, 63, 64, 65, 1024, 65535, 65536, 65537, 3 * 65536 + 1025])
@pytest.mark.parametrize("share", [0.0001, 0.03, 0.5, 1.0])
def test_select_at_all_positions(num_rows, share):
    bits = np.random.default_rng(num_rows).random(num_rows) < share
    bits[[0, -1]] = True
    made, rows = bitmap_of(bits), np.flatnonzero(bits)
    order = np.random.default_rng(0).permutation(len(rows))
    assert np.array_equal(made.select(order), rows[order])
    assert np.array_equal(np.concatenate([*made.blocks(777)]), rows)


@given(SIZES, SEEDS)
def test_masks_of_spans(num_rows, seed):
    random = np.random.default_rng(seed)
    outer, positions = select_slice(random, np.arange(num_rows))
    mask = np.concatenate([np.zeros(0, bool), *outer.masks(1000)])
    assert np.array_equal(np.flatnonzero(mask), np.sort(positions).astype(np.int64))
    assert len(mask) == num_rows


def test_rows_at_the_borders_of_superblocks():
    borders = np.arange(0, 2**27, 2**16)
    rows = np.unique(np.concatenate([borders, borders[1:] - 1, [2**27 - 1]]))
    made = Bitmap(2**27)
    made.add(rows)
    made.number()
    assert np.array_equal(made.select(np.arange(len(rows))), rows)


def test_ranks_take_little_memory():
    made = Bitmap(10**7)
    assert made.memory.nbytes < 1.02 * 10**7 / 8


def test_positions_and_rows_outside_are_refused():
    made = bitmap_of(np.arange(100) % 3 == 0)
    for position in (-1, 34, 2**62, -(2**62)):
        with pytest.raises(IndexError, match="position"):
            made.select(np.array([0, position]))
    for row in (-1, 100, 2**62):
        with pytest.raises(IndexError, match="row"):
            made.add(np.array([0, row]))
    with pytest.raises(IndexError, match="position"):
        Bitmap(0).select(np.array([0]))


@given(SEEDS)
def test_wrong_ranks_are_never_read_past(seed):
    """Ranks of a broken file give wrong rows, no access outside of the words."""
    random = np.random.default_rng(seed)
    words = random.integers(0, 2**64, 1500, np.uint64) * random.integers(0, 2, 1500, np.uint64)
    supers = random.integers(-(2**63), 2**63, 2)
    blocks = random.integers(0, 2**16, 94, np.uint16)
    out = np.empty(100, np.int64)
    kernel.select(words, supers, blocks, 2**62, random.integers(0, 2**62, 100), out)
    assert out.min() >= 0
    assert out.max() <= 1500 * 64


def test_wrong_lengths_are_refused():
    words, supers, blocks = np.zeros(2000, np.uint64), np.zeros(2, np.int64), np.zeros(125, "u2")
    rows = np.zeros(3, np.int64)
    with pytest.raises(ValueError, match="too short"):
        kernel.count(words, supers[:1], blocks)
    with pytest.raises(ValueError, match="too short"):
        kernel.select(words, supers, blocks[:124], 5, rows, rows)
    with pytest.raises(ValueError, match="as long"):
        kernel.select(words, supers, blocks, 5, rows, rows[:2])
    with pytest.raises(ValueError, match="too short"):
        kernel.set_rows(words, 2000 * 64 + 1, rows)
    with pytest.raises(ValueError, match="as long"):
        kernel.keep(words, words, words[:5].copy())
    assert kernel.rows_from(words, 0, rows) == 0
    assert kernel.rows_from(words, -1, rows) == 0


# Pickles and processes

CHILD = """
import pickle, sys
import numpy as np
selection = pickle.loads(sys.stdin.buffer.read())
sys.stdout.buffer.write(b"ready\\n")
sys.stdout.flush()
sys.stdin.buffer.read()
print(selection.digest, int(selection.rows_at(np.array([len(selection) - 1]))[0]))
"""


@pytest.fixture(params=["set", "list"])
def large(request):
    random = np.random.default_rng(1)
    if request.param == "set":
        return of_masks(10**6, [random.random(10**6) < 0.5])
    return of_rows(10**6, random.integers(0, 10**6, 50_000))


def read_in_a_child(data):
    code = CHILD.replace("sys.stdin.buffer.read()\nprint", "print")
    return subprocess.run([sys.executable, "-c", code], input=data, capture_output=True)


def test_large_selections_are_shared_by_a_file(large):
    data = pickle.dumps(large)
    assert len(data) < 1000
    done = read_in_a_child(data)
    last = int(large.rows_at(np.array([len(large) - 1]))[0])
    assert done.stdout.split() == [b"ready", large.digest.encode(), str(last).encode()]
    assert pickle.dumps(pickle.loads(data)) == data  # of one file, however often


def test_a_loaded_selection_outlives_the_other(large):
    loaded = pickle.loads(pickle.dumps(large))
    rows = all_rows(large)
    del large
    assert np.array_equal(all_rows(loaded), rows)


def test_a_pickle_of_a_selection_that_is_gone():
    data = pickle.dumps(of_masks(10**6, [np.random.default_rng(0).random(10**6) < 0.5]))
    with pytest.raises(MissingFileError, match="open the dataset again"):
        pickle.loads(data)
    done = read_in_a_child(data)
    assert b"MissingFileError" in done.stderr


def test_threads_that_pickle_at_once_share_one_file(large):
    found = []
    threads = [threading.Thread(target=lambda: found.append(pickle.dumps(large))) for _ in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert pickle.loads(found[0]).digest == large.digest


@pytest.mark.isolated
def test_a_forked_child_reads_the_same_rows(large):
    digest = large.digest
    child = os.fork()
    if child == 0:
        is_same = pickle.loads(pickle.dumps(large)).digest == digest
        os._exit(0 if is_same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pickle.loads(pickle.dumps(large)).digest == digest
