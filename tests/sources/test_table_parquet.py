"""Parquet tables: each type is kept, or refused by name; images and bytes in the table."""

import json
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal

import numpy as np
import pytest

import fastpack
from fastpack import PackOptions, errors, from_table, pack
from fastpack.core import Ragged, Text
from tests.support.images import jpeg

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

FILES = [jpeg(8, 8, seed=seed) for seed in range(3)]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, data in zip("abc", FILES, strict=True):
        (tmp_path / f"{name}.jpg").write_bytes(data)


def written(columns, name="t.parquet"):
    parquet.write_table(pa.table(columns), name)
    return name


def column_of(array):
    source = from_table(written({"path": ["a.jpg", "b.jpg"], "label": [0, 1], "c": array}))
    return source.columns["c"], source.notes


LISTS = Ragged(np.array([1, 2, 3]), np.array([0, 2, 3]))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, 2], pa.int8()), np.array([1, 2])),
        (pa.array([1, 2**63 - 1], pa.uint64()), np.array([1, 2**63 - 1])),
        (pa.array([0.5, 2], pa.float16()), np.array([0.5, 2])),
        (pa.array([0.1, 2], pa.float32()), np.array([np.float32(0.1), 2], np.float64)),
        (pa.array([1e300, 0.1]), np.array([1e300, 0.1])),
        (pa.array(["x", "y"], pa.large_string()), Text.of(["x", "y"])),
        (pa.array(["x", "y"]).dictionary_encode(), Text.of(["x", "y"])),
        (pa.array(["00123", "7"]), Text.of(["00123", "7"])),
        (pa.array([[1, 2], [3]]), LISTS),
        (pa.array([[1, 2], [3]], pa.large_list(pa.int8())), LISTS),
        (
            pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)),
            Ragged(np.array([1, 2, 3, 4]), np.array([0, 2, 4])),
        ),
        (pa.array([["x"], []]), Ragged(Text.of(["x"]), np.array([0, 1, 1]))),
    ],
    ids=str,
)
def test_types_are_kept(array, expected):
    found, notes = column_of(array)
    assert not notes
    assert found == expected if isinstance(expected, Ragged) else np.array_equal(found, expected)
    assert isinstance(expected, Ragged) or found.dtype == expected.dtype


@pytest.mark.parametrize(
    ("array", "expected", "note"),
    [
        (pa.array([True, False]), [1, 0], "kept as 1 and 0"),
        (pa.array([1, None], pa.int64()), [1, np.nan], "1 missing values are kept as NaN"),
        (pa.array([None, None]), ["", ""], "has no values; it is kept as empty text"),
        (pa.array(["x", None]), ["x", ""], "1 missing values are kept as empty text"),
        (
            pa.array([date(2026, 1, 2), date(1969, 12, 31)]),
            ["2026-01-02", "1969-12-31"],
            r"'c' holds date32\[day\], which is kept as text",
        ),
        (pa.array([time(1, 2, 3)] * 2), ["01:02:03.000000"] * 2, "which is kept as text"),
        (
            pa.array([1700000000123456789, 0], pa.timestamp("ns")),
            ["2023-11-14 22:13:20.123456789", "1970-01-01 00:00:00.000000000"],
            "ns",
        ),
        (
            pa.array([datetime(2026, 1, 2, tzinfo=UTC)] * 2),
            ["2026-01-02 00:00:00.000000Z"] * 2,
            "kept as text",
        ),
        (
            pa.array([[datetime(2026, 1, 2)], []]),
            [["2026-01-02 00:00:00.000000"], []],
            "kept as text",
        ),
        (
            pa.array([[[1, 2]], [[3, 4], [5, 6]]]),
            [[1, 2], [3, 4, 5, 6]],
            "its lists of 2 values are kept one after another, flat",
        ),
    ],
    ids=str,
)
def test_conversions_are_said(array, expected, note):
    found, notes = column_of(array)
    rows = [list(row) if isinstance(row, (np.ndarray, Text)) else row for row in found]
    assert (
        np.array_equal(rows, expected, equal_nan=True)
        if isinstance(found, np.ndarray)
        else rows == expected
    )
    assert len(notes) == 1
    assert re.search(note, notes[0])


