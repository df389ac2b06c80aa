"""Archives of photographs in class folders, which are no set of WebDataset's."""

import pytest

import fastpack
from fastpack.errors import EmptySourceError, FastpackWarning, OptionError, SourceError
from tests.support.tars import IMAGES, opened, write_tar


def archive_of(path, names, prefix=""):
    return write_tar(
        path, [(f"{prefix}{name}", IMAGES[number % 4]) for number, name in enumerate(names)]
    )


@pytest.mark.parametrize("prefix", ["", "./", "photos/", "./a/b/"])
def test_folders_of_images_are_classes(tmp_path, prefix):
    path = archive_of(tmp_path / "x.tar", ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"], prefix)
    with pytest.warns(FastpackWarning, match="the 2 folders of the archive are classes"):
        dataset = opened(path)
    assert (dataset.class_names, dataset.columns["label"].tolist()) == (("cat", "dog"), [0, 0, 1])
    assert list(dataset.columns["key"]) == [
        f"{prefix.removeprefix('./')}{key}" for key in ("cat/1", "cat/2", "dog/1")
    ]
    packed = fastpack.convert(path, tmp_path / "x.h5")
    assert packed.notes == dataset.notes
    assert fastpack.open(tmp_path / "x.h5").class_names == ("cat", "dog")
    assert "label" not in opened(path, class_folder="none").schema


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cat/1.jpg", "cat/2.jpg"], ()),  # one folder is no class
        (
            ["1.jpg", "cat/2.jpg"],
            ("no labels are made of folders, because of 1 image beside them: 1",),
        ),
        (["cat/1.jpg", "cat/1.txt", "dog/1.jpg"], ()),  # WebDataset's
        (["train/1.jpg", "val/1.jpg"], None),
        (["../a/1.jpg", "b/1.jpg"], ()),
    ],
)
def test_folders_that_are_no_classes_or_in_doubt(tmp_path, names, said):
    dataset = opened(archive_of(tmp_path / "x.tar", names))
    assert "label" not in dataset.schema
    assert dataset.notes == said or (said is None and "the names of splits" in dataset.notes[0])


@pytest.mark.parametrize("prefix", ["", "flowers/"])
def test_what_lies_beside_the_images_is_left_out(tmp_path, prefix):
    names = [
        "LICENSE.txt",
        "cover.jpg",
        "rose/1.jpg",
        "rose/2.jpg",
        "rose/notes.md",
        "tulip/1.jpg",
        "tulip/2.png",
    ]
    dataset = opened(archive_of(tmp_path / "x.tar", names, prefix))
    assert (dataset.class_names, dataset.columns["label"].tolist()) == (
        ("rose", "tulip"),
        [0, 0, 1, 1],
    )
    left_out = ", ".join(
        f"{prefix}{name}" for name in ("LICENSE.txt", "cover.jpg", "rose/notes.md")
    )
    assert dataset.notes[0] == f"left out 3 files beside the images in class folders: {left_out}"
    assert [bytes(sample["image"]) for sample in dataset] == [
        IMAGES[number % 4] for number in (2, 3, 5, 6)
    ]
    assert len(opened(tmp_path / "x.tar", class_folder="none")) == 7


def test_nothing_is_left_out_of_what_may_be_webdatasets(tmp_path):
    for names in (
        ["a/1.jpg", "b/2.jpg", "b/2.txt", "3.jpg"],
        ["a/1.jpg", "2.jpg", "3.txt"],
        ["1.jpg", "2.jpg", "3.txt"],
    ):
        dataset = opened(archive_of(tmp_path / "x.tar", names))
        assert len(dataset) == len({name.rpartition(".")[0] for name in names})


def test_classes_of_an_archive_on_request(tmp_path):
    path = archive_of(
        tmp_path / "x.tar", ["a/cat/1.jpg", "a/cat/1.txt", "b/dog/1.jpg", "b/dog/1.txt"]
    )
    assert opened(path, class_folder="last").class_names == ("cat", "dog")
    assert opened(path, class_folder="first").class_names == ("a", "b")
    with pytest.raises(
        SourceError, match=r"1 sample beside the folders of the archive \(2\) would have no class"
    ):
        opened(archive_of(tmp_path / "y.tar", ["a/1.jpg", "2.jpg"]), class_folder="first")
    with pytest.raises(OptionError, match="sidecars are for folders"):
        opened(path, sidecars=["txt"])


def test_shards_with_other_classes_count_in_all(tmp_path):
    archive_of(tmp_path / "a.tar", ["cat/1.jpg", "owl/2.jpg"])
    archive_of(tmp_path / "b.tar", ["dog/3.jpg", "owl/4.jpg"])
    dataset = opened(tmp_path / "*.tar")
    assert (dataset.class_names, dataset.columns["label"].tolist()) == (
        ("cat", "dog", "owl"),
        [0, 2, 1, 2],
    )


def test_what_systems_leave_in_archives(tmp_path):
    names = [
        "__MACOSX/cat/x.jpg",
        "cat/1.jpg",
        "cat/@eaDir/1.jpg",
        "cat/Thumbs.db",
        "dog/1.jpg",
        "dog/desktop.ini",
        ".git/1.jpg",
    ]
    dataset = opened(archive_of(tmp_path / "x.tar", names))
    assert list(dataset.columns["key"]) == ["cat/1", "dog/1"]
    assert dataset.class_names == ("cat", "dog")
    assert (
        dataset.notes[0] == "left out 5 hidden or system files: .git/1.jpg, __MACOSX/cat/x.jpg, "
        "cat/@eaDir/1.jpg and 2 more"
    )
    assert [bytes(sample["image"]) for sample in dataset] == [IMAGES[1], IMAGES[0]]
    with pytest.raises(EmptySourceError):
        opened(archive_of(tmp_path / "y.tar", ["__MACOSX/1.jpg"]))
