"""Forks at any moment, threads that cannot be started, and one Ctrl-C after another."""

import os
import signal
import threading
import time

import h5py
import numpy as np
import pytest

import fastpack
from fastpack import Loader, PackOptions
from fastpack.core.threads import run_in_threads, submit
from fastpack.loading.prefetch import Prefetch
from tests.support.images import jpeg, photo, save
from tests.support.subprocesses import PATIENCE_S, run_python

# Each kind has its own way of reading and its own modules.
KINDS = ["x.tfrecord", "encoded.h5", "pixels.h5", "chunks.h5", "compact.h5", "photos"]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """JPEGs, a PNG and a TIFF, packed in every way."""
    root = tmp_path_factory.mktemp("datasets")
    (root / "photos").mkdir()
    for number in range(6):
        (root / "photos" / f"{number}.jpg").write_bytes(jpeg(60, 50, seed=number))
    (root / "photos" / "6.png").write_bytes(save(photo(60, 50, seed=7), "PNG"))
    (root / "photos" / "7.tiff").write_bytes(save(photo(60, 50, seed=8), "TIFF"))
    source = fastpack.from_folder(root / "photos")
    fastpack.pack(source, root / "x.tfrecord")
    fastpack.pack(source, root / "encoded.h5")
    fastpack.pack(source, root / "pixels.h5", PackOptions(size=32))
    fastpack.pack(source, root / "chunks.h5", PackOptions(size=32, compression="zstd"))
    values = np.arange(8 * 48, dtype=np.uint8).reshape(8, 4, 4, 3)
    with h5py.File(root / "compact.h5", "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.COMPACT)
        made = h5py.h5d.create(
            file.id, b"images", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple(values.shape), layout
        )
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, values)
    for kind in KINDS:
        fastpack.open(
            root / kind
        )  # keeps an index: later opens import nothing that only indexing needs
    return root


# Imports

# A child for each case, since modules stay imported.
IMPORTS_WHILE_READING = """
import os, sys
import numpy as np
import fastpack
from fastpack import *

def print_imports(path, options):
    reader = fastpack.open(path, **options)
    loader = Loader(reader, batch_size=3, shuffle=True)
    before = set(sys.modules)
    reader.read(np.arange(len(reader)))
    reader[0], list(loader), list(reader), reader.advise_willneed(np.arange(len(reader)))
    print(*sorted(set(sys.modules) - before), flush=True)

seek_points = {
    "on_error": "mask",
    "seek_points": "lazy",
    "transform": [RandomResizedCrop(8), Normalize((0.5,) * 3, (0.5,) * 3)],
}
cases = [(path, {}) for path in sys.argv[1:]]
for path, options in [*cases, (sys.argv[1], {"bits": 16}), (sys.argv[2], seek_points)]:
    child = os.fork()
    if child == 0:
        print_imports(path, options)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_reading_imports_nothing(datasets):
    """A child that is forked during an import in another thread waits for that module forever."""
    paths = [datasets / kind for kind in KINDS]
    assert run_python(IMPORTS_WHILE_READING, *paths) == "\n" * 8


FIRST_READS_AND_FORKS = """
import os, signal, sys, threading, time
import numpy as np
import fastpack

random = np.random.default_rng()
reader = fastpack.open(sys.argv[1], num_workers=3)
loader = fastpack.Loader(reader, batch_size=3, num_workers=2)
rows = np.arange(len(reader))
threads = [
    threading.Thread(target=reader.read, args=(rows,)),
    threading.Thread(target=lambda: list(loader)),
]
for thread in threads:
    thread.start()
for _ in range(12):
    time.sleep(random.uniform(0, 0.004))
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        batch = reader.read(rows)
        steps = len(list(fastpack.Loader(reader, batch_size=3)))
        os._exit(0 if batch.num_samples == len(rows) and steps == 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
for thread in threads:
    thread.join()
print("all came back")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("kind", KINDS)
def test_children_that_are_forked_during_first_reads(datasets, kind):
    assert run_python(FIRST_READS_AND_FORKS, datasets / kind) == "all came back\n"


# Threads that cannot be started


@pytest.fixture
def no_more_threads(monkeypatch):
    """As under a limit on processes: the first `count` threads start, the others do not."""
    start = threading.Thread.start

    def allow(count):
        left = iter(range(count))

        def start_some(thread):
            if next(left, None) is None:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_some)

    return allow


@pytest.fixture
def fresh_pool(monkeypatch):
    """A pool that has no thread yet."""
    monkeypatch.setattr("fastpack.core.threads._pools", {})


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_threads_share_the_work(fresh_pool, no_more_threads, count):
    no_more_threads(count)
    left, done, workers = iter(range(1000)), [], []

    def work():
        workers.append(threading.get_ident())
        for number in left:
            done.append(number)
            time.sleep(0)

    for _ in range(2):  # the second time the pool has threads, and still may not start any
        run_in_threads(work, 8)
    assert sorted(done) == list(range(1000))
    assert len(set(workers)) <= count + 1


