"""Which folder is a class, and labels that count in another list of names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack.core import Ragged
from fastpack.core.ragged import offsets_of
from fastpack.errors import OptionError, SourceError
from fastpack.files.classes import ClassMap, classes_of
from fastpack.files.image_folder import FolderRules

STEMS = st.text(st.sampled_from("a0-+.~ !é￿"), min_size=1, max_size=3)
SPLIT = "have the names of splits, not of classes"


def named(files, which=None):
    found = classes_of(files, which)
    return [None if label < 0 else found.names[label] for label in found.labels]


@given(
    files=st.lists(st.lists(STEMS, min_size=2, max_size=3).map("/".join), min_size=1, max_size=9),
    which=st.sampled_from(["first", "last"]),
)
def test_classes_are_numbered_in_sorted_order(files, which):
    part = {"first": 0, "last": -2}[which]
    assert list(classes_of(files, which).names) == sorted({file.split("/")[part] for file in files})
    assert named(files, which) == [file.split("/")[part] for file in files]
    assert classes_of(files, which).labels.dtype == np.int64
    assert not classes_of(files, which).notes


CHOSEN = {
    "plain": (["cat/1", "dog/2"], ["cat", "dog"], False),
    "taxonomy": (
        ["Aves/3001/1", "Plantae/7477/2", "Plantae/8001/3"],
        ["3001", "7477", "8001"],
        True,
    ),
    "one above all": (["photos/cat/1", "photos/dog/2"], ["cat", "dog"], True),
    "one above all, some deeper": (["photos/cat/1", "photos/dog/old/2"], ["cat", "dog"], True),
    "every class has the same folder in it": (
        ["n01/images/1", "n02/images/2"],
        ["n01", "n02"],
        True,
    ),
    "some deeper": (["cat/1", "cat/old/2", "dog/3"], ["cat", "cat", "dog"], True),
    "one class": (["cat/1", "cat/2"], ["cat", "cat"], False),
    "one class with folders": (["cat/a/1", "cat/b/2"], ["a", "b"], True),
    "a class called train": (["train/1", "ship/2"], ["train", "ship"], False),
    "only one split": (["train/cat/1", "train/dog/2"], ["cat", "dog"], True),
}


@pytest.mark.parametrize(("files", "names", "is_said"), CHOSEN.values(), ids=CHOSEN)
def test_which_folder_is_chosen_unasked(files, names, is_said):
    assert named(files) == names
    assert ["class_folder=" in note for note in classes_of(files).notes] == [True] * is_said


@pytest.mark.parametrize(
    "files",
    [
        ["train/cat/1", "val/cat/2"],
        ["Train/cat/1", "TEST/dog/2"],
        ["train/1", "test/2"],
        ["images/train/1", "images/val/2"],
        ["a/train/cat/1", "a/valid/cat/2", "a/test/cat/3"],
    ],
)
def test_splits_are_no_classes(files):
    with pytest.raises(SourceError, match=SPLIT):
        classes_of(files)
    assert classes_of(files, "last").names
    assert classes_of(files, "first").names


def test_images_beside_the_class_folders():
    found = classes_of(["1.jpg", "cat/1.jpg", "x.jpg"])
    assert (found.labels.tolist(), found.names, found.strays.first) == (
        [-1, 0, -1],
        ("cat",),
        ("1.jpg", "x.jpg"),
    )
    assert classes_of(["1.jpg", "cat/1.jpg"], "none").labels is None
    assert classes_of(["1.jpg", "2.jpg"]).labels is None


def test_what_could_not_be_looked_into_is_not_asked():
    files = ["a/b/c/", "x/1/p.jpg", "y/2/p.jpg"]
    assert classes_of(files).names == ("a", "x", "y")
    assert classes_of(files, None, [0]).names == ("1", "2", "b")


@pytest.mark.parametrize(
    "options",
    [{"class_folder": "leaf"}, {"sidecars": "txt"}, {"sidecars": ["key"]}, {"sidecars": [".txt"]}],
)
def test_rules_that_make_no_sense(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        FolderRules(**options)


@given(data=st.data(), new=st.lists(STEMS, min_size=1, unique=True))
def test_labels_keep_their_names(data, new):
    old = data.draw(st.lists(st.sampled_from(new), unique=True, min_size=1))
    labels = np.array(data.draw(st.lists(st.integers(0, len(old) - 1))), np.int64)
    found = ClassMap.between(old, tuple(new)).relabeled(labels)
    assert [new[label] for label in found] == [old[label] for label in labels]


def test_labels_without_names_count_in_the_list():
    assert ClassMap.between([], ("a", "b")).relabeled(np.array([1, 0])).tolist() == [1, 0]
    with pytest.raises(SourceError, match="2 classes has no label -1, label 2;"):
        ClassMap.between([], ("a", "b")).relabeled(np.array([1, 2, -1]))


def test_lists_of_labels():
    labels = Ragged(np.array([0, 1, 0]), offsets_of([1, 0, 2]))
    found = ClassMap.between(["b", "a"], ("a", "b")).relabeled(labels)
    assert [row.tolist() for row in found] == [[1], [], [0, 1]]


def test_unknown_classes_are_named():
    with pytest.raises(
        SourceError, match=r"the list of 1 classes has no fox, owl; add .* exclude$"
    ):
        ClassMap.between(["cat", "fox", "owl", "unused"], ("cat",)).relabeled(
            np.array([0, 1, 2, 1])
        )
