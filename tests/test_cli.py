"""The command line: what it prints, where, and with which exit status."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import fastpack
from fastpack import cli
from fastpack.cli import terminal
from fastpack.report import printable, readable_size

FORMATS = ["tfrecord", "h5"]
ROOT = Path(fastpack.__file__).parents[1]


def write_image(path: Path, height: int, width: int, value: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(fastpack.encode(np.full((height, width, 3), value, np.uint8), path.suffix[1:]))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three JPEGs of cats, 40 wide and 30 high; two PNGs of dogs, 20 wide and 60 high."""
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(3):
        write_image(root / "cat" / f"{number}.jpeg", 30, 40, 50 * number)
    for number in range(2):
        write_image(root / "dog" / f"{number}.png", 60, 20, 100 + number)
    return root


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli.main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def facts_of(*arguments: object) -> dict:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def packed(photos: Path, name: str, *options: object) -> Path:
    output = photos.parent / name
    assert run("pack", photos, "-o", output, *options).exit_code == 0
    return output


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What goes well


@pytest.mark.parametrize("ending", FORMATS)
def test_pack_info_verify(photos, ending):
    output = photos.parent / f"all.{ending}"
    source_bytes = sum(path.stat().st_size for path in photos.rglob("*.*"))

    done = facts_of("pack", photos, "-o", output)
    assert done["paths"] == [str(output)]
    assert (done["num_samples"], done["source_bytes"], done["output_bytes"]) == (5, source_bytes, output.stat().st_size)

    facts = facts_of("info", output)
    container = {"tfrecord": "tfrecord", "h5": "hdf5"}[ending]
    assert facts["files"] == [{"path": str(output), "format": container, "num_samples": 5, "num_bytes": output.stat().st_size}]
    assert (facts["num_samples"], facts["num_bytes"]) == (5, output.stat().st_size)
    assert [(field["name"], field["kind"]) for field in facts["fields"]] == [("image", "image"), ("label", "int"), ("key", "text")]
    assert facts["images"] == {
        "num_bytes": source_bytes,
        "formats": {"jpeg": 3, "png": 2},
        "width": {"min": 20, "median": 40, "max": 40},
        "height": {"min": 30, "median": 30, "max": 60},
    }
    assert facts["classes"] == [{"label": 0, "name": "cat", "num_samples": 3}, {"label": 1, "name": "dog", "num_samples": 2}]

    assert facts_of("verify", output, "--decode") == {
        "num_files": 1,
        "num_samples": 5,
        "problems": [],
        "num_unchecked": 0,
        "is_sound": True,
    }


@pytest.mark.parametrize("ending", FORMATS)
def test_text_for_people(photos, ending):
    output = photos.parent / f"all.{ending}"
    result = run("pack", photos, "-o", output)
    assert result.stdout.startswith("packed 5 samples (")
    assert str(output) in result.stdout
    assert result.stderr == ""

    lines = run("info", output).stdout.splitlines()
    assert any(re.fullmatch(r"samples\s+5", line) for line in lines)
    assert any("3 jpeg, 2 png" in line for line in lines)
    assert any(re.search(r"width 20 to 40 \(median 40\)", line) for line in lines)
    assert any(re.search(r"0\s+cat\s+3\s+#{20}$", line) for line in lines)
    assert any(re.search(r"1\s+dog\s+2\s+#{13}$", line) for line in lines)
    assert run("verify", output).stdout == "5 samples in 1 file: sound\n"


def test_appending_and_pixels_with_filters(photos):
    output = photos.parent / "all.h5"
    storage = ["--size", "16", "--compression", "blosc2", "--level", "3", "--chunk", "2", "--no-fletcher32", "--memory", "64MB"]
    assert run("pack", photos, "-o", output, *storage).exit_code == 0
    assert run("pack", photos, "-o", output, "--append", *storage).exit_code == 0
    assert facts_of("verify", photos.parent / "all*.h5")["num_samples"] == 10