@pytest.mark.parametrize(
    ("values", "of", "expected"),
    [
        (["5", "-6"], (4, 0), np.array([5, -6])),
        (["5.50", "0.10"], (4, 2), np.array([5.5, 0.1])),
        (
            ["0.1234567890123456789", "1"],
            (38, 19),
            Text.of(["0.1234567890123456789", "1.0000000000000000000"]),
        ),
        (["12345678901234567890", "1"], (38, 0), Text.of(["12345678901234567890", "1"])),
    ],
)
def test_decimals_are_exact(values, of, expected):
    found, _ = column_of(pa.array(list(map(Decimal, values)), pa.decimal128(*of)))
    assert found == expected if isinstance(expected, Text) else np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            pa.array([1, 2], pa.duration("s")),
            r"holds duration\[s\], which cannot be kept; write it as numbers or text",
        ),
        (
            pa.array([[("x", 1)], []], pa.map_(pa.string(), pa.int64())),
            r"holds map<string, int64.*>, which cannot be kept",
        ),
        (pa.array([[b"x"], []]), "holds binary, which cannot be kept"),
        (
            pa.array([2**64 - 1, 1], pa.uint64()),
            "holds 18446744073709551615, which does not fit into 64 bits",
        ),
        (pa.array([2**53 + 1, None]), "holds 9007199254740993 beside missing values"),
        (pa.array([[[1], [1, 2]], []]), "holds lists of lists of 1 to 2 values"),
    ],
    ids=str,
)
def test_what_cannot_be_kept_is_refused_unless_left_out(array, message, tmp_path):
    path = written({"path": ["a.jpg", "b.jpg"], "c": array})
    with pytest.raises(errors.SourceError, match=f"'c' {message}.* at t.parquet"):
        pack(path, "a.h5")
    assert pack(path, "a.h5", PackOptions(fields=[])).num_samples == 2


def test_structs_are_columns_of_their_own():
    source = from_table(
        written({"path": ["a.jpg", "b.jpg"], "o": [{"n": 1, "t": "x"}, None], "a.b": [1, 2]})
    )
    assert list(source.columns) == ["key", "o.n", "o.t", "a.b"]
    np.testing.assert_array_equal(source.columns["o.n"], [1, np.nan])
    with pytest.raises(errors.SourceError, match=r"two columns are called 'o\.n'"):
        from_table(written({"path": ["a.jpg"], "o": [{"n": 1}], "o.n": [2]}))


# Images and bytes in the table


def hub(paths=("a.jpg", "b.jpg", "c.jpg"), **columns):
    images = [{"bytes": data, "path": path} for data, path in zip(FILES, paths, strict=True)]
    return written({"image": images, "label": [0, 1, 1], **columns}, "hub.parquet")


@pytest.mark.parametrize("output", ["a.tfrecord", "a.h5"])
@pytest.mark.parametrize(
    "options",
    [
        PackOptions(),
        PackOptions(shuffle_seed=3, shards=2),
        PackOptions(jpeg="fast", check="decode"),
    ],
)
def test_images_of_the_hub(output, options):
    packed = pack(hub(), output, options)
    assert not packed.notes
    dataset = fastpack.open(packed.paths, decode=False)
    found = {sample["key"]: (bytes(sample["image"]), sample["label"]) for sample in dataset}
    assert found == {
        f"{name}.jpg": (data, label)
        for name, data, label in zip("abc", FILES, [0, 1, 1], strict=True)
    }
    assert fastpack.verify(packed.paths, against="hub.parquet").is_sound


@pytest.mark.parametrize(
    "paths", [(None, None, None), ("a.jpg", "a.jpg", "b.jpg"), ("a.jpg", None, "b.jpg")]
)
def test_images_without_names_of_their_own(paths):
    source = from_table(hub(paths))
    assert list(source.columns["key"]) == ["00000000", "00000001", "00000002"]
    assert source.notes == (
        "the images of column 'image' have no unique names; "
        "their keys are the numbers of their rows",
    )


def test_keys_beside_images():
    assert list(from_table(hub(("/x/a.jpg", "../b.jpg", "c.jpg"))).columns["key"]) == [
        "x/a.jpg",
        "b.jpg",
        "c.jpg",
    ]
    assert list(from_table(hub(key=["1", "2", "3"])).columns["key"]) == ["1", "2", "3"]


def test_pixels_of_images_of_the_hub():
    pack(hub(), "a.h5", PackOptions(size=4))
    pack(from_table(written({"path": ["a.jpg", "b.jpg", "c.jpg"]})), "b.h5", PackOptions(size=4))
    np.testing.assert_array_equal(
        *(fastpack.open(name).read(range(3))["image"] for name in ("a.h5", "b.h5"))
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["cat", "dog"], ("cat", "dog")), (["cat"], ()), (5, ()), (None, ())],
    ids=["all", "few", "odd", "none"],
)
def test_names_of_the_hubs_class_labels(names, expected):
    about = {
        "info": {
            "features": {
                "label": {"names": names, "_type": "ClassLabel"},
                "image": {"_type": "Image"},
            }
        }
    }
    images = [{"bytes": data, "path": None} for data in FILES]
    made = pa.table({"image": images, "label": [0, 1, 1]}).replace_schema_metadata(
        {"huggingface": json.dumps(about)}
    )
    parquet.write_table(made, "t.parquet")
    source = from_table("t.parquet")
    assert source.schema.class_names == expected
    assert source.columns["label"].tolist() == [0, 1, 1]
    assert any("'label'" in note for note in source.notes) == isinstance(names, list)


