"""Folders as people have them: junk, images in the wrong place, dead links, links that lead out, and splits side by side.
By every route: packed, opened in place, converted."""

import itertools
import json
import os
import stat

import numpy as np
import pytest
from command_line import run
from images import jpeg

import fastpack
from fastpack import FastpackWarning, PackOptions
from fastpack.errors import (
    EmptySourceError,
    FastpackError,
    MissingFileError,
    OptionError,
    SourceError,
    UnreadableFileError,
)
from fastpack.formats.discovery import find_shards
from fastpack.reading.class_lists import class_list

IMAGE = jpeg(8, 8)


def grow(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(IMAGE)
    return root


def opened(root, **options):
    return fastpack.open(root, decode=False, **options)


def fresh(root, numbers=itertools.count()):  # one for all
    return root.parent / f"packed{next(numbers)}.h5"


# Each gives a source, or the dataset of what was written; with the same options.
ROUTES = {
    "folder": lambda root, **options: fastpack.from_folder(root, **options),
    "open": opened,
    "pack": lambda root, **options: opened(
        fastpack.pack(root, fresh(root), PackOptions(**options)).paths
    ),
    "pack of open": lambda root, **options: opened(
        fastpack.pack(opened(root, **options), fresh(root)).paths
    ),
    "convert": lambda root, **options: opened(
        fastpack.convert(root, fresh(root), PackOptions(**options)).paths
    ),
}
each_route = pytest.mark.parametrize("take", ROUTES.values(), ids=ROUTES)


def facts(taken):
    keys, labels = taken.columns["key"], taken.columns.get("label")
    return list(keys), None if labels is None else labels.tolist(), taken.schema.class_names


# Junk, and what is not an image


JUNK = [
    "@eaDir/cat/1.jpg",
    ".ipynb_checkpoints/1.jpg",
    "__MACOSX/cat/1.jpg",
    "lost+found/1.jpg",
    "cat/._1.jpg",
    "cat/.thumbnails/1.jpg",
]


@each_route
def test_junk_is_no_class(tmp_path, take):
    root = grow(tmp_path / "photos", "cat/1.jpg", "dog/1.JPG", "cat/Thumbs.db", *JUNK)
    assert facts(take(root)) == (["cat/1.jpg", "dog/1.JPG"], [0, 1], ("cat", "dog"))


def test_what_is_left_out_is_said(tmp_path):
    root = grow(
        tmp_path / "photos",
        "cat/1.jpg",
        *JUNK,
        "labels.csv",
        "cat/README",
        "cat/1.heic",
        "cat/a.zip",
    )
    (root / "owl").mkdir()
    (root / "fox" / "old").mkdir(parents=True)
    notes = (
        "left out 6 hidden or system files and folders: .ipynb_checkpoints, @eaDir, __MACOSX and 3 more",
        "left out 4 files that do not end like images: cat/1.heic, cat/README, cat/a.zip and 1 more",
        "no class is made of 2 folders without images: fox/old/, owl/",
    )
    for taken in (
        fastpack.from_folder(root),
        opened(root),
        fastpack.pack(root, tmp_path / "p.h5"),
        fastpack.convert(root, tmp_path / "c.h5"),
    ):
        assert taken.notes == notes
    result = run("pack", root, "-o", tmp_path / "q.h5", "--quiet")
    assert (result.stdout, result.stderr.splitlines()) == (
        "",
        [f"fastpack: {note}" for note in notes],
    )
    assert run("ls", root).stderr == result.stderr


def test_a_saved_index_says_what_is_true_now(tmp_path):
    root = grow(tmp_path / "photos", "cat/1.jpg", "README")
    fastpack.build_indexes(root)
    (root / "README").unlink()
    assert opened(root).notes == ()


def test_no_images_but_other_files(tmp_path):
    with pytest.raises(
        EmptySourceError, match=r"\.tiff\), but 2 files of other endings: 0001, a.heic; check"
    ):
        fastpack.from_folder(grow(tmp_path / "photos", "0001", "a.heic"))


def test_packed_files_beside_images(tmp_path):
    root = grow(tmp_path / "photos", "cat/1.jpg")
    fastpack.pack(root, root / "a.tfrecord")
    with pytest.warns(
        FastpackWarning,
        match=r"photos holds images beside a.tfrecord; only the 1 packed files are read",
    ):
        assert find_shards(root) == [root / "a.tfrecord"]
    assert "a.tfrecord" in fastpack.from_folder(root).notes[0]


# Images beside the class folders


@each_route
def test_a_stray_picture_takes_no_labels_away(tmp_path, take):
    root = grow(tmp_path / "photos", "cat/1.jpg", "dog/1.jpg", "stray.jpg")
    said = 'left out 1 image beside the class folders, of no class: stray.jpg; give class_folder="none" to take all, without labels'
    for options in ({}, {"class_folder": "last"}):
        assert facts(take(root, **options)) == (["cat/1.jpg", "dog/1.jpg"], [0, 1], ("cat", "dog"))
        assert (
            fastpack.from_folder(root, **options).notes[0]
            == opened(root, **options).notes[0]
            == said
        )
    assert facts(take(root, class_folder="none")) == (
        ["cat/1.jpg", "dog/1.jpg", "stray.jpg"],
        None,
        (),
    )


def test_a_bad_picture_beside_the_classes_is_a_bad_sample(tmp_path):
    grow(tmp_path, "train/ant/1.jpg", "train/bee/1.jpg", "train/cat/1.jpg")
    root = grow(tmp_path / "val", "bee/1.jpg", "cat/1.jpg")
    (root / "gone.jpg").symlink_to("/nowhere")
    with pytest.raises(MissingFileError, match="val/gone.jpg"):
        opened(root)
    packed = fastpack.pack(root, tmp_path / "a.h5", PackOptions(on_error="skip"))
    assert (
        facts(opened(packed.paths))
        == facts(opened(root, on_error="skip"))
        == (["bee/1.jpg", "cat/1.jpg"], [1, 2], ("ant", "bee", "cat"))
    )


@each_route
def test_stray_pictures_that_are_the_most_are_refused(tmp_path, take):
    root = grow(tmp_path / "photos", "thumbs/1.jpg", *(f"{number}.jpg" for number in range(9)))
    said = r'there would be left out 9 images beside the class folders, of no class: 0.jpg, 1.jpg, 2.jpg and 6 more; give .*"none"'
    with pytest.raises(SourceError, match=said):
        take(root)


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
        SourceError, match=r"^the folders train, val are called like splits, .* - at .*set$"
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
    said = f"labels count in the classes of train beside {name}, which has cat too; give classes to decide"
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


def test_a_pack_that_goes_on_must_have_the_same_classes(animals, tmp_path, stop_behind):
    with pytest.raises(KeyboardInterrupt), stop_behind(1):
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
        ("bad.json", SourceError, r"no list of class names .*bad\.json"),
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
        with pytest.raises(OptionError, match="class_folder and sidecars are for"):
            opened(tmp_path / "a.tfrecord", **options)
        with pytest.raises(OptionError, match="class_folder and sidecars are for"):
            fastpack.pack(tmp_path / "t.csv", tmp_path / "b.h5", PackOptions(**options))
        with pytest.raises(OptionError, match="class_folder and sidecars say how a path is taken"):
            fastpack.pack(fastpack.from_folder(animals), tmp_path / "b.h5", PackOptions(**options))
    with pytest.raises(OptionError, match="no labels"):
        fastpack.pack(tmp_path / "t.csv", tmp_path / "b.h5", PackOptions(classes=["a"]))


# Links that lead out


@pytest.fixture
def secret(tmp_path):
    (tmp_path / "elsewhere" / "n2").mkdir(parents=True)
    (tmp_path / "elsewhere" / "1.txt").write_text("private")
    return grow(tmp_path / "elsewhere", "n2/private.jpg")


def lead_out(root, secret):
    """The ways in which a link in a folder can lead out: name -> what makes it, and the option that lets it pass."""
    grow(root, "a/1.jpg")
    yield "a file", lambda: (root / "a" / "evil.jpg").symlink_to(secret / "n2" / "private.jpg")
    yield (
        "a file beside the classes",
        lambda: (root / "evil.jpg").symlink_to(secret / "n2" / "private.jpg"),
    )
    yield "a class", lambda: (root / "n2").symlink_to(secret / "n2")
    yield "a relative one", lambda: (root / "n2").symlink_to("../elsewhere/n2")
    yield "a chain", lambda: _chain(root / "a", secret / "n2" / "private.jpg")
    yield "a caption", lambda: (root / "a" / "1.txt").symlink_to(secret / "1.txt")
    yield (
        "nothing but links",
        lambda: ((root / "a" / "1.jpg").unlink(), (root / "n2").symlink_to(secret / "n2")),
    )


def _chain(folder, end):
    (folder / "evil.jpg").symlink_to("next")
    (folder / "next").symlink_to(end)


WAYS = [
    "a file",
    "a file beside the classes",
    "a class",
    "a relative one",
    "a chain",
    "a caption",
    "nothing but links",
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "take", [ROUTES[name] for name in ("open", "pack", "pack of open", "convert")]
)
def test_links_that_lead_out_are_refused_by_every_route(tmp_path, secret, take, way):
    root = tmp_path / "src"
    dict(lead_out(root, secret))[way]()
    with pytest.raises(FastpackError, match="leads out of .*allow_external"):
        take(root)
    assert len(take(root, allow_external=True)) == (
        2 if way in ("a file", "a class", "a relative one", "a chain") else 1
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", ["pack", "convert", "info", "ls", "extract", "preview"])
def test_links_that_lead_out_are_refused_by_every_command(tmp_path, secret, command, way):
    root = tmp_path / "src"
    dict(lead_out(root, secret))[way]()
    outputs = {
        "pack": ["-o", "p.h5"],
        "convert": ["c.h5"],
        "extract": ["files"],
        "preview": ["-o", "sheet.png"],
    }
    output = [
        tmp_path / word if "." in word or word == "files" else word
        for word in outputs.get(command, [])
    ]
    refused = run(command, root, *output)
    assert refused.exit_code == 1
    assert "leads out of" in refused.stderr
    assert run(command, root, *output, "--allow-external").exit_code == 0


def test_links_within_a_folder_and_hard_links_are_fine(tmp_path):
    root = grow(tmp_path / "photos", "a/1.jpg", "b/1.jpg")
    (root / "a" / "2.jpg").symlink_to("../b/1.jpg")
    (root / "c").symlink_to("a")
    os.link(root / "a" / "1.jpg", root / "b" / "2.jpg")
    (tmp_path / "alias").symlink_to("photos")
    keys = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg", "c/2.jpg"]
    for take in ROUTES.values():
        assert list(take(root).columns["key"]) == keys
    assert list(opened(tmp_path / "alias").columns["key"]) == keys


# What cannot be read


def break_one(root, what):
    place = root / "a" / "bad.jpg"
    match what:
        case "dead link":
            place.symlink_to("/nowhere")
        case "dead class":
            (root / "a" / "up").symlink_to("../gone")
        case "round link":
            place.symlink_to("bad.jpg")
        case "pipe":
            os.mkfifo(place)
        case "loop":
            (root / "a" / "up").symlink_to("..")


@pytest.mark.parametrize("what", ["dead link", "dead class", "round link", "pipe", "loop"])
def test_what_cannot_be_read_is_one_bad_sample(tmp_path, what):
    root = grow(tmp_path / "photos", "a/1.jpg", "a/2.jpg", "b/1.jpg")
    break_one(root, what)
    for decoder_name in ("open", "pack", "convert"):
        with pytest.raises((MissingFileError, UnreadableFileError), match=r"photos/a/(bad.jpg|up)"):
            ROUTES[decoder_name](root)
    for on_error in ("skip", "mask"):
        dataset = opened(root, on_error=on_error)
        assert facts(dataset) == (["a/1.jpg", "a/2.jpg", "b/1.jpg"], [0, 0, 1], ("a", "b"))
        assert dataset.read([0, 1, 2]).num_samples == 3
        assert dataset.notes[-1].startswith(
            "left out 1 file or folder that cannot be read, or must not; the first: "
        )
    packed = fastpack.pack(root, tmp_path / "skip.h5", PackOptions(on_error="skip"))
    assert (packed.num_samples, len(packed.rejects)) == (3, 1)


def test_nothing_that_can_be_read(tmp_path):
    grow(tmp_path / "photos", "a/1.jpg")
    (tmp_path / "photos" / "a" / "1.jpg").unlink()
    (tmp_path / "photos" / "a" / "1.jpg").symlink_to("/nowhere")
    with pytest.raises(
        EmptySourceError,
        match=r"no images here that can be taken .*this link leads to /nowhere,.*a/1\.jpg",
    ):
        opened(tmp_path / "photos", on_error="skip")


def test_an_image_that_may_not_be_opened(tmp_path, monkeypatch):
    """Root may open all, so the kernel is told that it may not."""
    root = grow(tmp_path / "photos", "a/1.jpg", "a/2.jpg")
    kernel = fastpack.formats.registry.named("folder").index.__globals__["ProbeFiles"]

    class Refusing:
        def __init__(self, paths, *arrays):
            self._paths, self._probe = paths, kernel(paths, *arrays)

        def run(self):
            outcome = self._probe.run()
            bad = [row for row, path in enumerate(self._paths) if path.endswith(b"2.jpg")]
            return (1, 13, bad[0], 0, "the file cannot be opened") if bad else outcome

    monkeypatch.setattr("fastpack.formats.folder.ProbeFiles", Refusing)
    with pytest.raises(UnreadableFileError, match=r"Permission denied; .*a/2\.jpg"):
        opened(root)
    assert list(opened(root, on_error="skip").columns["key"]) == ["a/1.jpg"]


def test_a_folder_that_vanishes_while_it_is_listed(tmp_path, monkeypatch):
    root = grow(tmp_path / "photos", "a/1.jpg", "b/1.jpg")
    scandir = os.scandir

    def vanishing(path):
        if str(path).endswith("/b"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    with pytest.raises(MissingFileError, match="photos/b"):
        opened(root)
    assert list(opened(root, on_error="skip").columns["key"]) == ["a/1.jpg"]


# Names and contents


def test_odd_names(tmp_path):
    names = [
        "a/-rf.jpg",
        "a/new\nline.jpg",
        "a/" + "x" * 251 + ".jpg",
        "a/A.JPEG",
        "a/a.jpeg",
        "-b/ .jpg",
        "a/scan.jfif",
    ]
    root = grow(tmp_path / "photos", *names)
    for take in ROUTES.values():
        assert list(take(root).columns["key"]) == sorted(names)
    assert run("ls", root).exit_code == 0


@pytest.mark.parametrize(("data", "said"), [(b"", "empty"), (b"<html>", "not an image|no image")])
def test_files_that_only_end_like_images(tmp_path, data, said):
    root = grow(tmp_path / "photos", "a/1.jpg", "a/2.jpg")
    (root / "a" / "2.jpg").write_bytes(data)
    with pytest.raises(FastpackError, match=r"a/2\.jpg"):
        fastpack.pack(root, tmp_path / "a.h5")
    assert fastpack.pack(root, tmp_path / "a.h5", PackOptions(on_error="skip")).num_samples == 1


def test_thousands_of_classes(tmp_path):
    root = grow(tmp_path / "photos", *(f"{number:04}/1.jpg" for number in range(2000)))
    source = fastpack.from_folder(root)
    assert source.columns["label"].tolist() == list(range(2000))
    assert (source.notes, stat.S_ISDIR(os.stat(root).st_mode)) == ((), True)
    assert np.array_equal(opened(root).columns["label"], source.columns["label"])
