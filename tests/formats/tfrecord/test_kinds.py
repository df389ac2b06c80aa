"""Kinds of the features of a TFRecord: inferred from all values, or given as an option."""

import json
import os

import numpy as np
import pytest

import fastpack
from fastpack.errors import FormatError, OptionError, SchemaError
from fastpack.formats.index.index_file import load_index
from tests.support.command_line import run
from tests.support.images import jpeg, photo, save
from tests.support.saved_tables import SavedTables
from tests.support.wire import bytes_list, entry, example, float_list, frame, int_list

JPEGS = [jpeg(8, 8, seed=seed) for seed in range(4)]


def tfrecord(path, *values):
    """A record for each list of values of the feature x."""
    path.write_bytes(
        b"".join(
            frame(example(entry(b"image", bytes_list(JPEGS[0])), entry(b"x", bytes_list(*each))))
            for each in values
        )
    )
    return path


def kind(path, name="x", **options):
    field = fastpack.open(path, save_index=False, **options).schema[name]
    return field.kind + "[]" * field.is_list


def fields_of(output):
    return {field["name"]: field for field in json.loads(output)["fields"]}


RULE = {
    "short texts": ([[b"a"], [b""], ["ü".encode()]], "text"),
    "a long text": ([[b"word " * 40_000], [b"a"]], "text"),
    "long texts": ([[b"word " * 20_000_000], [b"word"]], "bytes"),
    "a text that begins as an image": ([[b"GIF89a was a format"], [b"two"]], "text"),
    "not UTF-8": ([[b"a"], [b"\xff\xfe"]], "bytes"),
    "letters that are cut": ([["ü".encode()[:1]], ["ü".encode()[1:]]], "bytes"),
    "a NUL": ([[b"a\0"], [b"b"]], "bytes"),
    "images": ([[JPEGS[0]], [JPEGS[1]]], "image"),
    "images and nothing": ([[JPEGS[0]], [b""], []], "image"),
    "images, one of them damaged": ([[JPEGS[0]], [JPEGS[1]], [b"\xff\xd8\xff"]], "image"),
    "one image among others": ([[JPEGS[0]], [b"\xff\0"], [b"\xfe"]], "bytes"),
    "a dark bitmap": ([[save(np.zeros((4, 4, 3), np.uint8), "BMP")]], "image"),
    "nothing": ([[b""], [b""]], "text"),
    "lists of images": ([JPEGS, [], JPEGS[:1]], "image[]"),
    "lists of texts": ([[b"a", b"b"], []], "text[]"),
}


@pytest.mark.parametrize(("values", "expected"), RULE.values(), ids=RULE)
def test_all_values_decide(tmp_path, values, expected):
    assert kind(tfrecord(tmp_path / "x.tfrecord", *values)) == expected


@pytest.mark.parametrize("given", ["text", "bytes", "image", "mask", "image[]"])
def test_kinds_that_are_given(tmp_path, given):
    path = tfrecord(
        tmp_path / "x.tfrecord", [save(photo(4, 4, 1), "PNG")], [save(photo(4, 4, 1), "PNG")]
    )
    assert kind(path, kinds={"x": given}) == given
    assert kind(path) == "image"
    fastpack.build_indexes(path, kinds={"x": given})
    assert kind(path) == given
    assert fastpack.verify(path).is_sound
    os.utime(path, (1, 1))  # as in a copy: the index is built again
    assert kind(path) == given


def test_kinds_that_cannot_be(tmp_path):
    path = tfrecord(tmp_path / "x.tfrecord", [b"a"])
    with pytest.raises(OptionError, match="'x' cannot be 'picture'; choose one of image"):
        fastpack.open(path, kinds={"x": "picture"})
    with pytest.raises(SchemaError, match="no field 'y' that can be read as 'text'"):
        fastpack.open(path, kinds={"y": "text"})
    with pytest.raises(SchemaError, match="no field 'image' that can be read as 'float'"):
        fastpack.open(path, kinds={"image": "float"})


