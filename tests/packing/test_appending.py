"""Appending: what new shards must agree with, checked before anything is written."""

import os

import numpy as np
import pytest

import fastpack
from fastpack import PackOptions, errors, pack
from fastpack.core.ragged import Text
from fastpack.sources import ImageFiles
from tests.support.images import jpeg

OUTPUTS = ["s.tfrecord", "s.h5"]


def folder_of(tmp_path, name, classes, count=2):
    """Class folders; each image has a height of its own class, whatever its number is."""
    for number, cls in enumerate(classes):
        (tmp_path / name / cls).mkdir(parents=True)
        for i in range(count):
            (tmp_path / name / cls / f"{i}.jpg").write_bytes(jpeg(8 + i, 8 + number))
    return tmp_path / name


def classes_in(path) -> list[str]:
    dataset = fastpack.open(path)
    return [dataset.class_names[label] for label in dataset.columns["label"].tolist()]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("shards", [None, 2])
def test_other_classes_are_mapped(tmp_path, output, shards):
    options = PackOptions(shards=shards)
    pack(folder_of(tmp_path, "mon", ["cat", "dog"]), tmp_path / output, options)
    with pytest.warns(fastpack.errors.FastpackWarning, match="'owl' is 2|'dog' is 1 instead of 0"):
        tue = pack(
            folder_of(tmp_path, "tue", ["dog", "owl"]), tmp_path / output, options, append=True
        )
    assert any("new classes: 'owl' is 2" in note for note in tue.notes)
    pack(folder_of(tmp_path, "wed", ["ape", "cat"]), tmp_path / output, options, append=True)
    pack(folder_of(tmp_path, "thu", ["owl"]), tmp_path / output, options, append=True)
    assert (
        classes_in(tmp_path / output)
        == ["cat"] * 2 + ["dog"] * 4 + ["owl"] * 2 + ["ape"] * 2 + ["cat"] * 2 + ["owl"] * 2
    )
    assert fastpack.open(tmp_path / output).class_names == ("cat", "dog", "owl", "ape")


@pytest.mark.parametrize("output", OUTPUTS)
def test_classes_that_were_left_out_keep_their_numbers(tmp_path, output):
    photos = folder_of(tmp_path, "mon", ["cat", "dog", "owl"])
    for name in ("dog", "owl", "cat"):
        packed = pack(photos, tmp_path / output, PackOptions(include=[f"{name}/*"]), append=True)
        assert not any("instead of" in note for note in packed.notes)
    dataset = fastpack.open(tmp_path / output)
    assert dataset.columns["label"].tolist() == [1, 1, 2, 2, 0, 0]
    assert dataset.class_names == ("cat", "dog", "owl")


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_same_classes_are_left_alone(tmp_path, output, recwarn):
    mon, tue = folder_of(tmp_path, "mon", ["cat", "dog"]), folder_of(tmp_path, "tue", ["cat"])
    pack(mon, tmp_path / output)
    (note,) = pack(tue, tmp_path / output, append=True).notes
    assert "2 keys are in the set already" in note
    assert classes_in(tmp_path / output) == ["cat"] * 2 + ["dog"] * 2 + ["cat"] * 2


@pytest.mark.parametrize("output", OUTPUTS)
def test_names_of_one_side_alone(tmp_path, output):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(8, 8))
    named, unnamed = ImageFiles([path], [1], class_names=["cat", "dog"]), ImageFiles([path], [1])
    pack(unnamed, tmp_path / output)
    with pytest.raises(errors.SchemaError, match="the source names its classes.*'cat'"):
        pack(named, tmp_path / output, append=True)
    pack(unnamed, tmp_path / output, append=True)
    pack(named, tmp_path / output, overwrite=True)
    assert (
        "count in the classes of the set" in pack(unnamed, tmp_path / output, append=True).notes[0]
    )
    assert classes_in(tmp_path / output) == ["dog", "dog"]
    with pytest.raises(errors.SourceError, match="the list of 2 classes has no label 2"):
        pack(ImageFiles([path], [2]), tmp_path / output, append=True)