def test_an_interrupted_pack_is_told_and_resumed(photos, stop_behind):
    output = photos.parent / "all.tfrecord"
    with stop_behind(1):
        result = run("pack", photos, "-o", output, "--shards", 3, "-j", 1)
    assert result.exit_code == 130
    assert "1 of 3 shards are kept" in result.stderr

    assert run("pack", photos, "-o", output, "--shards", 3).exit_code == 2
    changed = run("pack", photos, "-o", output, "--shards", 2, "--resume")
    assert changed.exit_code == 2
    assert "this is not the pack that was begun: first samples of the shards" in changed.stderr
    assert run("pack", photos, "-o", output, "--shards", 3, "--resume").exit_code == 0
    assert facts_of("verify", photos.parent / "all-*.tfrecord")["num_samples"] == 5
    assert [path.name for path in photos.parent.iterdir() if path.name.startswith(".")] == []


def test_info_cuts_long_lists_in_text_only(tmp_path):
    for number in range(15):
        write_image(tmp_path / "many" / f"{number}.png", 2, 2, number)
    paths = sorted((tmp_path / "many").iterdir())
    fastpack.pack(fastpack.Paths(paths, range(15)), tmp_path / "a.tfrecord", fastpack.PackOptions(shards=15))
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
    fastpack.pack(fastpack.Paths(paths, [2, 0], class_names=["a", "b", "c"]), photos / "gap.h5")
    assert [(one["name"], one["num_samples"]) for one in facts_of("info", photos / "gap.h5")["classes"]] == [("a", 1), ("b", 0), ("c", 1)]


def test_info_measures_images_as_they_stand(photos):
    picture = Image.open(photos / "cat" / "0.jpeg")
    picture.getexif()[0x0112] = 6  # to be turned by a quarter
    (photos / "turned").mkdir()
    picture.save(photos / "turned" / "a.jpeg", exif=picture.getexif())
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
    assert any(match.name.endswith(".npz") for match in matches)
    assert facts_of("info", *matches)["num_samples"] == 5
    assert facts_of("verify", *matches)["num_files"] == 2


@pytest.mark.parametrize("ending", FORMATS)
def test_image_bytes_go_through_untouched(photos, ending):
    dataset = fastpack.open(packed(photos, f"all.{ending}"), decode=False)
    assert {sample["key"]: sample["image"] for sample in dataset} == files_below(photos)


@pytest.mark.parametrize(("first", "second"), [("a.tfrecord", "b.h5"), ("a.h5", "b.tfrecord"), ("a.tfrecord", "b.tfrecord")])
def test_pack_takes_an_existing_dataset(photos, first, second):
    output = photos.parent / second
    assert facts_of("pack", packed(photos, first), "-o", output)["num_samples"] == 5
    dataset = fastpack.open(output, decode=False)
    assert {sample["key"]: sample["image"] for sample in dataset} == files_below(photos)
    assert dataset.class_names == ("cat", "dog")


@pytest.mark.parametrize("source", ["shards", "shards/all-*.tfrecord"], ids=["folder", "glob"])
def test_pack_takes_shards(photos, source):
    (photos.parent / "shards").mkdir()
    packed(photos, "shards/all.tfrecord", "--shards", 3)
    output = photos.parent / "one.h5"
    assert facts_of("pack", photos.parent / source, "-o", output)["num_samples"] == 5
    assert len(fastpack.open(output)) == 5


def test_pack_takes_a_table(photos):
    (photos / "table.csv").write_text("file_name,label\ndog/1.png,1\ncat/0.jpeg,0\n")
    output = photos.parent / "some.tfrecord"
    assert facts_of("pack", photos / "table.csv", "-o", output)["num_samples"] == 2
    assert fastpack.open(output).columns["label"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (["--size", "8x12"], (5, 8, 12, 3)),
        (["--size", "9"], (5, 9, 9, 3)),
        (["--size", "9", "--color", "gray", "--layout", "pixels", "-j", "1", "--no-sync"], (5, 9, 9, 1)),
    ],
)
def test_pack_pixels(photos, options, shape):
    with h5py.File(packed(photos, "pixels.h5", *options)) as file:
        assert file["images"].shape == shape


@pytest.mark.parametrize(("flags", "sync"), [([], True), (["--no-sync"], False)])
def test_no_sync(photos, monkeypatch, flags, sync):
    given, real_pack = [], fastpack.pack

    def noting_pack(source, output, options, **others):
        given.append(options)
        return real_pack(source, output, options, **others)

    monkeypatch.setattr(fastpack, "pack", noting_pack)
    packed(photos, "all.h5", *flags)
    assert [options.sync for options in given] == [sync]


