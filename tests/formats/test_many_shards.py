"""Sets of many shards: manifests, descriptors, pickles, and indexing that was killed."""

import multiprocessing
import os
import pickle
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastpack
from fastpack.errors import ChangedFileError
from fastpack.files.companions import index_path, manifest_path
from fastpack.files.naming import shard_paths
from fastpack.formats.column_ranges import ColumnRanges
from fastpack.formats.dataset_indexes import open_table
from fastpack.formats.manifest import Manifest
from fastpack.formats.shard_indexes import Opening
from tests.support.images import jpeg
from tests.support.wire import bytes_list, entry, example, frame, int_list

IMAGE = jpeg(8, 8)


def record(label):
    return frame(example(entry(b"image", bytes_list(IMAGE)), entry(b"label", int_list(label))))


def write_set(folder, count, first=0):
    """Write shards of two records, and return the name of the set."""
    folder.mkdir(exist_ok=True)
    for number, path in enumerate(shard_paths(folder / "t.tfrecord", count), first):
        path.write_bytes(record(2 * number) + record(2 * number + 1))
    return folder / "t.tfrecord"


def saved(output):
    return Manifest.load(manifest_path(output), output.parent)[0]


def num_open():
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def few_descriptors():
    """Allow 100 more open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (num_open() + 100, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.isolated
def test_indexing_and_opening_hold_few_descriptors(tmp_path, few_descriptors):
    output = write_set(tmp_path, 150)
    before = num_open()
    built = fastpack.build_indexes(output)
    assert (built.num_samples, built.num_fresh) == (300, 0)
    assert num_open() <= before + 2
    manifest_path(output).unlink()
    table = open_table(output, Opening(save=False))
    assert len(table) == 300
    assert num_open() <= before + 2
    rows = np.random.default_rng(0).permutation(300)
    assert table.take(rows).columns["label"].tolist() == rows.tolist()
    assert table.take(rows, ["label"]).columns["label"].tolist() == rows.tolist()
    assert num_open() <= before + 40


def test_progress_counts_each_byte_once(tmp_path):
    output = write_set(tmp_path, 20)
    calls = []
    fastpack.build_indexes(output, progress=lambda *counts: calls.append(counts))
    total = sum(path.stat().st_size for path in shard_paths(output, 20))
    assert calls[-1] == (total, total, total)
    assert calls == sorted(calls)


_INDEXING = """
import sys, time
import fastpack
from fastpack.formats.file_index import FileIndex
save = FileIndex.save
def slow(*given):
    save(*given)
    time.sleep(0.05)
