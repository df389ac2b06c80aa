"""`fastpack info`: what it counts, as text and as JSON."""

import os
import re
import tarfile

import h5py
import numpy as np
import pytest
from PIL import Image

import fastpack
from fastpack.cli.formatting import printable
from fastpack.core.units import readable_size
from fastpack.files.escapes import escaped_name
from tests.support.command_line import facts_of, flip_a_byte_of_the_image, packed, run, write_image


def test_info_cuts_long_lists_in_text_only(tmp_path):
    for number in range(15):
        write_image(tmp_path / "many" / f"{number}.png", 2, 2, number)
    paths = sorted((tmp_path / "many").iterdir())
    fastpack.pack(
        fastpack.sources.ImageFiles(paths, range(15)),
        tmp_path / "a.tfrecord",
        fastpack.PackOptions(shards=15),
    )
    text = run("info", tmp_path / "a-*.tfrecord").stdout
    assert text.count(".tfrecord") == 12
    assert text.count("and 3 more") == 2
    facts = facts_of("info", tmp_path / "a-*.tfrecord")
    assert len(facts["files"]) == len(facts["classes"]) == 15


def test_info_of_pixels(photos):
    facts = facts_of("info", packed(photos, "pixels.h5", "--size", "8x12"))
    assert facts["images"] == {
        "num_bytes": 5 * 8 * 12 * 3,
        "formats": {"uint8 pixels": 5},
        "width": {"min": 12, "median": 12, "max": 12},
        "height": {"min": 8, "median": 8, "max": 8},
    }


def test_info_without_labels(tmp_path):
    write_image(tmp_path / "flat" / "a.png", 2, 2, 0)
    output = packed(tmp_path / "flat", "flat.h5")
    assert facts_of("info", output)["classes"] == []
    assert re.search(r"^classes\s+none$", run("info", output).stdout, re.MULTILINE)


def test_info_counts_classes_without_samples(photos):
    paths = sorted(photos.glob("dog/*"))
    fastpack.pack(
        fastpack.sources.ImageFiles(paths, [2, 0], class_names=["a", "b", "c"]), photos / "gap.h5"
    )
    assert [
        (one["name"], one["num_samples"]) for one in facts_of("info", photos / "gap.h5")["classes"]
    ] == [("a", 1), ("b", 0), ("c", 1)]


def test_info_measures_images_as_they_stand(photos):
    image = Image.open(photos / "cat" / "0.jpeg")
    image.getexif()[0x0112] = 6  # to be turned by a quarter
    (photos / "turned").mkdir()
    image.save(photos / "turned" / "a.jpeg", exif=image.getexif())
    images = facts_of("info", packed(photos / "turned", "turned.h5"))["images"]
    assert (images["width"]["max"], images["height"]["max"]) == (30, 40)


def test_info_counts_what_is_no_image(photos):
    blobs = [(photos / "dog" / "0.png").read_bytes(), b"no image at all"]
    with h5py.File(photos / "odd.h5", "w") as file:
        file["images/bytes"] = np.frombuffer(b"".join(blobs), np.uint8)
        file["images/offsets"] = np.cumsum([0, *map(len, blobs)])
    images = facts_of("info", photos / "odd.h5")["images"]
    assert images["formats"] == {"unknown": 1, "png": 1}
    assert (images["width"]["min"], images["height"]["min"]) == (20, 60)


def test_info_reads_the_saved_indexes_of_a_shell_glob_as_what_they_are(photos):
    packed(photos, "train.tfrecord", "--shards", 2)
    matches = sorted(photos.parent.glob("train*"))
    assert any(match.name.endswith(".fpindex") for match in matches)
    assert facts_of("info", *matches)["num_samples"] == 5
    assert facts_of("verify", *matches)["num_files"] == 2


def test_info_of_a_folder_and_of_a_tar(photos):
    with tarfile.open(photos.parent / "a.tar", "w") as archive:
        archive.add(photos, arcname=".")
    for path in (photos, photos.parent / "a.tar"):
        assert facts_of("info", path)["images"]["formats"] == {"jpeg": 3, "png": 2}
    packed(photos.parent / "a.tar", "b.h5")


def test_info_of_a_corrupt_file_names_the_record(photos):
    output = packed(photos, "all.tfrecord")
    flip_a_byte_of_the_image(output, (photos / "cat" / "2.jpeg").read_bytes())
    result = run("info", output)
    assert result.exit_code == 1
    assert "all.tfrecord, record 2" in result.stderr


@pytest.mark.parametrize("name", [b"red\x1b[31m", b"caf\xe9"], ids=["escape", "not UTF-8"])
def test_names_cannot_drive_the_terminal(tmp_path, name):
    folder = tmp_path / "photos" / os.fsdecode(name)
    folder.mkdir(parents=True)
    write_image(folder / "a.png", 2, 2, 0)
    output = packed(tmp_path / "photos", "all.h5")
    result = run("info", output)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert printable(escaped_name(os.fsdecode(name))) in result.stdout
    assert facts_of("info", output)["classes"][0]["name"] == escaped_name(os.fsdecode(name))


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (4 * 10**15, "4000.0 TB"),
    ],
)
def test_readable_size(num_bytes, text):
    assert readable_size(num_bytes) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Löwe 猫", "Löwe 猫"), ("a\nb\tc", r"a\nb\tc"), ("\x1b]0;x\x07", r"\x1b]0;x\x07")],
)
def test_printable(text, shown):
    assert printable(text) == shown
