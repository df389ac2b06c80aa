"""The rules of docs/tables.md hold for CSV, JSON lines and Parquet; notes name all guesses."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastpack
from fastpack import from_table, pack
from fastpack.errors import SourceError
from tests.support.command_line import run
from tests.support.extent import num_examples
from tests.support.tables import SUFFIXES, csv_of, notes_of, write_table

pytestmark = pytest.mark.usefixtures("table_files")


# One set of rules

WORDS = st.text(st.sampled_from("abcßπ🐈 ,;\"'-_"), min_size=1, max_size=5).filter(
    lambda text: text.strip() == text
)
KINDS = st.sampled_from(
    [
        st.integers(-(2**63), 2**63 - 1),
        st.integers(-(2**53), 2**53) | st.none(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.floats(allow_nan=False, allow_infinity=False) | st.none(),
        WORDS,
        WORDS | st.none(),
    ]
)


@st.composite
def rows_of(draw):
    kinds = draw(st.lists(KINDS, max_size=3))
    rows = draw(st.integers(1, 4))
    columns = [draw(st.lists(kind, min_size=rows, max_size=rows)) for kind in kinds]
    return [
        {"file_name": "a.jpg", "label": "x"}
        | {f"c{number}": column[row] for number, column in enumerate(columns)}
        for row in range(rows)
    ]


@settings(
    max_examples=num_examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=rows_of())
def test_formats_mean_the_same(tmp_path, rows):
    sources = [from_table(write_table(tmp_path / f"t{suffix}", rows)) for suffix in SUFFIXES]
    expected = sources[2]
    for source in sources:
        assert source.schema == expected.schema
        for name, column in expected.columns.items():
            assert are_equal(source.columns[name], column)


def are_equal(a, b):
    return np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b


@settings(
    max_examples=num_examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=rows_of())
def test_what_is_packed_is_what_the_table_holds(tmp_path, rows):
    source = from_table(write_table(tmp_path / "t.jsonl", rows))
    pack(source, tmp_path / "a.h5", overwrite=True)
    found = fastpack.open(tmp_path / "a.h5").columns
    assert found.keys() >= source.columns.keys()
    assert all(are_equal(found[name][:], column) for name, column in source.columns.items())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_missing_is_said(tmp_path, suffix):
    rows = [
        {"file_name": "a.jpg", "n": 123456789, "t": "x"},
        {"file_name": "b.jpg", "n": None, "t": None},
    ]
    source = from_table(write_table(tmp_path / f"t{suffix}", rows))
    np.testing.assert_array_equal(source.columns["n"], [123456789, math.nan])
    assert list(source.columns["t"]) == ["x", ""]
    assert any("'n': 1 missing values are kept as NaN" in note for note in source.notes)
    assert any("samples have no labels" in note for note in source.notes)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_types_of_the_table_are_kept(tmp_path, suffix):
    rows = [
        {"file_name": "a.jpg", "label": "01", "id": "00123", "flag": True, "time": 1700000001.25},
        {"file_name": "b.jpg", "label": "1", "id": "7", "flag": False, "time": 0.1},
    ]
    source = from_table(write_table(tmp_path / f"t{suffix}", rows))
    assert source.schema.class_names == ("01", "1")
    assert list(source.columns["id"]) == ["00123", "7"]
    assert source.columns["flag"].tolist() == [1, 0]
    assert source.columns["time"].tolist() == [1700000001.25, 0.1]
    assert any("true and false are kept as 1 and 0" in note for note in source.notes)


@pytest.mark.parametrize(
    "cell",
    [
        "00123",
        "2020_01",
        "1e5",
        "+5",
        "nan",
        "inf",
        ".5",
        "0.1234567890123456789",
        "9223372036854775808",
        '"1,000"',
        '"0,5"',
    ],
)
def test_cells_that_only_look_like_numbers_stay_text(cell):
    source = from_table(csv_of(f"file_name,label,id\na.jpg,0,{cell}\nb.jpg,1,7\n"))
    text = cell.strip('"')
    assert list(source.columns["id"]) == [text, "7"]
    assert [
        note
        for note in source.notes
        if f"'id' is kept as text, since {text[:40]!r} in row 0 is not a plain number" in note
    ]


# Which column is what


@pytest.mark.parametrize("name", ["", "__index_level_0__"])
def test_an_index_of_pandas_is_left_out(name):
    source = from_table(csv_of(f"{name},path,label\n0,a.jpg,x\n1,b.jpg,y\n"))
    assert set(source.columns) == {"label", "key"}
    assert source.notes == (
        "column 0 has no name and is left out; pandas writes its index so, unless index=False",
    )


@pytest.mark.parametrize("output", ["a.tfrecord", "a.h5"])
def test_columns_with_fastpacks_names_are_kept(output):
    csv_of("file_name,label,key,image\na.jpg,x,K1,note\nb.jpg,y,K2,more\n")
    packed = pack("t.csv", output)
    assert any("column 'image' is kept as 'image_column'" in note for note in packed.notes)
    columns = fastpack.open(output).columns
    assert list(columns["key"]) == ["K1", "K2"]
    assert list(columns["image_column"]) == ["note", "more"]


def test_two_columns_that_would_be_one_are_refused():
    with pytest.raises(SourceError, match="two columns would be called 'image_column'; rename"):
        from_table(csv_of("file_name,image,image_column\na.jpg,1,2\n"))


@pytest.mark.parametrize("header", ["file_name,label,label", "file_name,label, label"])
def test_two_columns_of_one_name_are_refused(header):
    with pytest.raises(
        SourceError, match=r"two columns are called 'label'; rename one of them - at t\.csv"
    ):
        from_table(csv_of(f"{header}\na.jpg,1,2\n"))


def test_spaces_after_commas_are_left_out():
    source = from_table(csv_of('path, label, note\na.jpg, cat, "x, y"\nb.jpg, dog, z\n'))
    assert source.schema.class_names == ("cat", "dog")
    assert list(source.columns["note"]) == ["x, y", "z"]
    assert "spaces after a delimiter are left out" in source.notes[0]


def test_spaces_in_values_stay_where_the_header_has_none():
    assert list(from_table(csv_of("path,note\na.jpg, x\nb.jpg,y \n")).columns["note"]) == [
        " x",
        "y ",
    ]


@pytest.mark.parametrize("output", ["a.tfrecord", "a.h5"])
@pytest.mark.parametrize("labels", [("n01", "n02"), ("0", "1")])
def test_a_column_of_class_names_names_the_classes(output, labels):
    csv_of(
        f"path,label,class_name\na.jpg,{labels[0]},dog\n"
        f"b.jpg,{labels[1]},cat\nc.jpg,{labels[0]},dog\n"
    )
    packed = pack("t.csv", output)
    dataset = fastpack.open(output)
    assert dataset.class_names == ("dog", "cat")
    assert dataset.columns["label"].tolist() == [0, 1, 0]
    assert ("label_column" in dataset.columns) == (labels[0] == "n01") == bool(packed.notes)


def test_class_names_that_contradict_are_refused():
    with pytest.raises(
        SourceError,
        match="class 0 is called 'dog' in row 0 and 'cat' here; "
        r"give it one name - at t\.csv, record 1",
    ):
        from_table(csv_of("path,label,class_name\na.jpg,0,dog\nb.jpg,0,cat\n"))


def test_an_unusual_column_of_paths_is_found_and_said():
    assert "column 'photo' holds the images, by its first value" in notes_of(
        "photo,label\na.jpg,x\n"
    )
    assert "column 'File Name' holds the images" in notes_of("File Name,label\na.jpg,x\n")


def test_a_second_usual_name_is_said():
    assert "column 'label' holds the labels; 'class' stays a separate column" in notes_of(
        "path,label,class\na.jpg,x,1\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,2\n", r"no column of file names .* among x, y; name it with path_column"),
        ("x,y\na.jpg,b.jpg\n", r"'x', 'y' look like some; name it with path_column"),
        ("label\n1\n", "no column of file names"),
        (
            "a.jpg,cat\nb.jpg,dog\n",
            "first row must be a header, and it holds 'a.jpg'; add a row of column names",
        ),
        (
            "path,label\nhttp://x.org/a.jpg,1\n",
            "given by URLs, such as 'http://x.org/a.jpg'; download them",
        ),
    ],
)
def test_no_column_of_paths(text, message):
    with pytest.raises(SourceError, match=message):
        from_table(csv_of(text))


def test_columns_are_named_by_flags():
    csv_of("x,y,mark\na.jpg,b.jpg,1\n")
    assert (
        run(
            "pack",
            "t.csv",
            "-o",
            "a.h5",
            "--path-column",
            "x",
            "--label-column",
            "mark",
            "--image-columns",
            "",
        ).exit_code
        == 0
    )
    dataset = fastpack.open("a.h5")
    assert (
        list(dataset.columns["key"]),
        dataset.columns["label"].tolist(),
        list(dataset.columns["y"]),
    ) == (["a.jpg"], [1], ["b.jpg"])
    assert run("pack", ".", "-o", "b.h5", "--label-column", "mark").exit_code == 2
    assert run("verify", "a.h5", "--against", "t.csv").exit_code == 1
    assert (
        run(
            "verify",
            "a.h5",
            "--against",
            "t.csv",
            "--path-column",
            "x",
            "--label-column",
            "mark",
            "--image-columns",
            "",
        ).exit_code
        == 0
    )
    assert run("verify", "a.h5", "--against", "t.csv", "--path-column", "y").exit_code == 1
    assert run("verify", "a.h5", "--path-column", "y").exit_code == 2


def test_no_labels_on_request():
    source = from_table(csv_of("path,label\na.jpg,0.5\n"), label_column="")
    assert source.columns["label_column"].tolist() == [0.5]
    assert "label" not in source.columns


@pytest.mark.parametrize("output", ["a.tfrecord", "a.h5"])
def test_notes_are_printed(output):
    csv_of(",path,label\n0,a.jpg,x\n")
    result = run("pack", "t.csv", "-o", output)
    assert result.exit_code == 0
    assert result.stderr == (
        "fastpack: column 0 has no name and is left out; "
        "pandas writes its index so, unless index=False\n"
    )