def test_format_needs_no_ending(photos):
    with h5py.File(packed(photos, "data.bin", "--format", "hdf5")) as file:
        assert "images" in file


def test_shards(photos):
    packed(photos, "train.tfrecord", "--shards", 2)
    names = sorted(path.name for path in photos.parent.glob("*.tfrecord"))
    assert names == ["train-00000-of-00002.tfrecord", "train-00001-of-00002.tfrecord"]


def test_shard_size(photos):
    facts = facts_of("pack", photos, "-o", photos.parent / "train.tfrecord", "--shard-size", "1k")
    assert len(facts["paths"]) > 1
    assert all(Path(path).is_file() for path in facts["paths"])


def test_overwrite_replaces(photos):
    output = photos.parent / "all.tfrecord"
    output.write_bytes(b"mine")
    assert run("pack", photos, "-o", output, "--overwrite").exit_code == 0
    assert len(fastpack.open(output)) == 5


@pytest.mark.parametrize("arguments", [["--seed", "7"], ["-n", "2"], ["--rows", "99", "--columns", "2", "--tile", "50"]])
def test_preview(photos, arguments):
    sheet = photos.parent / "sheet.png"
    assert run("preview", packed(photos, "all.h5"), "-o", sheet, *arguments).exit_code == 0
    assert fastpack.decode(sheet.read_bytes()).ndim == 3


def test_preview_of_a_seed_is_random_and_repeatable(photos):
    output, sheets = packed(photos, "all.h5"), []
    for seed in ("1", "1", "2"):
        assert run("preview", output, "-o", photos.parent / "sheet.png", "--seed", seed, "--overwrite").exit_code == 0
        sheets.append((photos.parent / "sheet.png").read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]


def test_version():
    assert run("--version").stdout == f"fastpack, version {fastpack.__version__}\n"


@pytest.mark.parametrize("command", [[], ["pack"], ["info"], ["verify"], ["preview"], ["index"], ["convert"], ["extract"]])
def test_help_tells_the_exit_status(command):
    result = run(*command, "-h")
    assert result.exit_code == 0
    assert "Exit status:" in result.stdout


# Datasets that are there already


def test_index_shows_what_a_sample_holds(photos):
    path = packed(photos, "all.tfrecord")
    (photos.parent / "all.tfrecord.index.npz").unlink()
    facts = facts_of("index", path)
    assert (facts["num_samples"], facts["num_fresh"], facts["paths"]) == (5, 0, [str(path)])
    assert [field["name"] for field in facts["schema"]["fields"]] == ["image", "label", "key"]
    assert facts["index_bytes"] == (photos.parent / "all.tfrecord.index.npz").stat().st_size
    assert facts_of("index", path)["num_fresh"] == 1
    assert facts_of("index", path, "--rebuild", "-j", 3)["num_fresh"] == 0
    lines = run("index", path).stdout.splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["name", "kind", "shape", "dtype", "stored", "as"],
        ["image", "image", "-", "-", "image"],
    ]
    assert lines[-1].startswith("5 samples in 1 file (")
    assert lines[-1].endswith(", 1 of the indexes were there already")
    assert run("index", path, "--quiet").stdout == ""


def test_index_of_a_folder_into_another(photos):
    (photos.parent / "kept").mkdir()
    assert facts_of("index", photos, "--index-dir", photos.parent / "kept")["num_samples"] == 5
    assert len(list((photos.parent / "kept").iterdir())) == 1
    assert not (photos.parent / "photos.index.npz").exists()


def test_index_writes_the_offsets_that_others_read(photos):
    path = packed(photos, "all.tfrecord", "--shards", 2)
    assert run("index", photos.parent / "*.tfrecord", "--offsets").exit_code == 0
    texts = sorted(photos.parent.glob("*.tfrecord.idx"))
    assert [len(text.read_text().splitlines()) for text in texts] == [2, 3]
    assert run("index", packed(photos, "all.h5"), "--offsets").exit_code == 2
    assert not path.exists()


