"""Tables: kinds of columns, files and keys of their names, memory per row."""

import json
import math
import os
import sys
import tracemalloc
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastpack import from_folder, from_table
from fastpack.core import Ragged, Text
from fastpack.errors import EmptySourceError, SourceError
from fastpack.sources.column import Leaf, TableColumn
from fastpack.sources.table_paths import located, outer_key
from tests.support.extent import num_examples
from tests.support.images import jpeg
from tests.support.tables import SUFFIXES, write_table

# Kinds of columns: the rules in their simplest form, with all values in memory

INT64 = range(-(2**63), 2**63)


def is_plain_integer(cell):
    return (
        cell.lstrip("-").isascii()
        and cell.lstrip("-").isdigit()
        and str(int(cell)) == cell
        and int(cell) in INT64
    )


def is_plain_number(cell):
    """JSON's rule: no leading zeros, plus signs or names of numbers. An exponent has its sign."""
    try:
        number = json.loads(cell, parse_constant=lambda name: name)
        sign = cell.lower().partition("e")[2][:1]
        return (
            type(number) in (int, float)
            and cell.strip() == cell
            and sign in ("", "+", "-")
            and Decimal(repr(float(number))) == Decimal(cell)
        )
    except (ValueError, OverflowError):
        return False


def plainly_guessed(cells):
    """Of a CSV."""
    there = [cell for cell in cells if cell]
    if there and all(map(is_plain_integer, there)) and len(there) == len(cells):
        return np.array([int(cell) for cell in cells], np.int64)
    if there and all(map(is_plain_number, there)):
        return np.array([float(cell) if cell else math.nan for cell in cells])
    return Text.of(cells)


def plainly_typed(values):
    """Of JSON and Parquet; None is refused."""
    types = {type(value) for value in values} - {type(None)}
    if not types or types == {str}:
        return Text.of(value or "" for value in values)
    if not types <= {int, float, bool}:
        return None
    if float not in types and None not in values:
        return np.array(list(map(int, values)), np.int64)
    if any(type(value) is int and abs(value) > 2**53 for value in values):
        return None
    return np.array([math.nan if value is None else float(value) for value in values])


SPELLED = st.sampled_from(
    [
        *(
            "",
            "5",
            "-7",
            " 12 ",
            "1_0",
            "05",
            "0.5",
            "0.50",
            "1e-05",
            "1e5",
            "1E+2",
            "+1",
            ".5",
            "5.",
            "-0",
            "-0.0",
            "nan",
            "-inf",
        ),
        *(
            str(2**63),
            str(2**63 - 1),
            str(2**53 + 1),
            "0.1234567890123456789",
            "1e+400",
            "1e-400",
            "1,000",
        ),
        *("True", "None", "[1]", "x", "Löwe", "٣"),
    ]
)
NUMERALS = (
    st.integers(-(2**64), 2**64).map(str)
    | st.floats().map(repr)
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.booleans()
LETTERS = st.text(st.characters(codec="utf-8"), max_size=3)
VALUES = st.one_of(SPELLED, NUMBERS, st.none(), LETTERS)


def lists_of(*kinds):
    """Of one kind, mostly: else all columns were text."""
    return st.one_of(*(st.lists(kind, min_size=1, max_size=9) for kind in kinds))


CELLS = lists_of(SPELLED, NUMERALS, NUMERALS | st.just(""), st.integers(-9, 9).map(str), LETTERS)
TYPED = lists_of(
    VALUES,
    NUMBERS,
    NUMBERS | st.none(),
    st.integers(-9, 9) | st.none(),
    st.booleans(),
    LETTERS | st.none(),
    SPELLED,
)


def column_of(values, cut=0, *, is_typed=True):
    column = TableColumn("c", Path("t.csv"), is_typed=is_typed)
    column.extend(values[:cut])
    column.extend(values[cut:])
    (leaf,) = column.leaves()
    return leaf


def assert_same(found, expected):
    if isinstance(expected, Ragged):
        assert type(found) is type(expected)
        assert_same(found.values, expected.values)
        np.testing.assert_array_equal(found.offsets, expected.offsets)
    else:
        np.testing.assert_array_equal(found, expected, strict=True)


@settings(max_examples=num_examples(300))
@given(cells=CELLS, cut=st.integers(0, 9))
def test_a_column_of_cells_is_what_the_rules_say(cells, cut):
    assert_same(column_of(cells, cut, is_typed=False).values(), plainly_guessed(cells))


@settings(max_examples=num_examples(300))
@given(values=TYPED, cut=st.integers(0, 9))
def test_a_column_of_values_is_what_the_rules_say(values, cut):
    expected = plainly_typed(values)
    if expected is None:
        with pytest.raises(
            SourceError, match=r"'c' (mixes|holds) .*; write .* at t\.csv, record \d"
        ):
            column_of(values, cut).values()
        return
    assert_same(column_of(values, cut).values(), expected)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["b", "a", "b"], ["a", "b"]),
        (["01", "1", "01"], ["01", "1"]),
        ([7, 7, 3], []),
        ([True, False, True], []),
        ([1.0, 0.0, 2.0], []),
    ],
)
def test_labels_are_integers_or_names(values, names):
    labels, found = column_of(values).labels([])
    assert list(found) == names
    assert labels.tolist() == (
        [names.index(value) for value in values] if names else list(map(int, values))
    )
    assert labels.dtype == np.int64