def test_names_of_the_hubs_lists_of_class_labels():
    about = {
        "info": {
            "features": {
                "label": {
                    "feature": {"names": ["cat", "dog"], "_type": "ClassLabel"},
                    "_type": "Sequence",
                }
            }
        }
    }
    made = pa.table({"path": ["a.jpg", "b.jpg"], "label": [[0, 1], []]}).replace_schema_metadata(
        {"huggingface": json.dumps(about)}
    )
    parquet.write_table(made, "t.parquet")
    source = from_table("t.parquet")
    assert source.schema.class_names == ("cat", "dog")
    assert [row.tolist() for row in source.columns["label"]] == [[0, 1], []]


def test_many_bytes_are_copied_to_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr("fastpack.files.spool._HELD_BYTES", 10)
    monkeypatch.setattr("fastpack.sources.parquet._BLOCK_CELLS", 1)
    source = from_table(hub())
    assert [source.read(np.array([row]))["image"].bytes(0) for row in (2, 0, 1)] == [
        FILES[2],
        FILES[0],
        FILES[1],
    ]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(
        errors.MissingFileError, match=r"cannot copy the images of the table to TMPDIR: .*none"
    ):
        from_table("hub.parquet")


def test_paths_in_the_type_of_the_hub():
    images = pa.array(
        [{"bytes": None, "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}],
        pa.struct([("bytes", "binary"), ("path", "string")]),
    )
    source = from_table(written({"image": images, "label": [0, 1]}))
    assert list(source.columns["key"]) == ["a.jpg", "b.jpg"]
    assert not source.notes


def test_a_row_without_an_image():
    images = pa.array(
        [{"bytes": FILES[0], "path": None}, None],
        pa.struct([("bytes", "binary"), ("path", "string")]),
    )
    written({"image": images})
    with pytest.raises(
        errors.SourceError, match=r"the row has no image; .* at t\.parquet, record 1"
    ):
        pack("t.parquet", "a.h5")
    assert pack("t.parquet", "a.h5", PackOptions(on_error="skip")).num_samples == 1


def test_a_row_that_is_no_image():
    written({"image": [FILES[0], b"text"], "label": [0, 1]})
    with pytest.raises(errors.UnsupportedImageError, match=r"t\.parquet, record 1"):
        pack("t.parquet", "a.h5")


def test_binary_columns():
    source = from_table(
        written({"path": ["a.jpg", "b.jpg"], "depth": FILES[:2], "raw": [b"\0\1", b""]})
    )
    assert {field.name: field.kind for field in source.schema.blobs} == {
        "image": "image",
        "depth": "image",
        "raw": "bytes",
    }
    batch = source.read(np.array([1, 0]))
    assert [batch["raw"].bytes(row) for row in range(2)] == [b"", b"\0\1"]
    assert batch["depth"].bytes(0) == FILES[1]
    assert [note.partition(",")[0] for note in source.notes[-2:]] == [
        "column 'depth' holds bytes",
        "column 'raw' holds bytes",
    ]
    assert len(from_table("t.parquet", fields=[]).schema.blobs) == 1


def test_a_folder_of_parts(tmp_path):
    (tmp_path / "all.parquet").mkdir()
    for number, name in enumerate("ab"):
        written({"path": [f"{name}.jpg"], "label": [number]}, f"all.parquet/part-{number}.parquet")
    (tmp_path / "all.parquet" / "_SUCCESS").touch()
    assert from_table("all.parquet").columns["label"].tolist() == [0, 1]
    assert pack("all.parquet", "a.h5").num_samples == 2
    written({"path": ["a.jpg"], "label": ["x"]}, "all.parquet/part-2.parquet")
    with pytest.raises(errors.SourceError, match=r"differ from part-0\.parquet; .*part-2"):
        from_table("all.parquet")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1"])
def test_what_is_not_parquet(tmp_path, data):
    (tmp_path / "t.parquet").write_bytes(data)
    with pytest.raises(errors.SourceError, match="cannot be read as Parquet") as raised:
        from_table("t.parquet")
    assert len(str(raised.value)) < 500


def test_two_columns_of_one_name():
    parquet.write_table(
        pa.Table.from_arrays(
            [pa.array(["a.jpg"]), pa.array([1]), pa.array([2])], ["path", "x", "x"]
        ),
        "t.parquet",
    )
    with pytest.raises(errors.SourceError, match="two columns are called 'x'"):
        from_table("t.parquet")
