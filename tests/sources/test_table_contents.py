"""Contents of table files: delimiters, encodings, JSON, paths, several images in a row."""

import json
import math
import os

import numpy as np
import pytest

import fastpack
from fastpack import PackOptions, errors, from_table, pack
from fastpack.errors import SourceError
from tests.support.command_line import run
from tests.support.images import jpeg, photo, save
from tests.support.tables import SUFFIXES, csv_of

pytestmark = pytest.mark.usefixtures("table_files")


# Delimiters, encodings, JSON


@pytest.mark.parametrize(
    ("delimiter", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")]
)
def test_other_delimiters_are_noticed(delimiter, name):
    source = from_table(csv_of(f"path{delimiter}label\na.jpg{delimiter}cat\n"))
    assert source.notes == (f"columns are separated by {name}, as in the header",)
    assert source.schema.class_names == ("cat",)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_of_windows(encoding, end):
    with open("t.csv", "w", encoding=encoding, newline="") as file:
        file.write(end.join(["path,label,note", 'a.jpg,cat,"two', 'lines"', "", "b.jpg,dog,x"]))
    source = from_table("t.csv")
    assert list(source.columns["note"]) == [f"two{end}lines", "x"]
    assert not source.notes


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_refused(encoding):
    with open("t.csv", "w", encoding=encoding) as file:
        file.write("path,label\na.jpg,Löwe\n")
    with pytest.raises(SourceError, match="not UTF-8 .*; save it as UTF-8"):
        from_table("t.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"path": "a.jpg", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
            "line 2 is not valid JSON",
        ),
        ('{"path": "a.jpg", "x": ' + "[" * 40 + "]" * 40 + "}", "nested more than 32 deep"),
        ('{"path": "a.jpg", "x": 1, "x": 2}', "line 2 .*one name twice"),
        ('{"path": "a.jpg", "x": 1e400}', "line 2 .*does not fit into a float64"),
        ('{"path": "a.jpg", "x": ' + "9" * 5000 + "}", "line 2 is not valid JSON"),
        (
            '{"path": "a.jpg", "x": 99999999999999999999}',
            "'x' holds 99999999999999999999 beside missing values",
        ),
        ("[1]", r"line 2 is not an object; write \{\.\.\.\} in each line"),
        ('{"path": "a.jpg", "x\\ud800": 1}', "has characters that are not text"),
        ('{"path": "a.jpg", "x\\u0000": 1}', "has characters that are not text"),
        ('{"path": "a.jpg", "x": "\\ud800"}', "not valid text, nor"),
    ],
    ids=str,
)
def test_odd_json_is_refused(text, message):
    with open("t.jsonl", "w") as file:
        file.write('{"path": "a.jpg"}\n' + text + "\n")
    with pytest.raises(SourceError, match=message):
        from_table("t.jsonl")


def test_a_missing_name_is_a_missing_value():
    with open("t.jsonl", "w") as file:
        file.write(
            '{"path": "a.jpg"}\n{"path": "b.jpg", "text": "x", "n": NaN}\n'
            '{"n": 2, "path": "c.jpg", "boxes": [[1, 2]]}\n'
        )
    source = from_table("t.jsonl")
    assert list(source.columns["text"]) == ["", "x", ""]
    np.testing.assert_array_equal(source.columns["n"], [math.nan, math.nan, 2])
    assert [row.tolist() for row in source.columns["boxes"]] == [[], [], [1, 2]]
    assert [note.partition(";")[0] for note in source.notes if "boxes" in note] == [
        "column 'boxes': 2 missing lists are kept as empty ones",
        "column 'boxes': its lists of 2 values are kept one after another, flat",
    ]


def test_fields_are_left_out_before_they_are_judged():
    with open("t.jsonl", "w") as file:
        file.write(json.dumps({"path": "a.jpg", "text": "t", "odd": [1, "x"]}) + "\n")
    with pytest.raises(
        SourceError, match=r"'odd' mixes .*; write one kind, or leave the column out with fields"
    ):
        pack("t.jsonl", "a.tfrecord")
    assert pack("t.jsonl", "a.tfrecord", PackOptions(fields=["text"])).num_samples == 1
    with pytest.raises(
        errors.SchemaError, match="no column 'none'; the columns are path, text, odd"
    ):
        pack("t.jsonl", "b.tfrecord", PackOptions(fields=["none"]))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [([], ()), (["image"], ()), (["image_column"], ("image_column",)), (["x"], ("x",))],
)
def test_fields_are_names_of_fields(fields, expected):
    pack(csv_of("path,image,x\na.jpg,1,2\n"), "a.tfrecord", PackOptions(fields=fields))
    assert {field.name for field in fastpack.open("a.tfrecord").schema.fields} == {
        "image",
        "key",
        *expected,
    }