def test_what_could_not_be_started_never_runs_later(fresh_pool, no_more_threads):
    no_more_threads(1)
    busy, may_end = threading.Event(), threading.Event()

    def hold():
        busy.set()
        may_end.wait(PATIENCE_S)

    assert submit(hold)
    assert busy.wait(PATIENCE_S)
    ran = []
    run_in_threads(lambda: ran.append(threading.get_ident()), 4)
    assert not submit(ran.append, "late")
    may_end.set()
    assert submit(lambda: None) in (True, False)
    time.sleep(0.05)
    assert ran == [threading.get_ident()]


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("num_lanes", [1, 2])
def test_items_come_in_order_without_threads(fresh_pool, no_more_threads, count, num_lanes):
    no_more_threads(count)
    items = Prefetch([lambda number: number] * num_lanes, 20, depth=3)
    assert [items.take() for _ in range(20)] == list(range(20))
    items.close(wait=True)


UNDER_A_LIMIT = """
import os, resource, sys, threading
import numpy as np
import fastpack
from fastpack import Loader

reader = fastpack.open(sys.argv[1], num_workers=8)
images = reader.with_options(num_workers=1).read(np.arange(len(reader)))["image"]
expected = [image.copy() for image in images]

def cannot(thread):
    raise RuntimeError("can't start new thread")

if sys.argv[2] == "by the system":  # for lack of address space
    threading.stack_size(1 << 40)
else:
    threading.Thread.start = cannot
for _ in range(2):
    images = reader.read(np.arange(len(reader)))["image"]
    assert all((image == wanted).all() for image, wanted in zip(images, expected, strict=True))
    batches = list(Loader(reader, batch_size=3))
    assert sum(batch.num_samples for batch in batches) == len(reader)
print(threading.active_count())
"""


@pytest.mark.parametrize("refused", ["by the system", "by python"])
def test_reading_where_no_thread_can_be_started(datasets, refused):
    assert run_python(UNDER_A_LIMIT, datasets / "x.tfrecord", refused) == "1\n"


# Ctrl-C, again and again


@pytest.mark.isolated
def test_nothing_is_written_after_ctrl_c():
    for times in (1, 2, 5):
        check_writes_after_ctrl_c(times)


def check_writes_after_ctrl_c(times):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    out, caller, everybody = np.zeros(4, np.int64), threading.get_ident(), threading.Barrier(4)

    def write():
        everybody.wait(PATIENCE_S)
        if threading.get_ident() == caller:
            raise KeyboardInterrupt  # the first
        for _ in range(40):
            time.sleep(0.01)
            out[:] += 1

    def interrupt():
        for _ in range(times):
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run_in_threads(write, 4)
    left = out.copy()
    time.sleep(0.1)
    assert (out == left).all()
    assert left.min() >= 40


@pytest.mark.isolated
def test_ctrl_c_while_threads_are_asked_for(monkeypatch):
    """Those that were asked for before are waited for."""
    running, ended = threading.Event(), []

    def work():
        running.set()
        time.sleep(0.1)
        ended.append(True)

    offer = fastpack.core.threads._offer

    def offer_once(work, future):
        if running.is_set():
            raise KeyboardInterrupt
        offer(work, future)
        assert running.wait(PATIENCE_S)

    monkeypatch.setattr("fastpack.core.threads._offer", offer_once)
    with pytest.raises(KeyboardInterrupt):
        run_in_threads(work, 3)
    assert ended == [True]


@pytest.mark.isolated
def test_the_array_of_the_caller_is_left_alone(datasets, monkeypatch):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    reader = fastpack.open(datasets / "pixels.h5", num_workers=2).take(np.zeros(4000, np.int64))
    out = np.zeros((4000, 32, 32, 3), np.uint8)
    stop = threading.Event()

    def hammer():
        while not stop.wait(0.001):
            os.kill(os.getpid(), signal.SIGINT)

    for _ in range(5):
        try:
            threading.Timer(0.002, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            reader.read(np.arange(4000), out=out)
            time.sleep(0.02)
        except KeyboardInterrupt:
            out[:] = 7
            time.sleep(0.02)
            assert (out == 7).all()


def test_a_loader_over_a_pool_without_threads(datasets, fresh_pool, no_more_threads):
    reader = fastpack.open(datasets / "x.tfrecord")
    expected = [batch["key"][0] for batch in Loader(reader, batch_size=1, prefetch=0)]
    no_more_threads(0)
    loader = Loader(reader, batch_size=1, prefetch=4)
    assert [batch["key"][0] for batch in loader] == expected
    assert loader.epoch == 1
