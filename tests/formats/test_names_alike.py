"""Fields whose names are alike: one field has in the file the name that users call another."""

from itertools import permutations

import pytest

import fastpack
from fastpack import PackOptions
from fastpack.core import Field
from tests.support.random_samples import GRAY, JPEG, PNG, Samples
from tests.support.tars import write_tar
from tests.support.wire import bytes_list, entry, example, frame

VALUES = {
    "image": (Field("image", "image"), [PNG, JPEG]),
    "key": (Field("key", "text"), ["a", "b"]),
    "seg.png": (Field("seg.png", "mask"), [GRAY, GRAY]),
    "seg": (Field("seg", "image"), [JPEG, PNG]),
    "seg.jpg": (Field("seg.jpg", "bytes"), [b"x", PNG]),
    "image/encoded": (Field("image/encoded", "bytes"), [b"\xff", b""]),
    "image_raw": (Field("image_raw", "mask"), [GRAY, GRAY]),
    "image/image": (Field("image/image", "image", (None,)), [[PNG], []]),
    "image_image": (Field("image_image", "text"), ["one", ""]),
    "mask": (Field("mask", "mask"), [GRAY, b""]),
    "mask.bin": (Field("mask.bin", "bytes"), [b"x", b"y"]),
    "bin": (Field("bin", "bytes"), [b"z", b""]),
    "txt": (Field("txt", "text"), ["", "two"]),
    "txt.txt": (Field("txt.txt", "bytes"), [b"\xff", b"\xfe"]),
}
FORMATS = ["x.tar", "x.h5", "x.tfrecord"]


def samples(names):
    return Samples(
        tuple(VALUES[name][0] for name in names), {name: VALUES[name][1] for name in names}
    )


def packed(path, names):
    fastpack.pack(samples(names), path, PackOptions(sync=False))
    return path


def kinds(dataset):
    return {field.name: field.kind for field in dataset.schema.fields}


@pytest.mark.parametrize("names", [*permutations(["image", "key", "seg.png", "seg"])], ids=",".join)
@pytest.mark.parametrize("output", FORMATS)
def test_a_pack_of_names_alike_is_sound(tmp_path, output, names):
    assert fastpack.verify(packed(tmp_path / output, names), against=samples(names)).problems == ()


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize(
    "names",
    [
        ["image", "key", "seg.png", "seg.jpg", "seg"],
        ["image", "key", "image_raw", "image/encoded"],
        ["image/encoded", "key", "image", "image_raw"],
        ["image", "image_image", "key", "txt", "txt.txt"],
        ["txt.txt", "txt", "image", "key"],
        ["image", "key", "mask", "mask.bin", "bin"],
        ["bin", "mask.bin", "mask", "key"],
    ],
    ids=",".join,
)
def test_endings_nested_names_and_usual_names_are_distinguished(tmp_path, output, names):
    assert fastpack.verify(packed(tmp_path / output, names), against=samples(names)).problems == ()


@pytest.mark.parametrize("output", ["x.h5", "x.tfrecord"])
def test_lists_of_images_in_nested_names_are_distinguished(tmp_path, output):
    names = ["image", "image/image", "image_image", "key"]
    assert fastpack.verify(packed(tmp_path / output, names), against=samples(names)).problems == ()


@pytest.mark.parametrize("output", FORMATS)
def test_a_field_is_chosen_by_its_own_name_first(tmp_path, output):
    path = packed(tmp_path / output, ["image", "key", "seg.png", "seg"])
    for untrusted in (False, True):
        dataset = fastpack.open(path, fields=["seg"], decode=False, untrusted=untrusted)
        assert kinds(dataset) == {"seg": "image"}
        assert bytes(dataset[0]["seg"]) == JPEG


@pytest.mark.parametrize("output", FORMATS)
def test_kinds_are_given_by_a_fields_own_name_first(tmp_path, output):
    path = packed(tmp_path / output, ["image", "key", "seg.png", "seg"])
    before = kinds(fastpack.open(path))
    assert kinds(fastpack.open(path, kinds={"seg": "mask"})) == before | {"seg": "mask"}
    assert kinds(fastpack.open(path, kinds={"seg": "mask", "seg.png": "image"})) == before | {
        "seg": "mask",
        "seg.png": "image",
    }
    fastpack.build_indexes(path, kinds={"seg": "mask"})
    assert kinds(fastpack.open(path)) == before | {"seg": "mask"}
    assert fastpack.verify(path).is_sound


def test_kinds_are_given_by_a_name_in_the_file_that_no_field_has(tmp_path):
    path = packed(tmp_path / "x.tar", ["image", "key", "seg.png", "seg"])
    assert kinds(fastpack.open(path, kinds={"_seg": "mask"}))["seg"] == "mask"


def test_a_strangers_tar_has_files_that_end_in_image(tmp_path):
    members = [("a.jpg", JPEG), ("a.image", b"\xff"), ("b.png", PNG), ("b.image", b"\xfe")]
    path = write_tar(tmp_path / "x.tar", members)
    assert kinds(fastpack.open(path)) == {"image": "image", "image_column": "bytes", "key": "text"}
    assert fastpack.verify(path).is_sound
    assert kinds(fastpack.open(path, kinds={"image": "mask"})) == {
        "image": "mask",
        "image_column": "bytes",
        "key": "text",
    }


def records(path, *features):
    path.write_bytes(
        b"".join(
            frame(example(*(entry(name, bytes_list(value)) for name, value in each.items())))
            for each in features
        )
    )
    return path


def test_two_features_have_one_usual_name(tmp_path):
    path = records(
        tmp_path / "x.tfrecord",
        {b"image/encoded": PNG, b"image": b"one"},
        {b"image/encoded": JPEG, b"image": b"two"},
    )
    assert kinds(fastpack.open(path)) == {"image": "text", "image/encoded": "image"}
    assert kinds(fastpack.open(path, kinds={"image": "bytes"})) == {
        "image": "bytes",
        "image/encoded": "image",
    }
    fastpack.build_indexes(path, kinds={"image": "bytes"})
    assert fastpack.verify(path).is_sound


def test_files_agree_on_fields_that_have_other_names_in_them(tmp_path):
    records(tmp_path / "x-00000-of-00002.tfrecord", {b"image/encoded": JPEG, b"x": b"one"})
    records(tmp_path / "x-00001-of-00002.tfrecord", {b"image": b"\xff", b"x": b"two"})
    assert kinds(fastpack.open(tmp_path)) == {"image": "bytes", "x": "text"}
    fastpack.build_indexes(tmp_path)
    assert fastpack.verify(tmp_path).is_sound
    assert kinds(fastpack.open(tmp_path)) == {"image": "bytes", "x": "text"}