def test_index_of_a_damaged_file_names_the_record(photos):
    path = packed(photos, "all.tfrecord")
    flip_a_byte_of_the_image(path, (photos / "dog" / "0.png").read_bytes())
    result = run("index", path)
    assert result.exit_code == 1
    assert "all.tfrecord, record 3" in result.stderr


@pytest.mark.parametrize("output", ["b.h5", "b.tfrecord"])
def test_convert_there_and_extract_back(photos, output):
    path = packed(photos, "a.tfrecord")
    assert facts_of("convert", path, photos.parent / output)["num_samples"] == 5
    assert run("convert", path, photos.parent / output).exit_code == 2
    assert run("convert", path, photos.parent / output, "--overwrite").stdout.startswith("packed 5 samples")
    assert facts_of("extract", photos.parent / output, photos.parent / "files")["num_files"] == 5
    assert files_below(photos.parent / "files") == files_below(photos)


def test_convert_to_a_folder_is_extract(photos):
    path = packed(photos, "a.h5")
    result = run("convert", path, photos.parent / "files")
    assert result.stdout.startswith("5 files (")
    assert files_below(photos.parent / "files") == files_below(photos)
    refused = run("convert", path, photos.parent / "more", "--shards", 2)
    assert refused.exit_code == 2
    assert "shards" in refused.stderr


def test_info_of_a_folder_and_of_a_tar(photos):
    with tarfile.open(photos.parent / "a.tar", "w") as archive:
        archive.add(photos, arcname=".")
    for path in (photos, photos.parent / "a.tar"):
        assert facts_of("info", path)["images"]["formats"] == {"jpeg": 3, "png": 2}
    packed(photos.parent / "a.tar", "b.h5")


# What goes wrong


@pytest.mark.parametrize(
    "arguments",
    [
        ["pack", "{photos}"],
        ["pack", "{photos}", "-o", "{out}", "--size", "8by9"],
        ["pack", "{photos}", "-o", "{out}", "--size", "0"],
        ["pack", "{photos}", "-o", "{out}", "--shards", "0"],
        ["pack", "{photos}", "-o", "{out}", "--shards", "two"],
        ["pack", "{photos}", "-o", "{out}", "--shards", "2", "--shard-size", "1GB"],
        ["pack", "{photos}", "-o", "{out}", "--shard-size", "big"],
        ["pack", "{photos}", "-o", "{out}", "-j", "0"],
        ["pack", "{photos}", "-o", "{out}", "--format", "zip"],
        ["pack", "{photos}", "-o", "{out}", "--color", "CMYK"],
        ["pack", "{photos}", "-o", "{out}", "--layout", "encoded", "--size", "8"],
        ["pack", "{photos}", "-o", "{photos}/all.tfrecord", "--size", "8"],
        ["pack", "{photos}", "-o", "{photos}/all.zip"],
        ["pack", "{photos}", "-o", "{photos}/no/such/folder/all.h5"],
        ["pack", "{photos}/nowhere", "-o", "{out}"],
        ["info"],
        ["info", "{photos}/nowhere-*.tfrecord"],
        ["verify", "{photos}/nowhere.h5"],
        ["preview", "{photos}", "-o", "{photos}/sheet.txt"],
        ["preview", "{photos}", "-o", "{photos}/sheet.png", "--rows", "0"],
        ["index"],
        ["index", "{photos}/nowhere"],
        ["index", "{photos}", "--index-dir", "{photos}/nowhere"],
        ["index", "{photos}", "--offsets"],
        ["convert", "{photos}"],
        ["convert", "{photos}", "{photos}/no/such/folder/all.h5"],
        ["convert", "{photos}", "{out}", "--shards", "0"],
        ["extract", "{photos}"],
        ["explode"],
        ["info", "--sideways"],
    ],
    ids=" ".join,
)
def test_usage_errors(photos, arguments):
    arguments = [argument.format(photos=photos, out=photos.parent / "out.h5") for argument in arguments]
    before = files_below(photos.parent)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr
    assert files_below(photos.parent) == before

    failed = run(*arguments, "--json")
    assert failed.exit_code == 2
    assert json.loads(failed.stdout)["error"]


def break_image(photos: Path) -> list[str]:
    (photos / "cat" / "1.jpeg").write_bytes(b"no image at all")
    return ["pack", str(photos), "-o", str(photos.parent / "out.h5")]