FileIndex.save = slow
fastpack.build_indexes(sys.argv[1], num_workers=1)
"""


def test_indexing_that_was_killed_goes_on(tmp_path):
    output = write_set(tmp_path, 40)
    indexes = [index_path(path) for path in shard_paths(output, 40)]
    with subprocess.Popen([sys.executable, "-c", _INDEXING, str(output)]) as process:
        deadline = time.monotonic() + 60
        while not indexes[5].exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    times = {path: path.stat().st_mtime_ns for path in indexes if path.exists()}
    assert 6 <= len(times) < 40
    assert not manifest_path(output).exists()
    built = fastpack.build_indexes(output)
    assert (built.num_samples, built.num_fresh) == (80, len(times))
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert len(saved(output)) == 40


def test_the_manifest_has_the_range_of_each_column(tmp_path):
    output = write_set(tmp_path, 3)
    held = open_table(output, Opening(save=False)).manifest
    fastpack.build_indexes(output)
    for manifest in (held, saved(output), pickle.loads(pickle.dumps(held))):
        least, greatest = manifest.column_range("label")
        assert (least.tolist(), greatest.tolist()) == ([0, 2, 4], [1, 3, 5])
        assert least.dtype == np.int64
        assert manifest.column_range("image") is None


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ({0: (-5, 7), 2: (1, 2)}, ([-5, 0, 1], [7, -1, 2])),
        ({0: (0.5, 2.5), 1: (3, 4), 2: (1, 1)}, ([0.5, 3, 1], [2.5, 4, 1])),
        ({0: (0, 2**63)}, None),
        ({0: (0.5, 1.5), 1: (0, 2**53 + 1)}, None),
    ],
)
def test_ranges_are_kept_where_a_type_holds_them(ranges, expected):
    collected = ColumnRanges(3)
    for number, found in ranges.items():
        collected.set(number, *found)
    columns = collected.columns([0, 1, 2])
    assert (columns and (columns["min"].tolist(), columns["max"].tolist())) == expected


def test_packing_saves_the_manifest(tmp_path):
    source = fastpack.open(write_set(tmp_path / "in", 4), decode=False)
    output = tmp_path / "t.tfrecord"
    fastpack.pack(source, output, shards=2)
    assert saved(output).firsts.tolist() == [0, 4, 8]
    fastpack.pack(source, output, append=True)
    assert saved(output).firsts.tolist() == [0, 4, 8, 16]
    fastpack.pack(source, output, shards=3, overwrite=True)
    assert len(saved(output)) == 3
    first = manifest_path(output).read_bytes()
    os.unlink(manifest_path(output))
    assert len(fastpack.open(output)) == 8
    assert manifest_path(output).read_bytes() == first


def test_a_manifest_does_not_depend_on_the_threads(tmp_path):
    output = write_set(tmp_path, 30)
    found = set()
    for num_workers in (1, 8, 8):
        fastpack.build_indexes(output, num_workers=num_workers, rebuild=True)
        found.add(saved(output).column("schema").tobytes())
        found.add(manifest_path(output).read_bytes()[:8])
    assert len(found) == 2


def _labels(reader, rows, results):
    results.put(reader.columns["label"][rows].tolist())


@pytest.mark.parametrize("is_saved", [False, True])
def test_a_reader_in_a_spawned_process(tmp_path, is_saved):
    one = write_set(tmp_path / "a", 3)
    two = write_set(tmp_path / "b", 3, first=3)
    reader = fastpack.open(one if is_saved else [one, two])
    assert manifest_path(one).exists() == is_saved
    spawn = multiprocessing.get_context("spawn")
    results = spawn.SimpleQueue()
    rows = [5, 0] if is_saved else [11, 0, 6]
    process = spawn.Process(target=_labels, args=(reader, rows, results))
    process.start()
    assert results.get() == rows
    process.join()


def test_pickles_of_many_shards_are_small(tmp_path):
    """A manifest without a file is in a scratch file then."""
    folders = [write_set(tmp_path / name, 2000, first=2000 * i) for i, name in enumerate("ab")]
    reader = fastpack.open(folders)
    data = pickle.dumps(reader)
    assert len(data) < 10_000
    copy = pickle.loads(data)
    assert len(pickle.dumps(copy)) < 10_000
    assert copy.columns["label"][[7999, 0]].tolist() == [7999, 0]


def test_pickles_of_unsaved_indexes_are_small(tmp_path):
    output = write_set(tmp_path, 300)
    table = open_table(output, Opening(save=False))
    data = pickle.dumps(table)
    assert len(data) < 100_000
    copy = pickle.loads(data)
    assert len(pickle.dumps(copy)) < 100_000
    assert copy.take(np.array([599, 0])).columns["label"].tolist() == [599, 0]


def test_hdf5_sets_with_and_without_a_virtual_dataset(tmp_path):
    source = fastpack.open(write_set(tmp_path / "in", 4), decode=False)
    for virtual, size in ((False, None), (True, 8)):
        output = tmp_path / f"v{virtual}" / "t.h5"
        output.parent.mkdir()
        fastpack.pack(source, output, shards=3, virtual=virtual, size=size)
        assert len(saved(output)) == 3
        before = manifest_path(output).stat().st_ino
        for path in (output.parent, output.parent / "t-*", output):
            assert fastpack.open(path).columns["label"][:].tolist() == list(range(8))
        assert manifest_path(output).stat().st_ino == before


def test_a_pickle_whose_manifest_was_replaced(tmp_path):
    output = write_set(tmp_path, 3)
    fastpack.build_indexes(output)
    data = pickle.dumps(fastpack.open(output))
    write_set(tmp_path, 3, first=1)
    fastpack.build_indexes(output)
    with pytest.raises(ChangedFileError, match="manifest was replaced"):
        pickle.loads(data)
