"""Class folders, splits side by side, and lists of class names."""

import json

import pytest

import fastpack
from fastpack import PackOptions
from fastpack.errors import FastpackError, MissingFileError, OptionError, SourceError
from fastpack.reading.class_lists import class_list
from tests.support.command_line import run
from tests.support.folder_routes import each_route, facts, grow, opened

# Class folders


@each_route
def test_the_last_folder_can_be_the_class(tmp_path, take):
    root = grow(tmp_path / "inat", "Plantae/7477/1.jpg", "Plantae/8001/1.jpg", "Aves/3001/1.jpg")
    assert (
        facts(take(root))[1:]
        == facts(take(root, class_folder="last"))[1:]
        == ([0, 1, 2], ("3001", "7477", "8001"))
    )
    assert facts(take(root, class_folder="first"))[1:] == ([0, 1, 1], ("Aves", "Plantae"))


@each_route
def test_splits_are_not_packed_as_classes(tmp_path, take):
    root = grow(tmp_path / "set", "train/cat/1.jpg", "val/cat/1.jpg")
    with pytest.raises(
        SourceError, match=r"^the folders train, val have the names of splits, .* - at .*set$"
    ):
        take(root)


@each_route
@pytest.mark.parametrize("name", ["val", "test", "Valid"])
def test_a_split_counts_in_the_classes_of_its_training_set(tmp_path, take, name):
    grow(
        tmp_path,
        "train/bee/1.jpg",
        "train/cat/1.jpg",
        "train/dog/deep/1.jpg",
        "train/.hidden/1.jpg",
        "train/1.txt",
    )
    (tmp_path / "train" / "ape").mkdir()  # no class there either
    root = grow(tmp_path / name, "bee/1.jpg", "dog/1.jpg")
    said = (
        f"labels are those of the classes of train beside {name}, which has cat too; "
        "give classes to decide"
    )
    assert fastpack.from_folder(root).notes == opened(root).notes == (said,)
    assert facts(take(root))[1:] == ([0, 2], ("bee", "cat", "dog"))
    assert facts(take(root, class_folder="first"))[1:] == ([0, 1], ("bee", "dog"))


def test_a_split_with_a_class_of_its_own(tmp_path):
    grow(tmp_path, "train/bee/1.jpg")
    source = fastpack.from_folder(grow(tmp_path / "val", "ant/1.jpg", "bee/1.jpg"))
    assert source.schema.class_names == ("ant", "bee")
    assert source.notes == (
        "the folder train beside val has no class ant; labels differ there; give classes to decide",
    )


def test_a_training_set_that_is_a_link_is_not_looked_into(tmp_path):
    grow(tmp_path, "other/bee/1.jpg", "other/cat/1.jpg")
    (tmp_path / "train").symlink_to("other")
    assert fastpack.from_folder(grow(tmp_path / "val", "cat/1.jpg")).schema.class_names == ("cat",)


def test_folders_with_other_classes_count_in_all(tmp_path):
    one, two = (
        grow(tmp_path / "one", "bee/1.jpg", "dog/1.jpg"),
        grow(tmp_path / "two", "cat/1.jpg", "dog/1.jpg"),
    )
    assert facts(opened([one, two]))[1:] == ([0, 2, 1, 2], ("bee", "cat", "dog"))


def test_verify_against_takes_the_same_classes(tmp_path):
    root = grow(tmp_path / "inat", "Plantae/7477/1.jpg", "Plantae/8001/1.jpg", "Aves/3001/1.jpg")
    fastpack.pack(root, tmp_path / "a.h5", PackOptions(class_folder="first"))
    assert (
        run("verify", tmp_path / "a.h5", "--against", root, "--class-folder", "first").exit_code
        == 0
    )
    assert run("verify", tmp_path / "a.h5", "--against", root).exit_code == 1


# Class lists


@pytest.fixture
def animals(tmp_path):
    return grow(tmp_path / "animals", "bee/1.jpg", "dog/1.jpg")


