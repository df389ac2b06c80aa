"""Files beside images: captions and labels, by the names that WebDataset gives them."""

import os

import numpy as np
import pytest

import fastpack
from fastpack import PackOptions
from fastpack.errors import OptionError, SourceError
from fastpack.formats.file_index import FileIndex
from tests.support.images import jpeg

IMAGE = jpeg(8, 8)


def write(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return root


@pytest.fixture
def captioned(tmp_path):
    """Three images, two of them with captions; one file of that ending belongs to none."""
    return write(
        tmp_path / "sd",
        {
            "0.png": IMAGE,
            "0.txt": "Löwe\n",
            "1.jpg": IMAGE,
            "1.txt": "",
            "2.b.jpg": IMAGE,
            "classes.txt": "x",
            "1.json": "{}",
        },
    )


def columns(dataset):
    return {
        name: list(column) for name, column in dataset.columns.items() if name in dataset.schema
    }


@pytest.mark.parametrize("decoder_name", ["folder", "open", "a.tfrecord", "a.h5"])
def test_captions_are_a_column(captioned, tmp_path, decoder_name):
    if decoder_name == "folder":
        taken = fastpack.from_folder(captioned)
    else:
        path = (
            fastpack.pack(captioned, tmp_path / decoder_name).paths
            if decoder_name != "open"
            else captioned
        )
        taken = fastpack.open(path, decode=False)
    assert [field.name for field in taken.schema.fields] == ["image", "key", "txt"]
    assert columns(taken) == {"key": ["0.png", "1.jpg", "2.b.jpg"], "txt": ["Löwe\n", "", ""]}


def test_what_was_taken_is_said(captioned):
    taken, left_out = fastpack.from_folder(captioned).notes
    assert taken.split("; ") == [
        "the .txt files beside 2 images are the field 'txt'",
        "give sidecars=[] to leave them out",
        "1 without one have an empty text",
        "1 of no image were left out",
    ]
    assert left_out == "left out 1 file that does not end like an image: 1.json"


def test_which_are_taken_can_be_said(captioned):
    assert columns(fastpack.open(captioned, sidecars=[])).keys() == {"key"}
    both = fastpack.from_folder(captioned, sidecars=["json", "txt"])
    assert columns(both)["json"] == ["", "{}", ""]
    assert not any("sidecars" in note for note in both.notes)
    with pytest.raises(SourceError, match=r"no image has a file ending in \.cls"):
        fastpack.from_folder(captioned, sidecars=["cls"])


def test_few_are_not_taken_unasked(tmp_path):
    root = write(tmp_path / "a", {"0.png": IMAGE, "1.png": IMAGE, "2.png": IMAGE, "0.txt": "x"})
    assert fastpack.from_folder(root).schema.columns[-1].name == "key"


@pytest.mark.parametrize("labels", ["folders", "files"])
def test_class_numbers(tmp_path, labels):
    above = "cat/" if labels == "folders" else ""
    root = write(
        tmp_path / "a",
        {
            f"{above}0.png": IMAGE,
            f"{above}0.cls": "7\n",
            f"{above}1.png": IMAGE,
            f"{above}1.cls": "-1",
        },
    )
    for taken in (fastpack.from_folder(root), fastpack.open(root)):
        name = "cls" if labels == "folders" else "label"
        assert (taken.columns[name].dtype, taken.columns[name].tolist()) == (np.int64, [7, -1])
    (root / f"{above}1.cls").unlink()
    assert columns(fastpack.from_folder(root))["cls"] == ["7\n", ""]


def test_long_ones_are_taken_on_request(tmp_path):
    root = write(tmp_path / "a", {"0.png": IMAGE, "0.json": "x" * 70_000})
    source = fastpack.from_folder(root)
    assert "json" not in source.schema
    assert source.notes[0].startswith(
        "some of the .json files beside the images have more than 65,536 bytes, "
        "so they were left out; give"
    )
    assert len(fastpack.from_folder(root, sidecars=["json"]).columns["json"][0]) == 70_000


def test_text_that_is_not_utf8_is_refused(tmp_path):
    root = write(
        tmp_path / "a", {"0.png": IMAGE, "0.txt": "fine", "1.png": IMAGE, "1.txt": b"K\xf6ln"}
    )
    with pytest.raises(
        SourceError, match=r"not UTF-8; save it as UTF-8, or give .* without 'txt' - at .*a/1\.txt"
    ):
        fastpack.from_folder(root)


def test_a_change_of_a_caption_is_noticed(captioned):
    fastpack.build_indexes(captioned)
    assert FileIndex(captioned).saved() is not None
    os.utime(captioned / "0.txt", ns=(5, 5))
    assert FileIndex(captioned).saved() is None


def test_many_are_read_by_several_threads(tmp_path, monkeypatch):
    monkeypatch.setattr("fastpack.files.sidecars._BLOCK", 7)
    root = write(
        tmp_path / "a",
        {
            f"{i:03}{end}": IMAGE if end == ".jpg" else str(i) * (i % 5)
            for i in range(100)
            for end in (".jpg", ".txt")
        },
    )
    assert list(fastpack.from_folder(root).columns["txt"]) == [str(i) * (i % 5) for i in range(100)]


def test_names_that_are_fields_already(captioned):
    for ending in ("label", "key", "image"):
        with pytest.raises(OptionError, match="sidecars are endings"):
            fastpack.pack(captioned, captioned.parent / "a.h5", PackOptions(sidecars=[ending]))
