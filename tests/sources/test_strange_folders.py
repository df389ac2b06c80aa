"""Real folders: junk, misplaced images, dead links, links that lead out, adjacent splits.

Each is packed, opened in place and converted.
"""

import os
import stat

import numpy as np
import pytest

import fastpack
from fastpack import PackOptions
from fastpack.errors import (
    EmptySourceError,
    FastpackError,
    FastpackWarning,
    MissingFileError,
    SourceError,
    UnreadableFileError,
)
from fastpack.formats.discovery import find_shards
from tests.support.command_line import run
from tests.support.folder_routes import ROUTES, each_route, facts, grow, opened

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
        "left out 6 hidden or system files and folders: "
        ".ipynb_checkpoints, @eaDir, __MACOSX and 3 more",
        "left out 4 files that do not end like images: "
        "cat/1.heic, cat/README, cat/a.zip and 1 more",
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
def test_a_stray_image_takes_no_labels_away(tmp_path, take):
    root = grow(tmp_path / "photos", "cat/1.jpg", "dog/1.jpg", "stray.jpg")
    said = (
        "left out 1 image beside the class folders: stray.jpg; "
        'give class_folder="none" to take all, without labels'
    )
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


def test_a_bad_image_beside_the_classes_is_a_bad_sample(tmp_path):
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
def test_stray_images_that_are_the_most_are_refused(tmp_path, take):
    root = grow(tmp_path / "photos", "thumbs/1.jpg", *(f"{number}.jpg" for number in range(9)))
    said = (
        "most images have no class: 9 images beside the class folders: "
        '0.jpg, 1.jpg, 2.jpg and 6 more; give .*"none"'
    )
    with pytest.raises(SourceError, match=said):
        take(root)


# Links that lead out


@pytest.fixture
def secret(tmp_path):
    (tmp_path / "elsewhere" / "n2").mkdir(parents=True)
    (tmp_path / "elsewhere" / "1.txt").write_text("private")
    return grow(tmp_path / "elsewhere", "n2/private.jpg")


def lead_out(root, secret):
    """Links that lead out of a folder: name -> function that makes it, option that allows it."""
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


# Unreadable files


def break_one(root, what):
    bad_file = root / "a" / "bad.jpg"
    match what:
        case "dead link":
            bad_file.symlink_to("/nowhere")
        case "dead class":
            (root / "a" / "up").symlink_to("../gone")
        case "round link":
            bad_file.symlink_to("bad.jpg")
        case "pipe":
            os.mkfifo(bad_file)
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
        match=r"no readable images .*this link leads to /nowhere,.*a/1\.jpg",
    ):
        opened(tmp_path / "photos", on_error="skip")


def test_an_image_that_may_not_be_opened(tmp_path, monkeypatch):
    """Root may open any file, so a flag of the file system forbids it."""
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
