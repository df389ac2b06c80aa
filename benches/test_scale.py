"""Tests of the benchmarks of large sets; none depends on a clock."""

import json
import os
import sys

import numpy as np
import pytest

import fastpack
from benches import scale
from benches.scale_sets import NAME, TinyJpegs, make_set

NUM_SAMPLES = 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("sets") / "small"
    scale.main(["make", str(made), "--samples", "1e3", "--shards", "4"])
    return made


def rows_of(folder, subject, *options):
    written = folder.parent / "rows.jsonl"
    written.unlink(missing_ok=True)
    scale.main([subject, str(folder), "--json", str(written), *options])
    rows = [json.loads(line) for line in written.read_text().splitlines()]
    assert all({"command", "machine", "revision"} <= row.keys() for row in rows)
    return rows


def test_shards_are_links_to_one_file(folder):
    shards = sorted(folder.glob("*-of-*.tfrecord"))
    assert len(shards) == 4
    assert len({os.stat(shard).st_ino for shard in shards}) == 1
    reader = fastpack.open(folder / NAME)
    assert len(reader) == NUM_SAMPLES
    labels = np.asarray(reader.columns["label"]).reshape(4, -1)
    assert (labels == labels[0]).all()


def test_a_source_has_limited_links(tmp_path, monkeypatch):
    monkeypatch.setattr("benches.scale_sets._MAX_LINKS", 3)
    path = make_set(tmp_path / "set", 10, 5)
    shards = sorted(path.parent.glob("*-of-*.tfrecord"))
    assert len({os.stat(shard).st_ino for shard in shards}) == 2
    assert len(fastpack.open(path)) == 10


def test_tiny_jpegs_differ():
    source = TinyJpegs(200)
    batch = source.read(range(200))
    images = list(map(bytes, batch["image"]))
    assert len(set(images)) == 200
    assert [len(image) for image in images] == source.sizes.tolist()
    sizes = {fastpack.decode(image).shape[:2] for image in images}
    assert len(sizes) > 10
    assert 0 < (batch["label"] % 2).sum() < 200


def test_unequal_shards_are_refused(tmp_path):
    with pytest.raises(SystemExit, match="3 shards cannot share 10 samples evenly"):
        make_set(tmp_path / "set", 10, 3)


@pytest.mark.parametrize("start", [[], ["--from-fork"]])
def test_opening_is_measured(folder, start):
    alone, two = rows_of(folder, "open", "--processes", "1", "2", "--rounds", "1", *start)
    assert (alone["processes"], two["processes"]) == (1, 2)
    assert min(alone["open"], alone["batch"], alone["read"], alone["private"]) > 0
    assert two["pss_sum"] > alone["pss_sum"]
    assert two["adds"] == two["pss_sum"] - alone["pss_sum"]


def test_orders_are_measured(folder):
    names = ["mix", "filter", "split"]
    rows = rows_of(folder, "orders", "--batches", "2", "--orders", *names)
    assert [row["order"] for row in rows[::2]] == names
    for row in rows:
        assert min(row["first"], row["rate"], row["resume_0"], row["resume_90"]) > 0
        assert row["state_bytes"] < 200
    samples = {row["order"]: row["samples"] for row in rows}
    assert samples["mix"] == NUM_SAMPLES
    assert samples["split"] == 9 * NUM_SAMPLES // 10
    assert 0 < samples["filter"] < NUM_SAMPLES


def test_workers_are_measured(folder):
    pytest.importorskip("torch")
    rows = rows_of(folder, "workers", "--workers", "1")
    assert [row["style"] for row in rows] == ["iterable", "map"]
    assert min(min(row["first"], row["pickled"], row["private"]) for row in rows) > 0


def test_lmdb_is_compared(folder, monkeypatch):
    """Without LMDB, a second fastpack stands for it."""
    monkeypatch.setattr(scale, "_LMDB", scale._READING)
    monkeypatch.setattr(scale, "_lmdb_of", lambda path, python: path)
    monkeypatch.setattr(scale, "lmdb_python", lambda environments: sys.executable)
    rows = rows_of(folder, "lmdb", "--rounds", "1")
    assert [row["library"] for row in rows] == ["LMDB", "fastpack, Loader", "fastpack, Reader.read"]
    assert rows[0]["first_ratio"] == rows[0]["closed_ratio"] == 1
    assert all(row["closed"] >= row["first"] > 0 for row in rows)