def test_floats_are_numbers_to_predict(notes):
    labels, names = column_of([0.5, 1.0]).labels(notes)
    assert (labels.tolist(), list(names)) == ([0.5, 1.0], [])
    assert "numbers to predict, not classes" in notes[0]


@pytest.fixture
def notes():
    return []


@pytest.mark.parametrize(
    "values", [["a", "", "b"], ["a", None, "b"], [1, None, 2], [0.5, math.nan, 1.0]]
)
def test_a_missing_label_is_named_with_its_row(values, notes):
    with pytest.raises(
        SourceError, match=r"'c': the row has no label; give it one, .* at t\.csv, record 1$"
    ):
        column_of(values).labels(notes)


def test_a_class_is_spelt_in_one_way(notes):
    with pytest.raises(
        SourceError,
        match="holds 'cat' here and ' cat' elsewhere; "
        r"spell the class in one way - at t\.csv, record 0",
    ):
        column_of(["cat", " cat"]).labels(notes)


@pytest.mark.parametrize(
    ("values", "expected", "class_names"),
    [([[1, 2], []], [[1, 2], []], []), ([["b", "a"], [], ["b"]], [[1, 0], [], [1]], ["a", "b"])],
)
def test_labels_may_be_lists(notes, values, expected, class_names):
    labels, names = column_of(values).labels(notes)
    assert ([row.tolist() for row in labels], list(names)) == (expected, class_names)


@pytest.mark.parametrize("take", [Leaf.values, lambda leaf: leaf.labels([])])
def test_an_integer_too_large_is_named_with_its_row(take):
    with pytest.raises(
        SourceError, match=r"'c' holds 9223372036854775808, .* 64 bits.* at t\.csv, record 2"
    ):
        take(column_of([1, 2, 2**63, 3], 2))


def leaves_of(rows):
    root = TableColumn("", Path("t.jsonl"))
    root.extend(rows[:1])
    root.extend(rows[1:])
    return {leaf.name: leaf for leaf in root.leaves()}


def test_nested_columns_are_flat_ones():
    rows = [
        {"o": {"box": [[1, 2, 3, 4], [5, 6, 7, 8]], "c": ["x", "y"]}, "list": [{"n": 1}, {"n": 2}]},
        {"o": None},
        {"o": {"box": [[9, 9, 9, 9]], "c": ["z"]}, "list": []},
    ]
    found = {name: leaf.values() for name, leaf in leaves_of(rows).items()}
    assert list(found) == ["o.box", "o.c", "list.n"]
    assert [row.tolist() for row in found["o.box"]] == [[1, 2, 3, 4, 5, 6, 7, 8], [], [9, 9, 9, 9]]
    assert [list(row) for row in found["o.c"]] == [["x", "y"], [], ["z"]]
    assert [row.tolist() for row in found["list.n"]] == [[1, 2], [], []]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"c": [[1, 2], [3]]}], "lists of lists of 1 to 2 values"),
        ([{"c": 1}, {"c": [1]}], r"mixes integers \(row 0\), lists \(row 1\)"),
        ([{"c": {"a": 1}}, {"c": "x"}], r"mixes objects \(row 0\), text \(row 1\)"),
        ([{"c": ["x", 1]}], "mixes text"),
    ],
)
def test_what_has_no_columns_is_refused(rows, message):
    with pytest.raises(SourceError, match=message):
        leaves_of(rows)["c"].values()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tables_of_more_rows_than_are_read_at_a_time(tmp_path, suffix, monkeypatch):
    """A column turns to what it is in its last row."""
    monkeypatch.setattr(sys.modules["fastpack.sources.sheet"], "_BLOCK_ROWS", 3)
    (tmp_path / "a.jpg").write_bytes(jpeg(8, 8))
    notes = [*(str(i) for i in range(9)), "last"]
    rows = [
        {"file_name": "a.jpg", "label": i, "score": i / 2 if i == 9 else None, "note": note}
        for i, note in enumerate(notes)
    ]
    source = from_table(write_table(tmp_path / f"t{suffix}", rows))
    assert source.columns["label"].tolist() == list(range(10))
    np.testing.assert_array_equal(source.columns["score"], np.array([math.nan] * 9 + [4.5]))
    assert list(source.columns["note"]) == notes
    assert list(source.columns["key"]) == ["a.jpg"] * 10


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tables_without_rows(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"file_name": pyarrow.array([], pyarrow.string())}), path)
    else:
        path.write_text("" if suffix == ".jsonl" else "file_name\n\n")
    with pytest.raises(EmptySourceError, match="no rows"):
        from_table(path)