def test_kinds_on_the_command_line(tmp_path):
    path = tfrecord(tmp_path / "x.tfrecord", [b"a"])
    assert {"name": "x", "kind": "bytes"}.items() <= fields_of(
        run("info", path, "--kinds", "x=bytes", "--json").stdout
    )["x"].items()
    assert run("info", path, "--kinds", "x").exit_code == 2
    assert run("convert", path, tmp_path / "x.h5", "--kinds", "x=bytes").exit_code == 0
    assert kind(tmp_path / "x.h5") == "bytes"
    assert run("index", path, "--kinds", "x=bytes").exit_code == 0
    assert kind(path) == "bytes"


AGREED = {
    "text and bytes": ([b"a"], [b"\xff"], "bytes"),
    "text and an image": ([b"a"], [JPEGS[0]], "bytes"),
    "an image and nothing": ([b""], [JPEGS[0]], "image"),
    "an image and images": ([JPEGS[0]], JPEGS[:2], "image[]"),
    "a text and texts": ([b"a"], [b"a", b"b"], "text[]"),
}


@pytest.mark.parametrize(("one", "other", "expected"), AGREED.values(), ids=AGREED)
@pytest.mark.parametrize("saves", [False, True])
def test_files_that_are_opened_together_agree(tmp_path, one, other, expected, saves):
    paths = [tfrecord(tmp_path / "a.tfrecord", one), tfrecord(tmp_path / "b.tfrecord", other)]
    for order in (paths, paths[::-1]):
        dataset = fastpack.open(order, save_index=saves, decode=False)
        assert dataset.schema["x"].kind + "[]" * dataset.schema["x"].is_list == expected
        assert len(dataset.read([0, 1])["x"]) == 2
    assert fastpack.verify(paths).is_sound
    fastpack.build_indexes(paths)
    assert fastpack.verify(paths).is_sound


def test_lists_of_images_are_read_decoded_and_taken(tmp_path):
    path = tfrecord(tmp_path / "x.tfrecord", JPEGS, [], JPEGS[:1], [jpeg(4, 6), JPEGS[0]])
    dataset = fastpack.open(path)
    shapes = [[image.shape for image in sample] for sample in dataset.read(range(4))["x"]]
    assert shapes == [[(8, 8, 3)] * 4, [], [(8, 8, 3)], [(4, 6, 3), (8, 8, 3)]]
    resized = dataset.with_options(transform=fastpack.Resize(5)).read([3, 0, 1])["x"]
    assert [sample.shape for sample in resized] == [(2, 5, 5, 3), (4, 5, 5, 3), (0, 5, 5, 3)]
    raw = fastpack.concat([dataset, dataset.take([2, 0])]).with_options(decode=False)
    assert [raw[i]["x"] for i in (0, 1, 4, 5)] == [JPEGS, [], JPEGS[:1], JPEGS]
    assert fastpack.open(path, decode=False)[3]["x"] == [jpeg(4, 6), JPEGS[0]]


def test_a_damaged_record_loses_its_list_alone(tmp_path):
    path = tfrecord(tmp_path / "x.tfrecord", JPEGS, JPEGS[:2])
    dataset = fastpack.open(path, decode=False, on_error="mask")
    data = bytearray(path.read_bytes())
    data[data.index(JPEGS[3]) + 50] ^= 1
    stat = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    batch = dataset.read([0, 1])
    assert batch.mask.tolist() == [False, True]
    assert batch.sample(1)["x"] == JPEGS[:2]


def test_names_of_features_that_no_file_name_has(tmp_path):
    names = [b"\xff", b"a/b", b"a/b/values", b"nul\0", "ü".encode()]
    record = example(
        entry(b"image", bytes_list(JPEGS[0])),
        *(entry(name, bytes_list(b"text ", name.hex().encode())) for name in names),
    )
    (tmp_path / "x.tfrecord").write_bytes(frame(record))
    built = fastpack.open(tmp_path / "x.tfrecord")
    loaded = fastpack.open(tmp_path / "x.tfrecord")
    assert (tmp_path / "x.tfrecord.fpindex").exists()
    texts = [
        {name: list(column[0]) for name, column in each.index.columns.items()}
        for each in (built, loaded)
    ]
    assert texts[0] == texts[1]
    assert sorted(texts[0].values()) == sorted(["text ", name.hex()] for name in names)


