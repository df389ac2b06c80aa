"""Lazy columns: the same results as arrays in memory, at the cost of the rows that are read."""

import operator
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack.core import ragged
from fastpack.core.ragged import Ragged, Text, offsets_of
from fastpack.errors import OptionError
from fastpack.reading import evaluation
from fastpack.reading.columns import Columns, LazyColumn, masks_of
from fastpack.reading.expression import LazyExpression

NUM_ROWS = 45
BLOCK_ROWS = 16


class Memory:
    """Columns over arrays in memory, which counts the rows that are read."""

    def __init__(self, **columns: Any) -> None:
        self.values = columns
        self.reads: list[tuple[str, int]] = []
        self.columns = Columns(list(columns), len(next(iter(columns.values()))), self.take)

    def take(self, name: str, rows: Any) -> Any:
        if len(rows):
            self.reads.append((name, len(rows)))
        return ragged.take(self.values[name], rows)


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(evaluation, "BLOCK_ROWS", BLOCK_ROWS)
        patched.setattr(evaluation, "RAGGED_BLOCK_ROWS", BLOCK_ROWS // 2)
        yield


def _random_columns(num_rows: int = NUM_ROWS) -> dict[str, Any]:
    rng = np.random.default_rng(num_rows)
    floats = rng.normal(0, 1e3, num_rows)
    floats[:8] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, 5e-324, -1.0][:num_rows]
    return {
        "bool": rng.random(num_rows) < 0.5,
        "uint8": rng.integers(0, 256, num_rows).astype(np.uint8),
        "int16": rng.integers(-(2**15), 2**15, num_rows).astype(np.int16),
        "uint32": rng.integers(0, 2**32, num_rows).astype(np.uint32),
        "int64": rng.integers(-(2**63), 2**63, num_rows),
        "uint64": rng.integers(0, 2**64, num_rows, np.uint64),
        "small": rng.integers(-3, 4, num_rows),
        "float32": np.clip(floats, -1e30, 1e30).astype(np.float32),
        "float64": floats,
        "text": Text.of([f"n{row % 7:02}/ö" * (row % 3) for row in range(num_rows)]),
        "lists": Ragged(np.arange(num_rows * 2), offsets_of(np.full(num_rows, 2))),
    }


VALUES = _random_columns()
NUMERIC = [name for name, values in VALUES.items() if isinstance(values, np.ndarray)]
BINARY: list[Callable[..., Any]] = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv),
    *(operator.mod, operator.pow, operator.and_, operator.or_, operator.xor, operator.lshift),
    *(operator.rshift, operator.lt, operator.le, operator.eq, operator.ne, operator.gt),
    *(operator.ge, np.maximum, np.fmin, np.logical_and, np.logical_or, np.logical_xor, np.hypot),
    *(np.power, np.arctan2, np.copysign, np.matmul, divmod, np.isin, np.append),
]
UNARY: list[Callable[..., Any]] = [
    *(operator.neg, operator.pos, abs, operator.invert, np.sqrt, np.exp, np.sin, np.log, np.isnan),
    *(np.logical_not, np.floor, np.square, np.sign, np.cumsum, np.unique, np.flatnonzero),
    *(lambda v: v.astype(np.int32), lambda v: v.astype("U"), lambda v: v.tolist()),
    *(lambda v: v[::-2], lambda v: np.where(v, v, 7), lambda v: np.where(v > 3, 1.5, v)),
    *(lambda v: np.clip(v, -3, 100), lambda v: np.clip(v, None, 2.5), lambda v: v.clip(0, 1)),
    *(lambda v: np.isin(v, [0, 1, 200, -1]), lambda v: np.isin(v, [0.5, 2, np.nan])),
    *(lambda v: np.isin(v, np.array([1, 2**64 - 1], np.uint64), invert=True),),
    *(lambda v: np.add(v, 1, dtype=np.float64), lambda v: np.add.reduce(v), lambda v: v.real),
]
SCALARS: list[Any] = [
    *(0, 1, -1, 2, 300, 2**40, 2**63, -(2**63), 0.5, -2.0, float("nan"), float("inf"), True, 1j),
    *(np.uint8(200), np.int64(-5), np.float32(0.1), np.float64(1e300), np.bool_(False), "a", None),
    *(np.array(3), np.array([2]), np.array([1.5], np.float32), [3], np.arange(3), np.uint64(2**63)),
    *(np.arange(NUM_ROWS), np.arange(NUM_ROWS, dtype=np.uint8)[::-1], list(range(NUM_ROWS))),
    *(np.arange(NUM_ROWS).astype("M8[s]"), np.full(NUM_ROWS, None), np.ones((2, NUM_ROWS))),
]
Tree = Any
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.one_of(
        st.sampled_from(NUMERIC).map(lambda name: ("column", name)),
        st.sampled_from(SCALARS).map(lambda value: ("scalar", value)),
    ),
    lambda trees: st.one_of(
        st.tuples(st.sampled_from(UNARY), trees),
        st.tuples(st.sampled_from(BINARY), trees, trees),
    ),
    max_leaves=6,
)