def test_a_label_without_a_name_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(8, 8))
    pack(folder_of(tmp_path, "mon", ["cat", "dog"]), tmp_path / "s.h5", PackOptions(fields=[]))
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(errors.SourceError, match="the list of 2 classes has no label 7"):
        pack(
            ImageFiles([path], [7], keys=["a"], class_names=["dog"]), tmp_path / "s.h5", append=True
        )
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("output", OUTPUTS)
def test_classes_that_are_given_must_be_those_of_the_set(tmp_path, output):
    mon, tue = (
        folder_of(tmp_path, "mon", ["cat", "dog"]),
        folder_of(tmp_path, "tue", ["dog", "owl"]),
    )
    pack(mon, tmp_path / output)
    with pytest.raises(errors.SchemaError, match=r"not those of the set.*leave classes out"):
        pack(tue, tmp_path / output, PackOptions(classes=["owl", "dog"]), append=True)
    pack(tue, tmp_path / output, PackOptions(classes=["cat", "dog", "ape", "owl"]), append=True)
    assert classes_in(tmp_path / output) == ["cat"] * 2 + ["dog"] * 4 + ["owl"] * 2


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"labels": [0]}, {"labels": [0], "keys": ["a"]}),
        ({"labels": [0], "keys": ["a"]}, {"labels": [0]}),
        ({"labels": [0]}, {}),
        ({"columns": {"x": np.array([1])}}, {"columns": {"x": np.array([1.5])}}),
        ({"columns": {"x": np.array([1])}}, {"columns": {"y": np.array([1])}}),
        ({"columns": {"x": np.array([1])}}, {"columns": {"x": Text.of(["a"])}}),
    ],
)
def test_other_fields_are_refused_before_anything_is_written(
    tmp_path, output, ours, theirs, monkeypatch
):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(8, 8))
    pack(ImageFiles([path], **ours), tmp_path / output)
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr("fastpack.packing.pack.Packer", None)
    with pytest.raises(errors.SchemaError, match="but the source holds"):
        pack(ImageFiles([path], **theirs), tmp_path / output, append=True)
    assert sorted(os.listdir(tmp_path)) == before


def test_pixels_are_not_appended_to_image_files(tmp_path):
    photos = folder_of(tmp_path, "mon", ["cat"])
    pack(photos, tmp_path / "s.h5")
    with pytest.raises(errors.SchemaError, match="image: image.*image: pixels"):
        pack(photos, tmp_path / "s.h5", PackOptions(size=8), append=True)
    assert len(fastpack.open(tmp_path / "s.h5")) == 2


def test_fields_with_other_names_are_compared_as_they_were_written(tmp_path):
    photos, names = folder_of(tmp_path, "mon", ["cat"]), {"image": "image/encoded"}
    pack(photos, tmp_path / "s.tfrecord", PackOptions(names=names))
    pack(photos, tmp_path / "s.tfrecord", PackOptions(names=names), append=True)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(errors.SchemaError, match="but the source holds"):
        pack(
            photos,
            tmp_path / "s.tfrecord",
            PackOptions(names={"label": "image/class"}),
            append=True,
        )
    assert sorted(os.listdir(tmp_path)) == before
    assert len(fastpack.open(tmp_path / "s.tfrecord")) == 4


class TestVirtualDataset:
    def test_it_does_not_replace_the_first_file_of_a_set(self, tmp_path):
        photos = folder_of(tmp_path, "mon", ["cat"])
        pack(photos, tmp_path / "s.h5", PackOptions(size=8))
        with pytest.raises(errors.OptionError, match="leave virtual out"):
            pack(photos, tmp_path / "s.h5", PackOptions(size=8, virtual=True), append=True)
        assert len(fastpack.open(tmp_path / "s.h5")) == 2

    def test_one_that_is_there_is_kept_up_to_date(self, tmp_path):
        import h5py

        photos = folder_of(tmp_path, "mon", ["cat"])
        pack(photos, tmp_path / "s.h5", PackOptions(size=8, shards=1, virtual=True))
        for num_samples in (4, 6):
            pack(photos, tmp_path / "s.h5", PackOptions(size=8), append=True)
            with h5py.File(tmp_path / "s.h5") as file:
                assert len(file["images"]) == num_samples
            assert len(fastpack.open(tmp_path / "s.h5")) == num_samples