def test_a_list_that_lies_about_its_length_is_refused(tmp_path):
    path = tfrecord(tmp_path / "x.tfrecord", JPEGS[:2])
    fastpack.open(path)
    index = tmp_path / "x.tfrecord.fpindex"
    saved = SavedTables(index)
    saved.tables["blob/x"]["length"][0] = 3
    saved.save(index)
    with pytest.raises(FormatError, match=r"list lies outside of blob/x.*fpindex"):
        load_index(index)


def test_lists_of_images_are_not_extracted_but_converted(tmp_path):
    path = tfrecord(tmp_path / "x.tfrecord", JPEGS, JPEGS[:1])
    frames = fastpack.open(path, fields=["x"])
    with pytest.raises(SchemaError, match="the files in 'x' are lists"):
        fastpack.extract(frames, tmp_path / "files")
    with pytest.raises(SchemaError, match="a tar cannot hold 'x', which has lists of files"):
        fastpack.convert(path, tmp_path / "x.tar")
    fastpack.pack(frames.with_options(decode=False), tmp_path / "x.h5")
    assert fastpack.open(tmp_path / "x.h5", decode=False)[0]["x"] == JPEGS
    assert {name for name in os.listdir(tmp_path) if not name.endswith(".fpindex")} == {
        "x.tfrecord",
        "x.h5",
    }


def test_a_rebuilt_index_keeps_the_kinds(tmp_path):
    mask, path = save(photo(4, 4, 1), "PNG"), tmp_path / "x.tfrecord"
    for given, values in (
        ("mask", [mask]),
        ("bytes", [mask]),
        ("text", [b"a\0"]),
        ("text[]", [b"a"]),
    ):
        fastpack.build_indexes(tfrecord(path, values, values), kinds={"x": given})
        built = fastpack.build_indexes(path, rebuild=True)
        assert built.notes == ()
        assert kind(path) == given
        path.with_name("x.tfrecord.fpindex").unlink()


def test_the_kinds_of_our_pack_outlive_a_rebuild(tmp_path):
    for name, data in (("a.jpg", JPEGS[0]), ("m.png", save(photo(4, 4, 1), "PNG"))):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "t.jsonl").write_text(
        json.dumps({"path": "a.jpg", "m": "m.png", "cap": "a\0", "one": ["a"]})
    )
    path = tmp_path / "x.tfrecord"
    fastpack.pack(fastpack.from_table(tmp_path / "t.jsonl", image_columns={"m": "mask"}), path)
    schema = fastpack.open(path).schema
    assert run("index", path, "--rebuild").exit_code == 0
    assert fastpack.open(path).schema == schema
    assert (kind(path, "m"), kind(path, "cap"), kind(path, "one")) == ("mask", "text", "text[]")


def test_kinds_of_other_records_are_guessed_again_with_a_note(tmp_path):
    path = tmp_path / "x.tfrecord"
    fastpack.build_indexes(tfrecord(path, [b"a"]), kinds={"x": "bytes"})
    built = fastpack.build_indexes(tfrecord(path, [b"b"], [b"c"]), rebuild=True)
    assert built.notes == (
        "'x' is read as text, since the file has other records than when it was indexed as bytes; "
        "give kinds if it is still bytes",
    )
    assert fastpack.verify(path).is_sound


JPEG = entry(b"image", bytes_list(JPEGS[0]))


def records(path, *features):
    path.write_bytes(b"".join(frame(example(JPEG, *each)) for each in features))
    return path


def test_a_feature_of_two_kinds_can_be_left_out(tmp_path):
    x = [
        entry(b"x", int_list(1)),
        entry(b"x", float_list(1.0)),
        entry(b"x", bytes_list(b"a")),
        entry(b"x", int_list(2)),
    ]
    path = records(
        tmp_path / "x.tfrecord", *([each, entry(b"n", int_list(row))] for row, each in enumerate(x))
    )
    for fields in (None, ["image", "x"]):
        with pytest.raises(SchemaError, match="x: the feature has another kind of list"):
            fastpack.open(path, fields=fields)
    dataset = fastpack.open(path, fields=["image", "n"], decode=False)
    assert [field.name for field in dataset.schema.fields] == ["image", "n"]
    assert dataset.columns["n"].tolist() == [0, 1, 2, 3]
    assert dataset[3]["image"] == JPEGS[0]