def test_the_first_row_that_does_not_fit_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("file_name,label\na.jpg,1\n\na.jpg\n" + '"' * 9)
    with pytest.raises(SourceError, match=r"1 values and the header 2 names.*t\.csv, record 1$"):
        from_table(tmp_path / "t.csv")


# Which files and keys names mean


def plain_key(name, root):
    key = os.path.relpath(root / name, root).replace(os.sep, "/")
    return outer_key(name) if key.split("/")[0] == ".." else key


PARTS = st.sampled_from(
    ["", ".", "..", "...", "in", "x", "a", "b.jpg", ".a", "a.", "a\nb", "Löwe", "\udcff", "..\n"]
)
NAMES = st.lists(PARTS, min_size=1, max_size=5).map("/".join)


ROOTS = st.sampled_from(
    [".", "/", "//", "in", "in/../x", "/in", "/in/x/", "/in/../x", "../in", "./in//x"]
)


@settings(max_examples=num_examples(200))
@given(names=st.lists(NAMES, min_size=1, max_size=4), root=ROOTS)
@example(names=["//in/x/a", "///in/x/a", "/in/x", "/in/x//a", "/in/xx/a"], root="/in/x/")
def test_names_mean_the_files_that_pathlib_says(names, root):
    files, keys = located(Text.of(names), Path(root), [])
    assert list(files) == [os.fspath(Path(root) / name) for name in names]
    assert list(keys) == [plain_key(name, Path(root)) for name in names]


@pytest.mark.parametrize(
    ("names", "is_one_text"),
    [
        (["a.jpg", "a/b.jpg"], True),
        (["a.jpg", "./a//b.jpg"], True),
        (["a.jpg", "/in/x/b.jpg"], True),
        (["a.jpg", "a/../b.jpg"], False),
        (["a.jpg", "../b.jpg"], False),
        (["a.jpg", "/out/b.jpg"], False),
    ],
)
def test_names_and_keys_are_one_text_where_they_can_be(names, is_one_text):
    files, keys = located(Text.of(names), Path("/in/x"), [])
    assert files.is_made_of(keys) == is_one_text


# Memory


@pytest.fixture(autouse=True)
def _small_blocks(request, monkeypatch):
    """So that a few thousand files show what each takes."""
    if "take_little_memory" in request.node.name:
        monkeypatch.setattr(sys.modules["fastpack.sources.sheet"], "_BLOCK_ROWS", 64)
        monkeypatch.setattr("fastpack.core.ragged._BLOCK_ROWS", 64)
        monkeypatch.setattr("fastpack.files.file_names._LISTED", 64)


def peak_bytes(make):
    """Of what is allocated while it is made."""
    tracemalloc.start()
    made = make()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, made


def bytes_per_file(few, many):
    few_bytes, many_bytes = peak_bytes(few), peak_bytes(many)
    return (many_bytes[0] - few_bytes[0]) / (len(many_bytes[1]) - len(few_bytes[1]))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_tables_take_little_memory_a_row(tmp_path, suffix):
    names = [f"{i:04}.jpg" for i in range(100)]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    rows = [{"file_name": name, "label": int(name[:4])} for name in islice(cycle(names), 10_000)]
    tables = [write_table(tmp_path / f"{count}{suffix}", rows[:count]) for count in (2_000, 10_000)]
    # A name of 8 letters and its end, a size and a label, and briefly twice as much. A list of str
    # alone would need 65.
    assert bytes_per_file(*(lambda path=path: from_table(path) for path in tables)) < 70


def test_folders_take_little_memory_a_file(tmp_path):
    for name, num_folders in (("few", 2), ("many", 22)):
        for i in range(num_folders):
            (tmp_path / name / f"{i:03}").mkdir(parents=True)
            for j in range(100):
                (tmp_path / name / f"{i:03}" / f"{j:03}.jpg").touch()
    # As above, and what there is to know of a folder. It was 300.
    assert (
        bytes_per_file(
            lambda: from_folder(tmp_path / "few"), lambda: from_folder(tmp_path / "many")
        )
        < 90
    )