def test_nested_columns_go_into_a_tfrecord():
    with open("t.jsonl", "w") as file:
        file.write(
            json.dumps(
                {
                    "path": "a.jpg",
                    "objects": {
                        "bbox": [[1, 2, 3, 4], [5, 6, 7, 8]],
                        "name": ["x", "y"],
                        "score": [0.5, None],
                    },
                }
            )
            + "\n"
        )
    pack("t.jsonl", "a.tfrecord")
    assert fastpack.verify("a.tfrecord").is_sound
    columns = fastpack.open("a.tfrecord").columns
    assert columns["objects.bbox"][0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    np.testing.assert_array_equal(columns["objects.score"][0], [0.5, math.nan])
    assert list(columns["objects.name"][0]) == ["x", "y"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pipe_is_refused(tmp_path, suffix):
    os.mkfifo(tmp_path / f"t{suffix}")
    with pytest.raises(errors.UnreadableFileError, match="must be a regular file"):
        pack(tmp_path / f"t{suffix}", "a.h5")


# Files


def test_absolute_paths_are_keys_without_what_leads_out(tmp_path):
    (tmp_path / "tables").mkdir()
    csv_of(f"path\n{tmp_path}/a.jpg\n../b.jpg\n", "tables/t.csv")
    packed = pack("tables/t.csv", "a.h5", PackOptions(allow_external=True))
    keys = [f"{tmp_path}/a.jpg".removeprefix("/"), "b.jpg"]
    assert list(fastpack.open("a.h5").columns["key"]) == keys
    assert "their keys have no leading / or ../" in packed.notes[0]
    assert run("verify", "a.h5", "--against", "tables/t.csv").exit_code == 0
    assert run("extract", "a.h5", "out").exit_code == 0
    assert all((tmp_path / "out" / key).is_file() for key in keys)


def test_backslashes_are_slashes_where_that_is_the_file(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "d.jpg").write_bytes(jpeg(8, 8))
    source = from_table(csv_of("path,label\nin\\d.jpg,1\n"))
    assert list(source.columns["key"]) == ["in/d.jpg"]
    assert source.notes == ("paths have backslashes, which are read as slashes: 'in/d.jpg'",)
    (tmp_path / "in\\d.jpg").write_bytes(jpeg(8, 8))
    assert list(from_table("t.csv").columns["key"]) == ["in\\d.jpg"]


def test_a_wrong_folder_is_one_error(tmp_path):
    (tmp_path / "tables").mkdir()
    csv_of("path,label\na.jpg,1\nb.jpg,1\n", "tables/t.csv")
    with pytest.raises(
        errors.MissingFileError,
        match="all 2 images are missing: .* relative to tables; "
        r".*below the current folder: use root='\.'",
    ):
        from_table("tables/t.csv")
    assert len(from_table("tables/t.csv", root=".")) == 2
    assert run("pack", "tables/t.csv", "-o", "a.h5", "--root", ".").exit_code == 0


def test_a_row_without_a_path_is_a_bad_sample():
    csv_of("path,label\na.jpg,1\n,2\n")
    with pytest.raises(SourceError, match=r"the row names no image; .* at t\.csv, record 1"):
        pack("t.csv", "a.h5")
    assert pack("t.csv", "a.h5", PackOptions(on_error="skip")).num_samples == 1


# A second image


@pytest.fixture
def masks(tmp_path):
    (tmp_path / "masks").mkdir()
    for seed, name in enumerate("abc"):
        (tmp_path / "masks" / f"{name}.png").write_bytes(save(photo(8, 8, seed=seed + 5), "PNG"))
    return [(tmp_path / "masks" / f"{name}.png").read_bytes() for name in "abc"]


def test_a_table_can_name_a_second_image(masks):
    csv_of("path,mask\na.jpg,masks/a.png\nb.jpg,masks/b.png\n")
    packed = pack("t.csv", "a.tfrecord")
    assert "column 'mask' names images, packed as field 'mask'" in packed.notes[1]
    dataset = fastpack.open("a.tfrecord", decode=False)
    assert dataset.schema["mask"].kind == "image"
    assert [bytes(sample["mask"]) for sample in dataset] == masks[:2]


def test_further_images_count_in_a_shards_size(masks, tmp_path):
    for name in "abc":
        (tmp_path / "masks" / f"{name}.png").write_bytes(save(photo(90, 90), "PNG"))
    csv_of("path,mask\n" + "".join(f"{name}.jpg,masks/{name}.png\n" for name in "abc"))
    packed = pack("t.csv", "a.tfrecord", PackOptions(shard_size="20KB"))
    assert len(packed.paths) == 3
    planned = pack("t.csv", "b.tfrecord", PackOptions(dry_run=True)).planned
    assert planned[0].num_bytes > 3 * (tmp_path / "masks" / "a.png").stat().st_size > 3 * 10_000


def test_images_that_are_not_there(masks):
    csv_of("path,mask,original\na.jpg,masks/a.png,x.jpg\nb.jpg,masks/x.png,y.jpg\n")
    with pytest.raises(errors.MissingFileError, match=r"masks/x\.png"):
        pack("t.csv", "a.tfrecord")
    packed = pack("t.csv", "a.tfrecord", PackOptions(on_error="skip"))
    assert packed.num_samples == 1
    assert any(
        "'original' is kept as text, though it reads like images" in note for note in packed.notes
    )
    assert list(fastpack.open("a.tfrecord").columns["original"]) == ["x.jpg"]


def test_images_by_name(masks):
    csv_of("path,mask,depth\na.jpg,masks/a.png,masks/b.png\n")
    assert set(from_table("t.csv", image_columns=["depth"]).columns) == {"key", "mask"}
    with pytest.raises(SourceError, match="no column 'none' for image_columns"):
        from_table("t.csv", image_columns=["none"])
    with pytest.raises(errors.OptionError, match="image or mask, not 'text'"):
        from_table("t.csv", image_columns={"mask": "text"})
    assert (
        run("pack", "t.csv", "-o", "a.tfrecord", "--image-columns", "depth,mask=mask").exit_code
        == 0
    )
    kinds = {field.name: field.kind for field in fastpack.open("a.tfrecord").schema.blobs}
    assert kinds == {"image": "image", "depth": "image", "mask": "mask"}


def test_second_images_lead_nowhere_else(masks, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(jpeg(8, 8))
    csv_of("path,mask\na.jpg,../masks/a.png\n", "in/t.csv")
    assert list(from_table("in/t.csv").columns["mask"]) == ["../masks/a.png"]
    with pytest.raises(SourceError, match="leads out of"):
        pack(from_table("in/t.csv", image_columns=["mask"]), "a.tfrecord")
    assert "mask" in from_table("in/t.csv", allow_external=True).schema


# Several rows for one file


@pytest.mark.parametrize("output", ["a.tfrecord", "a.h5"])
@pytest.mark.parametrize("folder", ["out", "out.tar"])
def test_files_of_several_rows_come_back_once(output, folder):
    csv_of(
        "path,caption\n"
        + "".join(f"{name}.jpg,caption {number}\n" for number in range(3) for name in "ab")
    )
    pack("t.csv", output)
    dataset = fastpack.open(output)
    assert len(dataset) == 6
    assert fastpack.extract(dataset, folder).num_files == (6 if folder == "out.tar" else 2)
    assert run("verify", output, "--against", "t.csv").exit_code == 0


def test_files_of_one_key_and_other_bytes_are_refused(tmp_path):
    for output, name in (("a.h5", "a.jpg"), ("b.h5", "b.jpg")):
        pack(fastpack.sources.ImageFiles([name], keys=["same"]), output)
    both = fastpack.concat([fastpack.open("a.h5"), fastpack.open("b.h5")])
    with pytest.raises(
        errors.FormatError,
        match=r"samples 0 and 1 are both called 'same\.jpg', with other bytes; nothing was written",
    ):
        fastpack.extract(both, "out")
    assert not (tmp_path / "out").exists()


def test_other_labels_of_one_file_are_two_samples_of_a_tar():
    pack(fastpack.sources.ImageFiles(["a.jpg", "a.jpg"], [0, 1], keys=["a", "a"]), "a.h5")
    assert fastpack.extract(fastpack.open("a.h5"), "out").num_files == 1
    fastpack.extract(fastpack.open("a.h5"), "out.tar")
    columns = fastpack.open("out.tar").columns
    assert (list(columns["key"]), columns["label"].tolist()) == (["a", "a"], [0, 1])


# At the API


@pytest.mark.parametrize(
    "call",
    [
        lambda: fastpack.packing.snippets.create_hdf5(
            np.zeros((2, 8, 8, 3), np.uint8), [0, 1], "x.h5"
        ),
        lambda: fastpack.packing.snippets.write_tfrecord(
            [np.zeros((8, 8, 3), np.uint8)], [0], "x.tfrecord"
        ),
        lambda: fastpack.packing.snippets.write_tfrecord([object()], [0], "x.tfrecord"),
        lambda: fastpack.packing.snippets.write_tfrecord(5, [0], "x.tfrecord"),
        lambda: fastpack.packing.snippets.write_tfrecord("a.jpg", [0], "x.tfrecord"),
        lambda: fastpack.packing.snippets.write_tfrecord(
            ["a.jpg", "b.jpg"], [[1], [1, 2]], "x.tfrecord"
        ),
        lambda: fastpack.packing.snippets.write_tfrecord(["a.jpg"], ["cat"], "x.tfrecord"),
        lambda: fastpack.packing.snippets.write_tfrecord(["a.jpg"], [2**63], "x.tfrecord"),
        lambda: fastpack.packing.snippets.write_tfrecord(["a.jpg"], 5, "x.tfrecord"),
        lambda: fastpack.packing.snippets.write_tfrecord(["a.jpg"], [None], "x.tfrecord"),
        lambda: fastpack.sources.ImageFiles(["a.jpg"], keys=[5]),
        lambda: fastpack.sources.ImageFiles(["a.jpg"], keys=["\ud800"]),
        lambda: fastpack.sources.ImageFiles(["a.jpg"], columns={"x": [[1], [1, 2]]}),
        lambda: fastpack.sources.ImageFiles(["a.jpg"], columns={"x": 5}),
        lambda: fastpack.sources.ImageFiles(["a.jpg"], columns={"x": np.array([2**63], np.uint64)}),
        lambda: fastpack.sources.ImageFiles(["a.jpg"], columns={"x": np.array([1j])}),
        lambda: fastpack.sources.ImageFiles(["a.jpg"], columns=[1]),
        lambda: fastpack.sources.ImageFiles(["a.jpg"], columns={5: [1]}),
        lambda: fastpack.sources.ImageFiles({"a.jpg"}),
        lambda: fastpack.sources.ImageFiles({"a.jpg": 0}),
        lambda: fastpack.sources.ImageFiles(["a.jpg"], [0], class_names="cat"),
        lambda: fastpack.sources.ImageFiles(["a.jpg"], keys="a"),
        lambda: fastpack.sources.ImageFiles(["a.jpg"], root=5),
        lambda: pack(5, "x.h5"),
        lambda: pack(["a.jpg"], "x.h5"),
        lambda: pack(fastpack.sources.ImageFiles(["a.jpg"]), 5),
        lambda: fastpack.packing.snippets.write_tfrecord(["a.jpg"], [0], None),
        lambda: fastpack.from_folder(5),
        lambda: fastpack.packing.snippets.read_hdf5(5),
        lambda: fastpack.open(None),
        lambda: fastpack.from_table(5),
        lambda: fastpack.from_table(b"t.csv"),
        lambda: from_table(csv_of("path\na.jpg\n"), label_column=["x"]),
        lambda: from_table(csv_of("path\na.jpg\n"), image_columns=5),
        lambda: from_table(csv_of("path\na.jpg\n"), image_columns="path"),
        lambda: from_table(csv_of("path\na.jpg\n"), fields=5),
        lambda: from_table(csv_of("path\na.jpg\n"), root=5),
        lambda: from_table(csv_of("path\na.jpg\n"), root="t.csv"),
    ],
)
def test_bad_types_are_fastpack_errors(call):
    with pytest.raises(errors.FastpackError):
        call()


def test_columns_at_the_api():
    columns = {
        "i": [1, 2],
        "t": ["x", "y"],
        "f": np.array([0.5, 1], np.float16),
        "d": [0.1, 0.2],
        "b": np.array([True, False]),
    }
    source = fastpack.sources.ImageFiles(["a.jpg", "b.jpg"], columns=columns)
    dtypes = {field.name: (field.kind, field.dtype) for field in source.schema.columns}
    assert dtypes == {
        "i": ("int", "int64"),
        "t": ("text", ""),
        "f": ("float", "float32"),
        "d": ("float", "float64"),
        "b": ("int", "int64"),
    }