EMPTY = {"int": int_list(), "float": float_list(), "bytes": bytes_list(), "none": b""}
FILLED = {
    "int": int_list(1),
    "float": float_list(1.0),
    "text": bytes_list(b"a"),
    "image": bytes_list(JPEGS[1]),
}


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("value", FILLED.values(), ids=FILLED)
def test_an_empty_list_of_another_kind_is_a_missing_value(tmp_path, empty, value, monkeypatch):
    alone = records(tmp_path / "one.tfrecord", [entry(b"x", value)])
    monkeypatch.setattr("fastpack.formats.tfrecord.scan._WINDOW_BYTES", 1)  # a record at a time
    expected = fastpack.open(alone, decode=False).schema["x"]
    for order in ([empty, value, empty], [value, empty], [empty, empty, value]):
        path = records(tmp_path / "x.tfrecord", *([entry(b"x", each)] for each in order))
        dataset = fastpack.open(path, save_index=False, decode=False)
        assert (dataset.schema["x"].kind, dataset.schema["x"].dtype) == (
            expected.kind,
            expected.dtype,
        )
        assert [len(dataset[row]["x"]) > 0 for row in range(len(order))] == [
            each is value for each in order
        ]


def test_repair_says_that_a_file_cannot_be_opened(tmp_path):
    path = records(
        tmp_path / "x.tfrecord", [entry(b"x", int_list(1))], [entry(b"x", float_list(1.0))]
    )
    repaired = fastpack.repair(path, tmp_path / "y.tfrecord")
    assert "cannot be opened as it is: x: the feature has another kind" in repaired.notes[0]
    assert len(fastpack.open(tmp_path / "y.tfrecord", fields=["image"])) == 2
    again = run("repair", path, "-o", tmp_path / "z.tfrecord")
    assert (again.exit_code, "note: the new file cannot be opened" in again.stdout) == (1, True)


def test_a_feature_without_a_name_beside_one_called_unnamed(tmp_path):
    path = records(
        tmp_path / "x.tfrecord", [entry(b"", int_list(3)), entry(b"unnamed", int_list(4))]
    )
    sample = fastpack.open(path, decode=False)[0]
    assert (sample["_unnamed"], sample["unnamed"]) == (3, 4)
    fastpack.convert(path, tmp_path / "y.tfrecord")
    assert fastpack.verify(tmp_path / "y.tfrecord", against=path).is_sound


@pytest.mark.parametrize("output", ["y.h5", "y.tfrecord", "y.tar"])
def test_keys_and_class_names_that_are_not_utf8(tmp_path, output):
    named = [entry(b"label", int_list(0)), entry(b"class_name", bytes_list(b"\xff"))]
    path = records(
        tmp_path / "x.tfrecord",
        *([entry(b"key", bytes_list(key)), *named] for key in (b"\xff\xfe", "é".encode())),
    )
    dataset = fastpack.open(path, decode=False)
    assert (list(dataset.columns["key"]), dataset.class_names) == ([r"\xff\xfe", "é"], (r"\xff",))
    fastpack.convert(path, tmp_path / output)
    assert fastpack.verify(tmp_path / output, against=path).is_sound
    assert fastpack.verify(path, against=tmp_path / output).is_sound
    fastpack.extract(dataset, tmp_path / "files")
    assert b"\xff\xfe.jpg" in os.listdir(os.fsencode(tmp_path / "files"))


def test_extract_of_a_field_that_is_no_files(tmp_path):
    path = tfrecord(tmp_path / "x.tfrecord", [b"a"])
    with pytest.raises(
        SchemaError, match=r"'x' is text, not files; name a field of files \(image\)"
    ):
        fastpack.extract(fastpack.open(path), tmp_path / "files", field="x")