def lists(tmp_path):
    """The same list, given in every way."""
    grow(tmp_path / "whole", "bee/1.jpg", "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "lines.txt").write_text("\ufeffbee\r\ncat\r\ndog\n\n")
    (tmp_path / "list.json").write_text(json.dumps(["bee", "cat", "dog"]))
    (tmp_path / "mapping.json").write_text(json.dumps({"dog": 2, "bee": 0, "cat": 1}))
    (tmp_path / "table.csv").write_text(
        "file_name,label\nwhole/bee/1.jpg,bee\nwhole/bee/1.jpg,dog\nwhole/cat/1.jpg,cat\n"
    )
    for name in ("w.tfrecord", "w.h5"):
        fastpack.pack(tmp_path / "whole", tmp_path / name)
    (tmp_path / "shards").mkdir()
    fastpack.pack(tmp_path / "whole", tmp_path / "shards" / "w.h5")
    yield from (("bee", "cat", "dog"), {"dog": 2, "bee": 0, "cat": 1})
    for name in (
        "whole",
        "lines.txt",
        "list.json",
        "mapping.json",
        "table.csv",
        "w.tfrecord",
        "w.h5",
        "shards",
    ):
        yield tmp_path / name


def test_classes_are_given_in_many_ways(animals, tmp_path):
    for number, given in enumerate(lists(tmp_path)):
        assert class_list(given) == ("bee", "cat", "dog")
        expected = ([0, 2], ("bee", "cat", "dog"))
        assert facts(opened(animals, classes=given))[1:] == expected
        packed = fastpack.pack(animals, tmp_path / f"{number}.tfrecord", PackOptions(classes=given))
        assert facts(opened(packed.paths))[1] == [0, 2]
        if not isinstance(given, (tuple, dict)):
            assert (
                run("pack", animals, "-o", tmp_path / f"{number}.h5", "--classes", given).exit_code
                == 0
            )
            assert facts(opened(tmp_path / f"{number}.h5"))[1:] == expected


def test_datasets_and_tables_take_a_list_too(animals, tmp_path):
    fastpack.pack(animals, tmp_path / "a.tfrecord")
    (tmp_path / "t.csv").write_text("file_name,label\nanimals/bee/1.jpg,1\nanimals/dog/1.jpg,0\n")
    names = ["cat", "dog", "bee"]
    fastpack.convert(tmp_path / "a.tfrecord", tmp_path / "b.h5", PackOptions(classes=names))
    fastpack.pack(tmp_path / "t.csv", tmp_path / "c.h5", PackOptions(classes=names))
    assert (
        facts(opened(tmp_path / "b.h5"))[1:]
        == facts(opened(tmp_path / "a.tfrecord", classes=names))[1:]
        == ([2, 1], tuple(names))
    )
    assert facts(opened(tmp_path / "c.h5"))[1:] == ([1, 0], tuple(names))


def test_classes_that_are_not_in_the_list_are_refused_by_name(animals, tmp_path):
    with pytest.raises(SourceError, match="the list of 2 classes has no dog; add"):
        fastpack.pack(
            animals, tmp_path / "a.h5", PackOptions(classes=["bee", "cat"], on_error="skip")
        )
    with pytest.raises(SourceError, match="has no dog"):
        opened(animals, classes=["bee"])
    assert not list(tmp_path.glob("*a.h5*"))
    assert (
        fastpack.pack(
            animals, tmp_path / "a.h5", PackOptions(classes=["bee"], exclude=["dog/*"])
        ).num_samples
        == 1
    )


def test_a_pack_that_goes_on_must_have_the_same_classes(animals, tmp_path, stop_after):
    with pytest.raises(KeyboardInterrupt), stop_after(1):
        fastpack.pack(animals, tmp_path / "a.h5", PackOptions(classes=["bee", "dog"], shards=2))
    with pytest.raises(FastpackError, match="classes"):
        fastpack.pack(
            animals, tmp_path / "a.h5", PackOptions(classes=["dog", "bee"], shards=2), resume=True
        )
    (tmp_path / "names").write_text("bee\ndog")
    fastpack.pack(
        animals, tmp_path / "a.h5", PackOptions(classes=tmp_path / "names", shards=2), resume=True
    )


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ([], OptionError, "no class names"),
        (["a", "a"], OptionError, "'a' is listed twice"),
        (["a", ""], OptionError, "class 1 has no name"),
        ([1, 2], OptionError, "not 1"),
        (["a", "b", "c", "d"], SourceError, "has no bee, dog"),
        (7, OptionError, "not 7"),
        ({"a": 0, "b": 2}, OptionError, "0, 1, 2"),
        ("nowhere.txt", MissingFileError, "no such list"),
        ("bad.json", SourceError, r"not a list of class names .*bad\.json"),
        ("blank.txt", SourceError, r"line 2 is blank.* - at .*blank\.txt"),
        ("latin.txt", SourceError, r"latin\.txt"),
        ("flat", OptionError, r"no class names.*flat"),
    ],
)
def test_lists_that_are_none(animals, tmp_path, monkeypatch, given, error, said):
    (tmp_path / "bad.json").write_text("[1, ")
    (tmp_path / "blank.txt").write_text("a\n\nb\n")
    (tmp_path / "latin.txt").write_bytes(b"K\xf6ln")
    grow(tmp_path / "flat", "1.jpg")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        fastpack.pack(animals, "a.h5", PackOptions(classes=given))


def test_options_that_only_folders_have(animals, tmp_path):
    fastpack.pack(animals, tmp_path / "a.tfrecord")
    (tmp_path / "t.csv").write_text("file_name\nanimals/bee/1.jpg\n")
    for options in ({"class_folder": "last"}, {"sidecars": ["txt"]}):
        with pytest.raises(OptionError, match=r"for folders of images.*; leave this option out"):
            opened(tmp_path / "a.tfrecord", **options)
        with pytest.raises(OptionError, match="class_folder and sidecars are for"):
            fastpack.pack(tmp_path / "t.csv", tmp_path / "b.h5", PackOptions(**options))
        with pytest.raises(OptionError, match="class_folder and sidecars are for the path"):
            fastpack.pack(fastpack.from_folder(animals), tmp_path / "b.h5", PackOptions(**options))
    with pytest.raises(OptionError, match="no labels"):
        fastpack.pack(tmp_path / "t.csv", tmp_path / "b.h5", PackOptions(classes=["a"]))
