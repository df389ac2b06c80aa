"""The basic values: Ragged, Text, Schema, Shard, errors, Batch, Resize."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack import Batch, Limits, Resize, errors
from fastpack.core import Field, Ragged, Schema, Text
from fastpack.core.schema import merge_class_names
from fastpack.files.atomic import atomic_write
from fastpack.files.shard import Shard
from fastpack.files.sizes import parse_size
from fastpack.formats.numbers import narrow_floats

ROWS = st.lists(st.binary(max_size=12), max_size=20)


@given(ROWS, st.data())
def test_ragged_is_a_list_of_rows(rows, data):
    ragged = Ragged.of_bytes(rows)
    assert [ragged.bytes(i) for i in range(len(rows))] == rows
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    if rows:
        taken = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=30))
        assert [row.tobytes() for row in ragged.take(np.array(taken, np.int64))] == [
            rows[i] for i in taken
        ]
    assert ragged[::-2] == Ragged.of_bytes(rows[::-2])


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_ragged_concatenates(pieces):
    assert Ragged.concatenate([Ragged.of_bytes(rows) for rows in pieces]) == Ragged.of_bytes(
        sum(pieces, [])
    )


@given(st.lists(st.binary(max_size=9), max_size=9))
def test_text_keeps_names_that_are_not_utf8(rows):
    names = [row.decode("utf-8", "surrogateescape") for row in rows]
    text = Text.of(names)
    assert list(text) == names
    assert [text.bytes(i) for i in range(len(rows))] == rows


@pytest.mark.parametrize("offsets", [[], [1, 2], [0, 3, 2], [0, 9]], ids=str)
def test_ragged_refuses_bad_offsets(offsets):
    with pytest.raises(ValueError, match="offsets"):
        Ragged(np.zeros(5, np.uint8), np.array(offsets, np.int64))


def test_ragged_of_text():
    lists = Ragged(Text.of(["a", "bb", "", "dddd"]), np.array([0, 1, 1, 4]))
    assert [list(row) for row in lists] == [["a"], [], ["bb", "", "dddd"]]
    assert [list(row) for row in lists.take(np.array([2, 0]))] == [["bb", "", "dddd"], ["a"]]


FIELDS = st.builds(
    Field,
    st.text(min_size=1, max_size=9),
    st.sampled_from(["image", "pixels", "bytes", "int", "float", "text"]),
    st.lists(st.none() | st.integers(0, 999), max_size=4).map(tuple),
    st.sampled_from(["", "int64", ">u2"]),
    st.text(max_size=9),
)


@given(
    st.lists(FIELDS, max_size=5, unique_by=lambda field: field.name),
    st.lists(st.text(max_size=5), max_size=4),
)
def test_schema_is_json_both_ways(fields, class_names):
    schema = Schema(tuple(fields), tuple(class_names))
    assert Schema.from_json(schema.to_json()) == schema


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"fields": [{}], "class_names": []}',
        '{"fields": [{"name": "a", "kind": "x", "shape": []}]}',
    ],
)
def test_schema_refuses_other_json(text):
    with pytest.raises(errors.SchemaError):
        Schema.from_json(text)


def test_schema_refuses_two_fields_of_one_name():
    with pytest.raises(errors.SchemaError, match="same name"):
        Schema((Field("a", "int"), Field("a", "text")))


def test_class_names_that_disagree():
    with pytest.raises(errors.SchemaError, match="label 0 is 'cat'.*'dog'"):
        merge_class_names([("cat",), ("dog",)])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("500k", 500_000),
        ("1GB", 10**9),
        ("64 MiB", 2**26),
        ("1.5g", 1_500_000_000),
        ("2TiB", 2**41),
        (77, 77),
    ],
)
def test_parse_size(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "-1", "1XB", "1 G B", "GB", "i", "1i"])
def test_parse_size_refuses(text):
    with pytest.raises(errors.OptionError):
        parse_size(text)


@pytest.mark.parametrize("change", ["content", "size", "time"])
def test_a_changed_file_is_another_shard(tmp_path, change):
    import os

    path = tmp_path / "x"
    path.write_bytes(b"a" * 10000)
    os.utime(path, ns=(10**18, 10**18))
    before = Shard.of(path, "tfrecord")
    if change == "content":
        path.write_bytes(b"b" + b"a" * 9999)
    if change == "size":
        path.write_bytes(b"a" * 10001)
    os.utime(path, ns=(10**18, 10**18 + (change == "time")))
    assert Shard.of(path, "tfrecord") != before


def test_written_whole_replaces_only_at_the_end(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert temporary.parent == path.parent
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_are_builtins_too():
    pairs = [
        (errors.MissingFileError, FileNotFoundError),
        (errors.OutputExistsError, FileExistsError),
        (errors.CorruptRecordError, ValueError),
        (errors.TruncatedFileError, EOFError),
        (errors.MissingPackageError, ImportError),
        (errors.UnreadableFileError, OSError),
    ]
    assert all(
        issubclass(ours, (builtin, errors.FastpackError)) and issubclass(ours, builtin)
        for ours, builtin in pairs
    )
    assert all(
        issubclass(value, errors.FastpackError)
        for value in vars(errors).values()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and not issubclass(value, Warning)
    )


@pytest.mark.parametrize("status", errors._ERRORS)
def test_every_status_says_where_and_what_to_do(status):
    with pytest.raises(errors.FastpackError) as caught:
        errors.raise_status(
            status, "it broke", errors.Location("a.tfrecord", 3, 31, "k"), 5 if status == 1 else 0
        )
    assert str(caught.value).endswith(" - at a.tfrecord, record 3, byte 0x1f, key k")
    assert "; " in str(caught.value)


def test_batch_refuses_fields_of_other_lengths():
    with pytest.raises(ValueError, match="'a' has 2 values, not 3"):
        Batch({"a": np.zeros(2)}, 3)


def test_batch_samples():
    batch = Batch(
        {
            "i": np.array([1, 2]),
            "t": Text.of(["a", "b"]),
            "r": Ragged(np.arange(3), np.array([0, 1, 3])),
            "b": Ragged.of_bytes([b"", b"x"]),
        },
        2,
    )
    sample = batch.sample(1)
    assert (sample["i"], sample["t"], sample["r"].tolist(), sample["b"]) == (2, "b", [1, 2], b"x")
    assert type(sample["i"]) is int


@pytest.mark.parametrize("size", [0, -1, (0, 5), (5, 0)])
def test_resize_refuses(size):
    with pytest.raises(errors.OptionError):
        Resize(size)


@pytest.mark.parametrize("name", ["max_pixels", "max_scans", "max_record_bytes"])
def test_limits_are_positive(name):
    with pytest.raises(errors.OptionError, match=name):
        Limits(**{name: 0})


@pytest.mark.parametrize("number", [0.1, 2.5, -1e-5, 123.456, np.nan, np.inf, 16777216.0])
def test_floats_that_32_bits_spell_alike_are_kept(number):
    held = narrow_floats("x", np.array([number]), rounds=False)
    assert float(str(held[0])) == number or np.isnan(number)


@pytest.mark.parametrize("number", [1700000001.25, 1e300, 16777217.0, 0.1 + 0.2, 5e-324])
def test_floats_that_32_bits_would_change_are_refused(number):
    with pytest.raises(errors.SchemaError, match=r"'x' has .*float64='round'"):
        narrow_floats("x", np.array([0.5, number]), rounds=False)
    assert narrow_floats("x", np.array([number]), rounds=True).dtype == np.float32
