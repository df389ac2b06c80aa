"""`fastpack pack`: sources, options, and what is left when it is stopped."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import fastpack
from fastpack.cli import terminal
from tests.support.command_line import FORMATS, facts_of, files_below, packed, run
from tests.support.paths import ROOT


@pytest.mark.parametrize("ending", FORMATS)
def test_image_bytes_go_through_untouched(photos, ending):
    dataset = fastpack.open(packed(photos, f"all.{ending}"), decode=False)
    assert {sample["key"]: sample["image"] for sample in dataset} == files_below(photos)


@pytest.mark.parametrize(
    ("first", "second"),
    [("a.tfrecord", "b.h5"), ("a.h5", "b.tfrecord"), ("a.tfrecord", "b.tfrecord")],
)
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
        (
            ["--size", "9", "--color", "gray", "--layout", "pixels", "-j", "1", "--no-sync"],
            (5, 9, 9, 1),
        ),
    ],
)
def test_pack_pixels(photos, options, shape):
    with h5py.File(packed(photos, "pixels.h5", *options)) as file:
        assert file["images"].shape == shape


def test_appending_and_pixels_with_filters(photos):
    output = photos.parent / "all.h5"
    storage = [
        "--size",
        "16",
        "--compression",
        "blosc2",
        "--level",
        "3",
        "--chunk",
        "2",
        "--no-fletcher32",
        "--memory",
        "64MB",
    ]
    assert run("pack", photos, "-o", output, *storage).exit_code == 0
    assert run("pack", photos, "-o", output, "--append", *storage).exit_code == 0
    assert facts_of("verify", photos.parent / "all*.h5")["num_samples"] == 10


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


@pytest.mark.parametrize("ending", FORMATS)
def test_existing_output_is_refused_and_untouched(photos, ending):
    output = photos.parent / f"all.{ending}"
    output.write_bytes(b"mine")
    before = files_below(photos.parent)
    result = run("pack", photos, "-o", output)
    assert result.exit_code == 2
    assert str(output) in result.stderr
    assert files_below(photos.parent) == before


def test_an_interrupted_pack_is_reported_and_resumed(photos, stop_after):
    output = photos.parent / "all.tfrecord"
    with stop_after(1):
        result = run("pack", photos, "-o", output, "--shards", 3, "-j", 1)
    assert result.exit_code == 130
    assert "1 of 3 shards are kept" in result.stderr
    assert "with --resume" in result.stderr

    assert run("pack", photos, "-o", output, "--shards", 3).exit_code == 2
    changed = run("pack", photos, "-o", output, "--shards", 2, "--resume")
    assert changed.exit_code == 2
    assert "this is not the pack that was begun: first samples of the shards" in changed.stderr
    assert run("pack", photos, "-o", output, "--shards", 3, "--resume").exit_code == 0
    assert facts_of("verify", photos.parent / "all-*.tfrecord")["num_samples"] == 5
    assert [path.name for path in photos.parent.iterdir() if path.name.startswith(".")] == []


def test_split_prints_the_samples_of_each_part(photos):
    arguments = ["pack", photos, "-o", photos.parent / "set.h5", "--split", "train=0.5,val=0.5"]
    plan, result = run(*arguments, "--dry-run"), run(*arguments)
    [line] = [line for line in result.stdout.splitlines() if "each split" in line]
    counts = [len(fastpack.open(photos.parent / f"set-{name}.h5")) for name in ("train", "val")]
    assert line == f"samples of each split: train {counts[0]}, val {counts[1]}"
    assert line in plan.stdout.splitlines()
    splits = facts_of(*arguments, "--overwrite")["splits"]
    assert splits == {"train": counts[0], "val": counts[1]}


@pytest.mark.parametrize("ending", FORMATS)
def test_interrupted_pack_leaves_nothing(photos, ending, monkeypatch):
    @contextlib.contextmanager
    def interrupting(description, quiet):
        def update(done, total, num_bytes):
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
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from fastpack.cli import main; main()"
    )
    arguments = ["pack", str(tmp_path / "table.csv"), "-o", str(tmp_path / "all.tfrecord")]
    child = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    with child:
        while (
            not (tmp_path / ".all.tfrecord.packing" / "all.tfrecord").exists()
            and child.poll() is None
        ):
            time.sleep(0.002)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    interrupted, note = errors.splitlines()
    assert interrupted == "fastpack: interrupted"
    assert "nothing is kept; with --shards N, --resume" in note
    assert set(tmp_path.iterdir()) == before