def break_table(photos: Path) -> list[str]:
    (photos / "table.csv").write_text("file_name\ncat/77.jpeg\n")
    return ["pack", str(photos / "table.csv"), "-o", str(photos.parent / "out.h5")]


def break_folder(photos: Path) -> list[str]:
    (photos / "empty").mkdir()
    return ["pack", str(photos / "empty"), "-o", str(photos.parent / "out.h5")]


def break_file(photos: Path) -> list[str]:
    (photos / "odd.h5").write_bytes(b"x" * 100)
    return ["info", str(photos / "odd.h5")]


@pytest.mark.parametrize(
    ("damage", "named"),
    [(break_image, "1.jpeg"), (break_table, "77.jpeg"), (break_folder, "no images here"), (break_file, "odd.h5")],
)
def test_data_errors_are_one_line(photos, damage, named):
    arguments = damage(photos)
    before = files_below(photos.parent)
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert re.fullmatch(r"fastpack: [^\n]+\n", result.stderr)
    assert named in result.stderr
    assert "Errno" not in result.stderr
    assert files_below(photos.parent) == before

    failed = run(*arguments, "--json")
    error = json.loads(failed.stdout)
    assert failed.exit_code == 1
    assert result.stderr == f"fastpack: {error['error']}\n"
    assert issubclass(getattr(fastpack.errors, error["error_type"]), fastpack.FastpackError)


@pytest.mark.parametrize("ending", FORMATS)
def test_existing_output_is_refused_and_untouched(photos, ending):
    output = photos.parent / f"all.{ending}"
    output.write_bytes(b"mine")
    before = files_below(photos.parent)
    result = run("pack", photos, "-o", output)
    assert result.exit_code == 2
    assert str(output) in result.stderr
    assert files_below(photos.parent) == before


def test_preview_refuses_an_existing_picture(photos):
    output, sheet = packed(photos, "all.h5"), photos.parent / "sheet.png"
    sheet.write_bytes(b"mine")
    assert run("preview", output, "-o", sheet).exit_code == 2
    assert sheet.read_bytes() == b"mine"


