"""The commands for datasets that are there already: index, convert, extract, verify and preview."""

import json
import re

import pytest

import fastpack
from tests.support.command_line import (
    FORMATS,
    facts_of,
    files_below,
    flip_a_byte_of_the_image,
    packed,
    run,
)


def test_index_shows_what_a_sample_holds(photos):
    path = packed(photos, "all.tfrecord")
    (photos.parent / "all.tfrecord.fpindex").unlink()
    facts = facts_of("index", path)
    assert (facts["num_samples"], facts["num_fresh"], facts["paths"]) == (5, 0, [str(path)])
    assert [field["name"] for field in facts["schema"]["fields"]] == ["image", "label", "key"]
    assert facts["index_bytes"] == (photos.parent / "all.tfrecord.fpindex").stat().st_size
    assert facts_of("index", path)["num_fresh"] == 1
    assert facts_of("index", path, "--rebuild", "-j", 3)["num_fresh"] == 0
    lines = run("index", path).stdout.splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["name", "kind", "shape", "dtype", "stored", "as"],
        ["image", "image", "-", "-", "image"],
    ]
    assert lines[-1].startswith("5 samples in 1 file (")
    assert lines[-1].endswith(", 1 index existed already")
    assert run("index", path, "--quiet").stdout == ""


def test_index_of_a_folder_into_another(photos):
    (photos.parent / "kept").mkdir()
    assert facts_of("index", photos, "--index-dir", photos.parent / "kept")["num_samples"] == 5
    assert len(list((photos.parent / "kept").iterdir())) == 1
    assert not (photos.parent / "photos.fpindex").exists()


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
    assert run("convert", path, photos.parent / output, "--overwrite").stdout.startswith(
        "packed 5 samples"
    )
    assert facts_of("extract", photos.parent / output, photos.parent / "files")["num_files"] == 5
    assert files_below(photos.parent / "files") == files_below(photos)


def test_convert_to_a_folder_is_extract(photos):
    path = packed(photos, "a.h5")
    result = run("convert", path, photos.parent / "files")
    assert result.stdout.startswith("packed 5 samples (")
    assert files_below(photos.parent / "files") == files_below(photos)
    refused = run("convert", path, photos.parent / "more", "--shards", 2)
    assert refused.exit_code == 2
    assert "--shards N is not for a folder of files; leave it out" in refused.stderr


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

    verified = run("verify", output, "--json")
    assert verified.exit_code == 1
    facts = json.loads(verified.stdout)
    assert (facts["problems"], facts["is_sound"]) == (problems, False)


def test_verify_decodes_when_asked(photos):
    image = photos / "cat" / "1.jpeg"
    image.write_bytes(image.read_bytes()[:-40])  # packed as it is, so its checksum holds
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


@pytest.mark.parametrize(
    "arguments", [["--seed", "7"], ["-n", "2"], ["--rows", "99", "--columns", "2", "--tile", "50"]]
)
def test_preview(photos, arguments):
    sheet = photos.parent / "sheet.png"
    assert run("preview", packed(photos, "all.h5"), "-o", sheet, *arguments).exit_code == 0
    assert fastpack.decode(sheet.read_bytes()).ndim == 3


def test_preview_of_a_seed_is_random_and_repeatable(photos):
    output, sheets = packed(photos, "all.h5"), []
    for seed in ("1", "1", "2"):
        assert (
            run(
                "preview", output, "-o", photos.parent / "sheet.png", "--seed", seed, "--overwrite"
            ).exit_code
            == 0
        )
        sheets.append((photos.parent / "sheet.png").read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]


def test_preview_refuses_an_existing_image(photos):
    output, sheet = packed(photos, "all.h5"), photos.parent / "sheet.png"
    sheet.write_bytes(b"mine")
    assert run("preview", output, "-o", sheet).exit_code == 2
    assert sheet.read_bytes() == b"mine"
