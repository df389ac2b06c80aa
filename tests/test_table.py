"""Tables: what their columns are, which files and keys their names mean, and how little memory they take."""

import csv
import json
import math
import os
import sys
import tracemalloc
from datetime import date
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from images import jpeg

from fastpack import Text, folder, table
from fastpack.errors import EmptySourceError, SourceError
from fastpack.sources.column import TableColumn
from fastpack.sources.table import _located

# What columns are: by the rules said plainly, with all values at hand.


def as_integer(value):
    try:
        return int(value) if not isinstance(value, float) else None
    except (TypeError, ValueError):
        return None


def as_float(value):
    try:
        return math.nan if value in (None, "") else float(value)
    except (TypeError, ValueError):
        return None


def plainly_typed(values):
    integers, floats = [as_integer(value) for value in values], [as_float(value) for value in values]
    if None not in integers:
        return np.array(integers, np.int64)
    if None not in floats and any(value not in (None, "") for value in values):
        return np.array(floats, np.float32)
    if any(isinstance(value, (list, dict)) for value in values):
        return None
    return Text.of("" if value is None else str(value) for value in values)


def plain_labels(values):
    numbers = [as_integer(value) for value in values]
    if None not in numbers:
        return numbers, []
    if any(value is None or isinstance(value, float) for value in values):
        return None
    names = sorted({str(value) for value in values})
    return [names.index(str(value)) for value in values], names


SPELLED = st.sampled_from(
    ["", "5", "-7", " 12 ", "1_0", "05", "0.5", "1e3", "nan", "-inf", "True", "False", "None", "[1]", "x", "Löwe", "٣"]
)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(width=32) | st.booleans()
VALUES = st.one_of(SPELLED, NUMBERS, st.none(), st.text(st.characters(codec="utf-8"), max_size=3), st.just([1]), st.just({}))
# Of one kind, mostly: else all columns were text.
COLUMNS = st.one_of(
    *(st.lists(kind, min_size=1, max_size=9) for kind in (SPELLED, NUMBERS, st.integers(-9, 9), st.booleans(), VALUES)),
    st.lists(st.booleans() | st.sampled_from(["True", "1", ""]), min_size=1, max_size=4),
)


def column_of(values, cut):
    column = TableColumn("c", Path("t.csv"))
    column.extend(values[:cut])
    column.extend(values[cut:])
    return column


def assert_same(found, expected):
    if isinstance(expected, Text):
        assert found == expected
    else:
        np.testing.assert_array_equal(found, expected, strict=True)


@given(values=COLUMNS, cut=st.integers(0, 9))
def test_a_column_is_what_the_rules_say(values, cut):
    expected = plainly_typed(values)
    if expected is None:
        with pytest.raises(SourceError, match=r"'c' holds lists or objects.* at t\.csv"):
            column_of(values, cut).typed()
        return
    assert_same(column_of(values, cut).typed(), expected)


@given(values=COLUMNS, cut=st.integers(0, 9))
def test_labels_are_what_the_rules_say(values, cut):
    expected = plain_labels(values)
    if expected is None:
        with pytest.raises(SourceError, match="integers or names in every row"):
            column_of(values, cut).labels()
        return
    numbers, names = column_of(values, cut).labels()
    assert (numbers.tolist(), list(names)) == expected
    assert numbers.dtype == np.int64


@pytest.mark.parametrize("take", [TableColumn.typed, TableColumn.labels])
def test_an_integer_too_large_is_named_with_its_row(take):
    with pytest.raises(SourceError, match=r"'c' holds 9223372036854775808, .* 64 bits.* at t\.csv, record 2"):
        take(column_of(["1", "2", str(2**63), "3"], 2))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([Decimal("5"), Decimal("-6")], np.array([5, -6])),
        ([Decimal("5.50"), None], np.array([5.5, math.nan], np.float32)),
        ([b"12", b"3"], np.array([12, 3])),
        ([b"a", "Löwe".encode()], Text.of(["a", "Löwe"])),
        ([date(2026, 1, 2)], Text.of(["2026-01-02"])),
    ],
    ids=str,
)
def test_what_only_parquet_holds(values, expected):
    assert_same(column_of(values, 1).typed(), expected)