def flip_a_byte_of_the_image(path: Path, image: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(image) + len(image) // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("ending", FORMATS)
def test_verify_names_file_and_record_of_each_problem(photos, ending):
    output = packed(photos, f"all.{ending}")
    for key in ("cat/1.jpeg", "dog/0.png"):
        flip_a_byte_of_the_image(output, (photos / key).read_bytes())
    result = run("verify", output)
    assert result.exit_code == 1
    *problems, summary = result.stdout.splitlines()
    assert summary == "5 samples in 1 file: 2 problems"
    assert [re.search(r"record (\d+)", problem)[1] for problem in problems] == ["1", "3"]
    assert all(output.name in problem for problem in problems)

    told = run("verify", output, "--json")
    assert told.exit_code == 1
    facts = json.loads(told.stdout)
    assert (facts["problems"], facts["is_sound"]) == (problems, False)


def test_info_of_a_corrupt_file_names_the_record(photos):
    output = packed(photos, "all.tfrecord")
    flip_a_byte_of_the_image(output, (photos / "cat" / "2.jpeg").read_bytes())
    result = run("info", output)
    assert result.exit_code == 1
    assert "all.tfrecord, record 2" in result.stderr


def test_verify_decodes_when_asked(photos):
    picture = photos / "cat" / "1.jpeg"
    picture.write_bytes(picture.read_bytes()[:-40])  # packed as it is, so its checksum holds
    output = packed(photos, "all.tfrecord")
    assert run("verify", output).exit_code == 0
    result = run("verify", output, "--decode")
    assert result.exit_code == 1
    assert "all.tfrecord, record 1" in result.stdout


@pytest.mark.parametrize("ending", FORMATS)
def test_verify_of_a_cut_file(photos, ending):
    output = packed(photos, f"all.{ending}")
    output.write_bytes(output.read_bytes()[:-100])
    result = run("verify", output)
    assert result.exit_code == 1
    assert output.name in result.stdout


def test_quiet_prints_problems_only(photos):
    output = photos.parent / "all.tfrecord"
    result = run("pack", photos, "-o", output, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    result = run("verify", output, "-q")
    assert (result.exit_code, result.output) == (0, "")
    flip_a_byte_of_the_image(output, (photos / "dog" / "1.png").read_bytes())
    result = run("verify", output, "-q")
    assert result.exit_code == 1
    assert "record 4" in result.stdout


@pytest.mark.parametrize("name", [b"red\x1b[31m", b"caf\xe9"], ids=["escape", "not UTF-8"])
def test_names_cannot_drive_the_terminal(tmp_path, name):
    folder = tmp_path / "photos" / os.fsdecode(name)
    folder.mkdir(parents=True)
    write_image(folder / "a.png", 2, 2, 0)
    output = packed(tmp_path / "photos", "all.h5")
    result = run("info", output)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert printable(os.fsdecode(name)) in result.stdout
    assert facts_of("info", output)["classes"][0]["name"] == os.fsdecode(name)


# Interruption, and what only a process of its own shows


@pytest.mark.parametrize("ending", FORMATS)
def test_interrupted_pack_leaves_nothing(photos, ending, monkeypatch):
    @contextlib.contextmanager
    def interrupting(description, quiet):
        def update(**changes):
            raise KeyboardInterrupt

        yield update

    monkeypatch.setattr(terminal, "progress", interrupting)
    before = files_below(photos.parent)
    result = run("pack", photos, "-o", photos.parent / f"all.{ending}", "--json")
    assert result.exit_code == 130
    assert json.loads(result.stdout)["error"] == "interrupted"
    assert files_below(photos.parent) == before


def test_ctrl_c_leaves_nothing(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    (tmp_path / "noise.jpeg").write_bytes(fastpack.encode(noise, "jpeg"))
    (tmp_path / "table.csv").write_text("file_name\n" + 50_000 * "noise.jpeg\n")
    before = set(tmp_path.iterdir())
    # A test run in the background inherits a deaf ear for SIGINT.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from fastpack.cli import main; main()"
    arguments = ["pack", str(tmp_path / "table.csv"), "-o", str(tmp_path / "all.tfrecord")]
    child = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    with child:
        while set(tmp_path.iterdir()) == before and child.poll() is None:
            time.sleep(0.002)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert errors == "fastpack: interrupted\n"
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("arguments", "status"), [(["--version"], 0), (["info", __file__], 1), (["info", "nowhere.h5"], 2)])
def test_python_m_fastpack(arguments, status):
    ran = subprocess.run([sys.executable, "-m", "fastpack", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == status
    assert "Traceback" not in ran.stderr


def run_in_terminal(arguments: list[object], **environment: str) -> tuple[str, str]:
    """stdout, and what a terminal at stderr gets."""
    terminal, stderr = pty.openpty()
    command = [sys.executable, "-m", "fastpack", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, env=os.environ | environment) as child:
        os.close(stderr)
        seen = b""
        with contextlib.suppress(OSError):  # Linux says EIO when the other end is closed
            while piece := os.read(terminal, 4096):
                seen += piece
        stdout = child.stdout.read()
    os.close(terminal)
    assert child.returncode == 0, seen
    return stdout.decode(), seen.decode()


def test_progress_is_on_the_terminal_only(photos):
    output = photos.parent / "all.tfrecord"
    stdout, terminal = run_in_terminal(["pack", photos, "-o", output, "--json"], TERM="xterm", NO_COLOR="")
    assert json.loads(stdout)["num_samples"] == 5
    assert "packing" in terminal
    assert "100%" in terminal
    stdout, terminal = run_in_terminal(["verify", output], TERM="xterm", NO_COLOR="1")
    assert stdout == "5 samples in 1 file: sound\n"
    assert "verifying" in terminal
    assert not re.search(r"\x1b\[[\d;]*\b3[0-9]", terminal), "NO_COLOR is set"


def test_quiet_shows_no_progress(photos):
    stdout, terminal = run_in_terminal(["pack", photos, "-o", photos.parent / "all.h5", "--quiet"], TERM="xterm")
    assert (stdout, terminal) == ("", "")


# How sizes and names are written


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


@pytest.mark.parametrize(("text", "shown"), [("Löwe 猫", "Löwe 猫"), ("a\nb\tc", r"a\nb\tc"), ("\x1b]0;x\x07", r"\x1b]0;x\x07")])
def test_printable(text, shown):
    assert printable(text) == shown
