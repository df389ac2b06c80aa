"""The thread pool and readers in several threads, forked children and other processes."""

import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fastpack
from fastpack import Resize
from fastpack.core.threads import num_cores, run_in_threads
from tests.support.subprocesses import PATIENCE_S, run_python


@pytest.mark.parametrize("num_workers", [1, 2, 8, 32])
def test_work_runs_on_that_many_threads_at_once(num_workers):
    everybody = threading.Barrier(num_workers, timeout=PATIENCE_S)
    assert sorted(run_in_threads(everybody.wait, num_workers)) == list(range(num_workers))


def test_by_default_one_thread_a_core():
    everybody = threading.Barrier(num_cores(), timeout=PATIENCE_S)
    assert len(run_in_threads(everybody.wait)) == num_cores()


def test_the_caller_is_one_of_them():
    assert run_in_threads(threading.get_ident, 1) == [threading.get_ident()]
    assert run_in_threads(threading.get_ident, 3)[0] == threading.get_ident()


def test_more_workers_than_threads():
    left = iter(range(1000))
    done = []
    run_in_threads(lambda: done.extend(left), 500)
    assert sorted(done) == list(range(1000))


class Trouble(Exception):
    pass


def test_the_others_are_done_when_the_callers_exception_goes_on():
    both = threading.Barrier(2, timeout=PATIENCE_S)
    caller = threading.get_ident()
    finished = []

    def work():
        both.wait()
        if threading.get_ident() == caller:
            raise Trouble
        time.sleep(0.1)  # the caller has raised long since
        finished.append(True)

    with pytest.raises(Trouble):
        run_in_threads(work, 2)
    assert finished == [True]


def test_an_exception_of_another_thread_goes_on():
    everybody = threading.Barrier(4, timeout=PATIENCE_S)

    def work():
        if everybody.wait() == 2 or threading.get_ident() != caller:
            raise Trouble

    caller = threading.get_ident()
    with pytest.raises(Trouble):
        run_in_threads(work, 4)
    assert run_in_threads(threading.get_ident, 1) == [caller]  # and the pool is as good as before


# Readers


@pytest.fixture(params=["tfrecord", "h5"])
def dataset(request, photo_folder, tmp_path) -> Path:
    fastpack.pack(photo_folder, tmp_path / f"photos.{request.param}")
    return tmp_path / f"photos.{request.param}"


def read_all(reader):
    return reader.read(np.arange(len(reader)))["image"]


def test_eight_threads_read_at_once(dataset):
    reader = fastpack.open(dataset, transform=Resize(32))
    expected = read_all(reader)
    fresh = fastpack.open(
        dataset, transform=Resize(32), num_workers=3
    )  # the first reading thread opens its files
    everybody = threading.Barrier(8, timeout=PATIENCE_S)

    def work(seed):
        rows = np.random.default_rng(seed).integers(0, len(fresh), 50)
        everybody.wait()
        return rows, fresh.read(rows)["image"]

    with ThreadPoolExecutor(8) as threads:
        for rows, images in threads.map(work, range(8)):
            assert (images == expected[rows]).all()


SHARE_INSIDE_SHARE = """
import threading
from fastpack.core.threads import run_in_threads
assert all(run_in_threads(lambda: run_in_threads(threading.get_ident, 8), 64))
print("done")
"""


def test_work_may_share_its_own_work():
    assert run_python(SHARE_INSIDE_SHARE) == "done\n"


READ_AND_FORK = """
import os, sys, threading
import numpy as np
import fastpack
from fastpack import Resize

def read(reader):
    return reader.read(np.arange(len(reader)))["image"]

opened = fastpack.open(sys.argv[1], transform=Resize(32), num_workers=4)
before = read(opened)  # the pool has threads now, and the files are open
unused = fastpack.open(sys.argv[1], transform=Resize(32), num_workers=4)
stop = threading.Event()

def read_until_stop():
    while not stop.is_set():
        read(opened)

busy = [threading.Thread(target=read_until_stop) for _ in range(2)]
for thread in busy:
    thread.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        same = all((read(reader) == before).all() for reader in (opened, unused))
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
stop.set()
for thread in busy:
    thread.join()
assert (read(opened) == before).all()
print("same")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_reads_while_the_parents_threads_do(dataset):
    assert run_python(READ_AND_FORK, dataset) == "same\n"


FORK_AND_END = """
import multiprocessing, sys
import numpy as np
import fastpack

def read(reader, rows):
    return [image.tobytes() for image in reader.read(rows)["image"]]

if __name__ == "__main__":
    reader = fastpack.open(sys.argv[1], num_workers=4)
    rows = np.arange(len(reader))
    expected = read(reader, rows)
    with multiprocessing.get_context("fork").Pool(2) as children:
        assert children.starmap(read, [(reader, rows)] * 4) == [expected] * 4
    print("same")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_workers_end_as_others_do(dataset):
    assert run_python(FORK_AND_END, dataset) == "same\n"


READ_PICKLED = """
import pickle, sys
import numpy as np
reader = pickle.load(sys.stdin.buffer)
images = reader.read(np.arange(len(reader)))["image"]
print(reader.class_names, [reader.sizes.tolist(), images.shape, int(images.astype(np.int64).sum())])
"""


def test_a_pickled_reader_reads_in_another_process(dataset):
    reader = fastpack.open(dataset, transform=Resize(32)).take([3, 1, 1, 5])
    images = read_all(reader)  # its files are open when it is pickled
    printed = run_python(READ_PICKLED, stdin=pickle.dumps(reader))
    expected = [reader.sizes.tolist(), images.shape, int(images.astype(np.int64).sum())]
    assert printed == f"{reader.class_names} {expected}\n"
