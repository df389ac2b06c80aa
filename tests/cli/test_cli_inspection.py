"""The commands repair, ls and doctor; more of verify and preview."""

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

import fastpack
from fastpack.files.companions import index_path
from fastpack.formats import registry
from tests.support.command_line import run

ENDINGS = ["tfrecord", "h5"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three JPEGs of cats and two PNGs of dogs."""
    names = ["cat/0.jpeg", "cat/1.jpeg", "cat/2.jpeg", "dog/0.png", "dog/1.png"]
    for number, name in enumerate(names):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            fastpack.encode(np.full((30, 40, 3), 40 * number, np.uint8), path.suffix[1:])
        )
    return tmp_path / "photos"


@pytest.fixture(params=ENDINGS)
def dataset(request, photos) -> Path:
    output = photos.parent / f"all.{request.param}"
    fastpack.pack(photos, output, fastpack.PackOptions(sync=False))
    return output


@pytest.fixture
def damaged(dataset, photos) -> Path:
    image = (photos / "cat" / "1.jpeg").read_bytes()
    data = bytearray(dataset.read_bytes())
    data[data.index(image) + 100] ^= 1
    dataset.write_bytes(data)
    return dataset


# repair


def test_repair_lists_what_is_lost(damaged, tmp_path):
    output = tmp_path / f"new{damaged.suffix}"
    result = run("repair", damaged, "-o", output)
    assert result.exit_code == 1
    lost, summary = result.stdout.splitlines()
    assert lost.startswith("lost: ")
    assert f"{damaged}, record 1, byte 0x" in lost
    assert lost.endswith("key cat/1.jpeg")
    assert summary.startswith(f"4 samples in {output} (")
    assert summary.endswith("; 1 beyond repair")
    assert run("verify", output).exit_code == 0


def test_repair_as_json(damaged, tmp_path):
    result = run("repair", damaged, "-o", tmp_path / f"new{damaged.suffix}", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["num_samples"], report["num_lost"], report["damages"][0]["key"]) == (
        4,
        1,
        "cat/1.jpeg",
    )


@pytest.mark.parametrize("ending", ["tfrecord"])
def test_repair_of_a_frame_loses_nothing(photos, tmp_path, ending):
    path = tmp_path / "all.tfrecord"
    fastpack.pack(photos, path)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    result = run("repair", path, "-o", tmp_path / "new.tfrecord")
    assert result.exit_code == 0
    assert result.stdout.startswith("saved: ")
    assert result.stdout.endswith("nothing was lost\n")
    assert (
        run(
            "repair", tmp_path / "new.tfrecord", "-o", tmp_path / "third.tfrecord", "--quiet"
        ).stdout
        == ""
    )


def test_repair_refuses_what_makes_no_sense(dataset, tmp_path):
    assert run("repair", dataset, "-o", dataset).exit_code == 2
    (tmp_path / f"there{dataset.suffix}").write_bytes(b"mine")
    assert run("repair", dataset, "-o", tmp_path / f"there{dataset.suffix}").exit_code == 2
    assert (
        run("repair", dataset, "-o", tmp_path / f"there{dataset.suffix}", "--overwrite").exit_code
        == 0
    )
    assert run("repair", tmp_path / "nowhere.h5", "-o", tmp_path / "x.h5").exit_code == 2


# verify


def test_verify_against_the_folder(dataset, photos):
    assert run("verify", dataset, "--against", photos).exit_code == 0
    (photos / "dog" / "1.png").unlink()
    result = run("verify", dataset, "--against", photos, "-j", 1)
    assert result.exit_code == 1
    assert "the source has no such image" in result.stdout
    assert "key dog/1.png" in result.stdout


def test_verify_against_what_is_not_there(dataset, tmp_path):
    assert run("verify", dataset, "--against", tmp_path / "nowhere").exit_code == 2


def test_indexes_in_a_folder_of_their_own(photos, tmp_path):
    path, elsewhere = tmp_path / "all.tfrecord", tmp_path / "indexes"
    fastpack.pack(photos, path, fastpack.PackOptions(sync=False))
    elsewhere.mkdir()
    index_path(path).rename(index_path(path, elsewhere))
    os.truncate(path, path.stat().st_size - 30)
    assert "dog/1.png" not in run("verify", path).stdout
    assert "key dog/1.png" in run("verify", path, "--index-dir", elsewhere).stdout
    assert (
        "key dog/1.png"
        in run("repair", path, "-o", tmp_path / "new.tfrecord", "--index-dir", elsewhere).stdout
    )


def test_verify_reports_samples_without_checksums(tmp_path):
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["images"] = np.zeros((5, 8, 8, 3), np.uint8)
    assert (
        run("verify", tmp_path / "all.h5").stdout
        == "5 samples in 1 file: sound; 5 samples without a checksum could be read\n"
    )


# ls


def test_ls(dataset):
    head, *lines = run("ls", dataset).stdout.splitlines()
    assert head.split() == [
        "sample",
        "key",
        "label",
        "class",
        "size",
        "bytes",
        "format",
        "file",
        "record",
        "byte",
    ]
    rows = [line.split() for line in lines]
    assert [row[:5] for row in rows] == [
        ["0", "cat/0.jpeg", "0", "cat", "40x30"],
        ["1", "cat/1.jpeg", "0", "cat", "40x30"],
        ["2", "cat/2.jpeg", "0", "cat", "40x30"],
        ["3", "dog/0.png", "1", "dog", "40x30"],
        ["4", "dog/1.png", "1", "dog", "40x30"],
    ]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["-n", 2], [0, 1]),
        (["--class", "dog"], [3, 4]),
        (["--match", "*/1.*"], [1, 4]),
        (["--class", "1", "-n", 1], [3]),
    ],
)
def test_ls_of_some(dataset, options, numbers):
    lines = run("ls", dataset, *options, "--json").stdout.splitlines()
    assert [json.loads(line)["number"] for line in lines] == numbers


@pytest.fixture
def table(photos) -> Path:
    (photos / "t.csv").write_text(
        "path,label,score,note\ncat/0.jpeg,cat,0.5,good\ndog/0.png,dog,1.25," + 60 * "x" + "\n"
    )
    fastpack.pack(photos / "t.csv", photos.parent / "table.h5")
    return photos.parent / "table.h5"


def test_ls_shows_columns(table):
    head, first, second = (line.split() for line in run("ls", table).stdout.splitlines())
    assert head[:7] == ["sample", "key", "label", "class", "note", "score", "size"]
    assert first[2:7] == ["0", "cat", "good", "0.5", "40x30"]
    assert second[4] == 38 * "x" + ".."


@pytest.mark.parametrize(
    ("fields", "shown"), [("note", ["note"]), ("", []), ("score,bits", ["score", "bits"])]
)
def test_ls_shows_chosen_columns(table, fields, shown):
    head = run("ls", table, "--fields", fields).stdout.splitlines()[0].split()
    assert head[4:-6] == shown
    lines = run("ls", table, "--fields", fields, "--json").stdout.splitlines()
    assert [[*json.loads(line)["columns"]] for line in lines] == [shown, shown]


def test_ls_of_a_column_that_is_not_there(table):
    result = run("ls", table, "--fields", "area")
    assert result.exit_code == 2
    assert "no column 'area'" in result.stderr


def test_ls_of_a_class_that_is_not_there(dataset):
    result = run("ls", dataset, "--class", "owl")
    assert result.exit_code == 2
    assert "'owl'" in result.stderr


# preview


def test_preview_of_given_samples(dataset, tmp_path):
    result = run("preview", dataset, "-o", tmp_path / "a.png", "--sample", 4, "--sample", 0)
    assert (result.exit_code, result.stdout) == (0, f"2 of 5 samples on {tmp_path / 'a.png'}\n")
    assert run("preview", dataset, "-o", tmp_path / "b.png", "--sample", 5).exit_code == 2


def test_preview_of_each_class(dataset, tmp_path):
    result = run("preview", dataset, "-o", tmp_path / "a.png", "--per-class", "-n", 1)
    assert result.stdout.startswith("2 of 5 samples")


@pytest.mark.parametrize("arguments", [["page.html"], ["page.htm"], ["page", "--html"]])
def test_preview_on_a_page(dataset, tmp_path, arguments):
    name, *options = arguments
    assert run("preview", dataset, "-o", tmp_path / name, *options).exit_code == 0
    page = (tmp_path / name).read_text()
    assert page.startswith("<!doctype html>")
    assert page.count("data:image/jpeg;base64,") == 5
    assert run("preview", dataset, "-o", tmp_path / name, *options).exit_code == 2
    assert run("preview", dataset, "-o", tmp_path / name, *options, "--overwrite").exit_code == 0


# doctor


def test_doctor(dataset, photos):
    for subject in (dataset, photos):
        result = run("doctor", subject, "--seconds", 0.01, "--consumer", 2)
        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        assert lines[0].startswith("5 images, ")
        assert next(line for line in lines if line.startswith("consumer")).endswith("<- bottleneck")
        assert "ceiling: 2 images/s, set by consumer" in lines
        assert lines[-1].startswith("- ")


def test_doctor_as_json(dataset):
    report = json.loads(run("doctor", dataset, "--seconds", 0.01, "--size", 16, "--json").stdout)
    assert report["num_samples"] == 5
    assert report["binding"] in {stage["name"] for stage in report["stages"]}


def test_doctor_refuses_what_makes_no_sense(photos):
    assert run("doctor", photos, "--size", 16).exit_code == 2
    assert run("doctor", photos, "--consumer", 0).exit_code == 2


def test_nothing_remains(damaged, tmp_path):
    before = set(os.listdir(tmp_path))
    run("verify", damaged, "--decode")
    run("ls", damaged)
    run("repair", damaged, "-o", tmp_path / "folder" / "new.h5")  # there is no such folder
    assert set(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    "command",
    [
        "info {dataset}",
        "ls {dataset}",
        "preview {dataset} -o {out}.png",
        "doctor {dataset} --seconds 0.01",
        "bench {dataset} --size 8 --seconds 0.001 -j 1",
        "extract {dataset} {out}",
        "convert {dataset} {out}.h5",
        "convert {dataset} {out}",
    ],
)
def test_indexes_that_lie_elsewhere_are_used(dataset, tmp_path, monkeypatch, command):
    (tmp_path / "indexes").mkdir()
    index_path(dataset).unlink()
    command = [
        *command.format(dataset=dataset, out=tmp_path / "out").split(),
        "--index-dir",
        tmp_path / "indexes",
    ]
    assert run(*command).exit_code == 0
    assert not index_path(dataset).exists()
    saves = command[0] not in ("extract", "convert")  # which index nothing for later
    assert index_path(dataset, tmp_path / "indexes").exists() == saves

    assert run("index", dataset, "--index-dir", tmp_path / "indexes").exit_code == 0
    monkeypatch.setattr(
        type(registry.of_file(dataset)), "index", pytest.fail
    )  # the file is not indexed again
    if not saves:
        assert run(*command, "--overwrite").exit_code == 0


def test_verify_against_a_table_with_its_columns(photos, tmp_path):
    table, columns = tmp_path / "table.csv", ("--path-column", "photo")
    table.write_text("photo,size\nphotos/cat/1.jpeg,small\n")
    assert run("pack", table, "-o", tmp_path / "t.h5", *columns).exit_code == 0
    result = run("verify", tmp_path / "t.h5", "--against", table, *columns)
    assert result.exit_code == 0, result.output