def _evaluated(tree: Tree, columns: Any) -> Any:
    match tree:
        case ("column", name):
            return columns[name]
        case ("scalar", value):
            return value
        case (function, *operands):
            return function(*[_evaluated(operand, columns) for operand in operands])


def _outcome(make: Callable[[], Any]) -> tuple[Any, set[str]]:
    """Return the result or error of a function, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = make()
            if isinstance(result, (LazyColumn, LazyExpression)):
                shape, dtype, result = result.shape, result.dtype, result.whole()
                assert (shape, dtype) == (result.shape, result.dtype)
        except Exception as error:
            result = error
    return result, {str(warning.message) for warning in caught}


def _assert_same(mine: Any, theirs: Any) -> None:
    assert type(mine) is type(theirs), (mine, theirs)
    if isinstance(theirs, tuple):
        for one, other in zip(mine, theirs, strict=True):
            _assert_same(one, other)
    elif isinstance(theirs, (np.ndarray, np.generic)) and theirs.dtype != object:
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
        assert mine.tobytes() == theirs.tobytes()
    else:
        assert repr(mine) == repr(theirs)


@given(TREES)
def test_an_expression_gives_what_numpy_gives(tree: Tree) -> None:
    mine, my_warnings = _outcome(lambda: _evaluated(tree, Memory(**VALUES).columns))
    theirs, their_warnings = _outcome(lambda: _evaluated(tree, VALUES))
    _assert_same(mine, theirs)
    assert my_warnings == their_warnings or isinstance(theirs, Exception)


@given(
    st.sampled_from(NUMERIC),
    st.sampled_from(["sum", "min", "max", "any", "all", "mean", "std", "prod", "argmax"]),
    st.sampled_from([0, 1, 5, BLOCK_ROWS, NUM_ROWS]),
    st.booleans(),
)
def test_a_reduction_gives_what_numpy_gives(
    name: str, reduction: str, num_rows: int, is_method: bool
) -> None:
    values = VALUES[name][:num_rows]

    def reduced(column: Any) -> Any:
        return getattr(column, reduction)() if is_method else getattr(np, reduction)(column)

    mine = _outcome(lambda: reduced(Memory(x=values).columns["x"]))
    theirs = _outcome(lambda: reduced(values))
    _assert_same(mine[0], theirs[0])
    assert mine[1] == theirs[1]


INDEXES: list[Any] = [
    *(0, -1, NUM_ROWS - 1, NUM_ROWS, -NUM_ROWS - 1, np.int64(3), np.array(4), True, 1.5, "a", None),
    *(slice(2, 9), slice(None), slice(40, 3, -3), slice(5, 5), slice(0, 2**70), ..., (3,), (1, 2)),
    *([], [3, -1, 3], [NUM_ROWS], [1.0], [True] * NUM_ROWS, [True], np.array([2, 2], np.uint8)),
    *(np.arange(NUM_ROWS) % 2 == 0, np.zeros(NUM_ROWS, bool), np.ones(3, bool)),
    *(np.zeros(0, np.int64), np.array([[1, 2], [3, 4]]), np.array([], float)),
    *(np.array([2**63], np.uint64), np.arange(NUM_ROWS)[::-1]),
]


@pytest.mark.parametrize("index", INDEXES, ids=repr)
@pytest.mark.parametrize("name", ["int16", "float64", "double"])
def test_an_index_gives_what_numpy_gives(name: str, index: Any) -> None:
    columns = Memory(**VALUES).columns
    lazy, values = (
        (columns["int16"] * 2, VALUES["int16"] * 2)
        if name == "double"
        else (columns[name], VALUES[name])
    )
    mine, theirs = _outcome(lambda: lazy[index])[0], _outcome(lambda: values[index])[0]
    _assert_same(mine, theirs)


@pytest.mark.parametrize("name", ["text", "lists"])
def test_rows_of_text_and_lists(name: str) -> None:
    column, values = Memory(**VALUES).columns[name], VALUES[name]
    assert str(column[7]) == str(values[7])
    assert str(column[-1]) == str(values[-1])
    assert column[2:9] == values[2:9]
    assert column[[5, -1]] == values.take(np.array([5, NUM_ROWS - 1]))
    assert column[np.arange(NUM_ROWS) >= 40] == values[40:]
    assert column.whole() == values
    assert type(column.whole()) is type(values)
    assert column == values
    assert column == Memory(**VALUES).columns[name]
    assert (column != values) is False
    assert list(map(str, column)) == list(map(str, values))
    assert column.lengths.tolist() == values.lengths.tolist()
    assert not hasattr(column, "dtype")
    with pytest.raises(IndexError):
        column[NUM_ROWS]


def test_text_has_its_methods_and_functions() -> None:
    column, values = Memory(**VALUES).columns["text"], VALUES["text"]
    assert [row for block in column.blocks() for row in block] == list(values)
    assert values[1] in column
    assert "nothing" not in column
    assert (column == values[1]) is False
    found = np.isin(column, [values[1], "nothing"])
    assert isinstance(found, LazyExpression)
    assert found.tolist() == [text == values[1] for text in values]
    assert np.unique(column).tolist() == np.unique(values).tolist()
    assert np.char.startswith(np.asarray(column), "n0").sum() == 30
    assert column.count("") == 15
    assert column.bytes(1) == values.bytes(1)
    with pytest.raises(TypeError):
        column < "a"  # noqa: B015


def test_a_lazy_mask_selects_rows() -> None:
    columns = Memory(**VALUES).columns
    chosen = columns["text"][columns["uint8"] > 128]
    assert list(chosen) == [VALUES["text"][row] for row in np.flatnonzero(VALUES["uint8"] > 128)]
    assert columns["small"][columns["small"]].tolist() == VALUES["small"][VALUES["small"]].tolist()
    assert np.arange(NUM_ROWS)[columns["bool"]].sum() == np.flatnonzero(VALUES["bool"]).sum()


def test_only_the_selected_rows_are_read() -> None:
    memory = Memory(**VALUES)
    label = memory.columns["uint8"]
    mask = (label > 3) & (label < 9) | (label == 200)
    assert (len(label), label.shape, label.dtype, mask.dtype) == (NUM_ROWS, (45,), "u1", bool)
    assert memory.reads == []
    label[7], label[[1, 2, 3]], mask[40:]
    assert memory.reads == [("uint8", 1), ("uint8", 3), ("uint8", 5)]
    memory.reads.clear()
    repr(label)
    assert memory.reads == [("uint8", 6)]


def test_blocks_read_each_column_once() -> None:
    memory = Memory(**VALUES)
    label = memory.columns["uint8"]
    list(masks_of((label > 3) & (label < 9) | (memory.columns["small"] == label), NUM_ROWS))
    assert sorted(memory.reads) == sorted(
        (name, size) for name in ("uint8", "small") for size in (16, 16, 13)
    )


@pytest.mark.parametrize("is_left", [False, True])
def test_chains_of_thousands_of_terms(is_left: bool) -> None:
    label = Memory(**VALUES).columns["uint8"]
    mask = label == 0
    for number in range(5000):
        term = label == number % 256
        if is_left:
            mask |= term
        else:
            mask = term | mask
    assert mask.all()


def test_arrays_are_copied_when_they_enter_an_expression() -> None:
    array = np.arange(NUM_ROWS)
    total = Memory(**VALUES).columns["small"] + array
    array[:] = 0
    assert total.tolist() == (VALUES["small"] + np.arange(NUM_ROWS)).tolist()


def test_operators_in_place() -> None:
    column = Memory(**VALUES).columns["small"]
    total = column
    total += 1
    assert total.tolist() == (VALUES["small"] + 1).tolist()
    assert column.tolist() == VALUES["small"].tolist()
    mask = np.zeros(NUM_ROWS, bool)
    mask |= column > 1
    assert type(mask) is np.ndarray
    assert mask.tolist() == (VALUES["small"] > 1).tolist()


def test_columns_of_other_sizes_follow_numpy() -> None:
    column, other = Memory(x=np.arange(5)).columns["x"], Memory(x=np.arange(6)).columns["x"]
    with pytest.raises(ValueError, match="broadcast"):
        column + other
    one = Memory(x=np.array([10])).columns["x"]
    assert (column + one).tolist() == [10, 11, 12, 13, 14]
    assert (column == Memory(x=np.arange(5)).columns["x"]).all()


def test_the_error_state_is_that_of_the_author() -> None:
    column = Memory(**VALUES).columns["float64"]
    with np.errstate(all="ignore"):
        quiet = column / 0
    with np.errstate(all="raise"):
        strict = column / 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet.whole()
        with pytest.raises(FloatingPointError):
            strict.whole()


def test_truth_follows_numpy() -> None:
    columns = Memory(**VALUES).columns
    with pytest.raises(ValueError, match="ambiguous"):
        bool(columns["small"] > 3)
    assert bool(Memory(x=np.array([3])).columns["x"])
    assert int(Memory(x=np.array([3])).columns["x"].max()) == 3
    assert bool(columns["text"])


def test_nothing_is_pickled() -> None:
    columns = Memory(**VALUES).columns
    for lazy in (columns, columns["small"], columns["small"] > 3):
        with pytest.raises(TypeError, match="pickle the Reader"):
            pickle.dumps(lazy)


def test_columns_are_a_mapping() -> None:
    columns = Memory(**VALUES).columns
    assert list(columns) == list(VALUES)
    assert "small" in columns
    assert columns.get("missing") is None
    assert columns["small"] is columns["small"]
    assert dict(columns).keys() == VALUES.keys()
    with pytest.raises(KeyError):
        columns["missing"]


def test_other_libraries_take_a_column_at_once() -> None:
    memory = Memory(x=np.arange(5), key=VALUES["text"])
    assert np.from_dlpack(memory.columns["x"]).tolist() == [0, 1, 2, 3, 4]
    assert not hasattr(memory.columns["key"], "__dlpack__")


def test_masks() -> None:
    column = Memory(**VALUES).columns["small"]
    for result in (column > 1, VALUES["small"] > 1, (VALUES["small"] > 1).tolist()):
        masks = list(masks_of(result, NUM_ROWS))
        assert np.concatenate(masks).tolist() == (VALUES["small"] > 1).tolist()
        assert all(mask.dtype == bool for mask in masks)


def _wrong_masks() -> Iterator[Any]:
    columns = Memory(**VALUES).columns
    yield columns["small"], "int64 (45,)"
    yield columns["text"], "<U10 (45,)"
    yield columns["small"][:3] > 1, "bool (3,)"
    yield Memory(x=np.ones(3, bool)).columns["x"], "bool (3,)"
    yield True, "bool ()"
    yield [1], "int64 (1,)"


@pytest.mark.parametrize(("result", "shown"), list(_wrong_masks()), ids=str)
def test_wrong_masks_are_refused(result: Any, shown: str) -> None:
    with pytest.raises(OptionError) as caught:
        masks_of(result, NUM_ROWS)
    assert str(caught.value) == f"keep must return a boolean for each of 45 samples, not {shown}"


def test_wrong_masks_read_nothing() -> None:
    memory = Memory(**VALUES)
    with pytest.raises(OptionError):
        masks_of(memory.columns["int64"] + 1, NUM_ROWS)
    assert memory.reads == []
