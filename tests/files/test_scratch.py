"""Scratch files: shared bytes, removed by their process alone."""

import errno
import gc
import os
import pickle
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from fastpack.errors import ChangedFileError, FastpackError, MissingFileError
from fastpack.files import scratch as module
from fastpack.files.scratch import Scratch

DATA = bytes(range(256)) * 100


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("data", [b"", b"x", DATA, bytearray(DATA), np.arange(5000).data])
def test_bytes_come_back(data):
    written = Scratch.write(data)
    copy = pickle.loads(pickle.dumps(written))
    expected = memoryview(data).cast("B").tobytes()
    for each in (written, copy):
        assert each.mapped().tobytes() == expected
        assert each.mapped().readonly
        with each.opened() as descriptor:
            assert os.read(descriptor, 10**6) == expected
    assert written.num_bytes == len(expected)
    assert stat.S_IMODE(written.path.stat().st_mode) == 0o600


@pytest.mark.isolated
def test_the_file_goes_with_its_owner(folder):
    written = Scratch.write(DATA)
    copy, pages = pickle.loads(pickle.dumps(written)), written.mapped()
    path = written.path
    del copy
    gc.collect()
    assert path.exists()
    descriptors = len(os.listdir("/proc/self/fd"))
    del written
    gc.collect()
    assert os.listdir(folder) == []
    assert pages.tobytes() == DATA  # what was mapped stays
    assert len(os.listdir("/proc/self/fd")) == descriptors - 1


def test_a_file_of_a_process_that_ended(folder):
    copy = pickle.loads(pickle.dumps(Scratch.write(DATA)))
    for read in (copy.mapped, lambda: copy.opened().__enter__()):
        with pytest.raises(MissingFileError, match="has ended; open the dataset again - at"):
            read()


@pytest.mark.parametrize("change", [DATA[:-1], DATA + b"x", b"", DATA[:-1] + b"x"])
def test_a_modified_file(change):
    written = Scratch.write(DATA)
    written.path.write_bytes(change)
    with pytest.raises(ChangedFileError, match="was modified; open the dataset again - at"):
        written.mapped()


def test_a_link_in_its_place(folder):
    written = Scratch.write(DATA)
    written.path.unlink()
    written.path.symlink_to("/etc/passwd")
    with pytest.raises(FastpackError):
        written.mapped()


def test_a_full_disk(folder, monkeypatch):
    def full(descriptor, data):
        os.write(descriptor, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "write_all", full)
    with pytest.raises(FastpackError, match="(?i)space"):
        Scratch.write(DATA)
    assert os.listdir(folder) == []


def test_no_folder(folder, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "missing"))
    with pytest.raises(FastpackError, match="missing"):
        Scratch.write(DATA)

    def none_usable():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none_usable)
    with pytest.raises(MissingFileError, match="TMPDIR"):
        Scratch.write(DATA)


@pytest.mark.isolated
def test_a_forked_child_leaves_the_file():
    written = Scratch.write(DATA)
    path = written.path
    child = os.fork()
    if child == 0:
        del written
        gc.collect()
        os._exit(0 if path.exists() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert written.mapped().tobytes() == DATA


ENDS = """
import os, signal, sys
from fastpack.files.scratch import Scratch
written = Scratch.write(b"x" * 1000)
print(written.path, flush=True)
if sys.argv[1] == "fork":  # a child that ends as Python does, with its exit functions
    child = os.fork()
    if child == 0:
        sys.exit()
    os.waitpid(child, 0)
    assert written.path.exists()
elif sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
elif sys.argv[1] == "raise":
    raise KeyboardInterrupt
"""


def path_of_a_process(end):
    run = subprocess.run([sys.executable, "-c", ENDS, end], capture_output=True, text=True)
    return Path(run.stdout.strip()), run


@pytest.mark.parametrize("end", ["", "fork", "raise"])
def test_no_file_is_left(end, folder):
    path, run = path_of_a_process(end)
    assert path.parent == folder
    assert os.listdir(folder) == [], run.stderr
    assert "AssertionError" not in run.stderr


def test_the_next_write_removes_the_file_of_a_killed_process(folder):
    path, run = path_of_a_process("kill")
    assert run.returncode == -signal.SIGKILL
    assert path.exists()
    live = Scratch.write(DATA)
    assert os.listdir(folder) == [live.path.name]
    other = Scratch.write(DATA)
    assert sorted(os.listdir(folder)) == sorted([live.path.name, other.path.name])
