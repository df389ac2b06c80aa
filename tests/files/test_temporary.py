"""Temporary files are unique while written, and gone afterwards, also after a failure."""

import os
import signal
import subprocess
import sys
import threading

import pytest

import fastpack
from fastpack import build_indexes, pack
from fastpack.files.atomic import atomic_write
from fastpack.files.companions import index_path
from fastpack.files.temporary import remove_leftovers, temporary_in
from fastpack.formats.index.index_file import load_index
from fastpack.packing.extract import extract
from fastpack.sources import ImageFiles
from tests.support.images import jpeg

KILLED = """
import os, signal, sys
from pathlib import Path
from fastpack.files.atomic import atomic_write
with atomic_write(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder):
    return sorted(os.listdir(folder))


@pytest.fixture
def packed(tmp_path):
    (tmp_path / "photos").mkdir()
    paths = [tmp_path / "photos" / f"{i}.jpg" for i in range(20)]
    for i, path in enumerate(paths):
        path.write_bytes(jpeg(8 + i, 8))
    (tmp_path / "out").mkdir()
    return pack(
        ImageFiles(paths, keys=[f"{i % 2}/{i}.jpg" for i in range(20)]),
        tmp_path / "out" / "t.tfrecord",
    ).paths[0]


def killed_writer(path):
    assert (
        subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode
        == -signal.SIGKILL
    )


def test_only_what_a_dead_writer_left_is_removed(tmp_path):
    killed_writer(tmp_path / "x")
    others = [".fastpack.0123456789abcde.tmp", ".fastpack.0123456789abcdef.tmp.x", "x.tmp"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".fastpack.0123456789abcdef.tmp").symlink_to("x.tmp")
    (tmp_path / ".fastpack.1123456789abcdef.tmp").mkdir()
    kept = sorted([*others, ".fastpack.0123456789abcdef.tmp", ".fastpack.1123456789abcdef.tmp"])
    assert len(names(tmp_path)) == len(kept) + 1
    with temporary_in(tmp_path) as living:
        remove_leftovers(tmp_path)
        assert names(tmp_path) == sorted([*kept, living.name])
    assert names(tmp_path) == kept


def test_a_folder_that_is_not_there():
    remove_leftovers(os.devnull)  # type: ignore[arg-type]


def test_a_name_of_255_bytes(tmp_path):
    with atomic_write(tmp_path / ("x" * 255)) as temporary:
        temporary.write_bytes(b"whole")
    assert names(tmp_path) == ["x" * 255]


@pytest.mark.parametrize("work", ["pack", "index", "extract", "extract a tar", "repair"])
def test_the_next_run_removes_what_a_killed_one_left(packed, tmp_path, work):
    folder = packed.parent
    (folder / "files" / "1").mkdir(parents=True)
    killed_writer(folder / "files" / "1" / "x" if work == "extract" else folder / "x")
    {
        "pack": lambda: pack(tmp_path / "photos", folder / "u.h5"),
        "index": lambda: build_indexes(packed),
        "extract": lambda: extract(fastpack.open(packed), folder / "files"),
        "extract a tar": lambda: extract(fastpack.open(packed), folder / "files.tar"),
        "repair": lambda: fastpack.repair(packed, folder / "u.tfrecord"),
    }[work]()
    assert not [name for _, _, files in os.walk(folder) for name in files if name.startswith(".")]


def together(count, work):
    """Runs `work` in several threads at once; gives the errors that they met."""
    found, barrier = [], threading.Barrier(count)

    def run():
        barrier.wait()
        try:
            work()
        except BaseException as error:
            found.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_threads_that_index_one_file(packed):
    for _ in range(10):
        index_path(packed).unlink(missing_ok=True)
        assert together(6, lambda: build_indexes(packed, rebuild=True)) == []
        assert len(load_index(index_path(packed))) == len(fastpack.open(packed))
    assert names(packed.parent) == [packed.name, index_path(packed).name]


def test_threads_that_extract_to_one_folder(packed, tmp_path):
    dataset = fastpack.open(packed, decode=False)
    for run in range(3):
        folder = tmp_path / f"files{run}"
        assert together(4, lambda folder=folder: extract(dataset, folder, overwrite=True)) == []
        for i, key in enumerate(dataset.columns["key"]):
            assert (folder / key).read_bytes() == (tmp_path / "photos" / f"{i}.jpg").read_bytes()
        assert [len(files) for _, _, files in os.walk(folder)] == [0, 10, 10]