def write_table(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


SUFFIXES = [".csv", ".tsv", ".jsonl", ".parquet"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tables_of_more_rows_than_are_read_at_a_time(tmp_path, suffix, monkeypatch):
    """A column turns to what it is in its last row."""
    monkeypatch.setattr(sys.modules["fastpack.sources.table"], "_BLOCK_ROWS", 3)
    (tmp_path / "a.jpg").write_bytes(jpeg(8, 8))
    notes = [*(str(i) for i in range(9)), "last"]
    rows = [{"file_name": "a.jpg", "label": i, "score": i / 2 if i == 9 else None, "note": note} for i, note in enumerate(notes)]
    source = table(write_table(tmp_path / f"t{suffix}", rows))
    assert source.columns["label"].tolist() == list(range(10))
    np.testing.assert_array_equal(source.columns["score"], np.array([math.nan] * 9 + [4.5], np.float32))
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
        table(path)


def test_the_first_row_that_does_not_fit_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("file_name,label\na.jpg,1\n\na.jpg\n" + '"' * 9)
    with pytest.raises(SourceError, match=r"not as many values.*t\.csv, record 1$"):
        table(tmp_path / "t.csv")


# Which files and keys names mean


def plain_key(name, root):
    key = os.path.relpath(root / name, root).replace(os.sep, "/")
    return name if key.split("/")[0] == ".." else key


PARTS = st.sampled_from(["", ".", "..", "...", "in", "x", "a", "b.jpg", ".a", "a.", "a\nb", "Löwe", "\udcff", "..\n"])
NAMES = st.lists(PARTS, min_size=1, max_size=5).map("/".join)


ROOTS = st.sampled_from([".", "/", "//", "in", "in/../x", "/in", "/in/x/", "/in/../x", "../in", "./in//x"])


@settings(max_examples=200)
@given(names=st.lists(NAMES, min_size=1, max_size=4), root=ROOTS)
@example(names=["//in/x/a", "///in/x/a", "/in/x", "/in/x//a", "/in/xx/a"], root="/in/x/")
def test_names_mean_the_files_that_pathlib_says(names, root):
    files, keys = _located(Text.of(names), Path(root))
    assert list(files) == [os.fspath(Path(root) / name) for name in names]
    assert list(keys) == [plain_key(name, Path(root)) for name in names]


@pytest.mark.parametrize(
    ("names", "is_one_text"),
    [
        (["a.jpg", "a/b.jpg"], True),
        (["a.jpg", "./a//b.jpg"], True),
        (["a.jpg", "/in/x/b.jpg"], True),
        (["a.jpg", "a/../b.jpg"], False),
        (["a.jpg", "../b.jpg"], True),
        (["a.jpg", "/out/b.jpg"], False),
    ],
)
def test_names_and_keys_are_one_text_where_they_can_be(names, is_one_text):
    files, keys = _located(Text.of(names), Path("/in/x"))
    assert files.is_made_of(keys) == is_one_text


# Memory


@pytest.fixture(autouse=True)
def _small_blocks(request, monkeypatch):
    """So that a few thousand files show what each takes."""
    if "take_little_memory" in request.node.name:
        monkeypatch.setattr(sys.modules["fastpack.sources.table"], "_BLOCK_ROWS", 64)
        monkeypatch.setattr("fastpack.ragged._BLOCK_ROWS", 64)
        monkeypatch.setattr("fastpack.filenames._LISTED", 64)


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
    # A name of 8 letters and where it ends, size and label, and at one moment as much again. A list of str would be 65 by itself.
    assert bytes_per_file(*(lambda path=path: table(path) for path in tables)) < 70


def test_folders_take_little_memory_a_file(tmp_path):
    for name, num_folders in (("few", 2), ("many", 22)):
        for i in range(num_folders):
            (tmp_path / name / f"{i:03}").mkdir(parents=True)
            for j in range(100):
                (tmp_path / name / f"{i:03}" / f"{j:03}.jpg").touch()
    # As above, and what there is to know of a folder. It was 300.
    assert bytes_per_file(lambda: folder(tmp_path / "few"), lambda: folder(tmp_path / "many")) < 90
