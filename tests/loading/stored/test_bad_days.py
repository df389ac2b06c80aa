"""Training from a store on bad days: the batches of a local disk, or an error; never a hang."""

import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import fastpack
from fastpack import Loader, RandomResizedCrop, Shuffle
from fastpack.errors import ChangedFileError, CorruptRecordError, StateError, StoreError
from fastpack.loading import LoaderOptions
from tests.support.extent import num_examples
from tests.support.paths import ROOT
from tests.support.stores import faults
from tests.support.stores.faults import Fault, Rule
from tests.support.stores.sets import ENDINGS
from tests.support.stores.workers import digest, digests_of, read_all

OPTIONS = LoaderOptions(7, Shuffle(3))
WEATHER = {
    "500": faults.INTERNAL_ERROR,
    "503": faults.SLOW_DOWN,
    "hang up": Fault(hang_up=True),
    "reset": Fault(reset_after=100),
    "cut": Fault(cut_after=100),
    "short": Fault(shorten_by=10),
    "wrong range": Fault(shift_range=3),
    "stall": Fault(stall_after=-1),
    "stall in the body": Fault(stall_after=100),
    "slow": Fault(rate=200_000),
}


def opened(stored, **options):
    given = {**stored.server.options, "timeout": 1, "deadline": 30, **options}
    return fastpack.open(stored.url, storage_options=given, transform=RandomResizedCrop(24))


def local(stored):
    return fastpack.open(stored.local, transform=RandomResizedCrop(24))


@pytest.mark.parametrize("format", ENDINGS)
@pytest.mark.parametrize("companions", [False, True], ids=["indexed here", "saved indexes"])
def test_batches_are_those_of_a_disk(copy, format, companions):
    stored = copy(format, companions=companions)
    expected = digests_of(local(stored), OPTIONS)
    num_faults = 0
    for seed in range(num_examples(4)):
        stored.server.proxy.forget()
        stored.server.proxy.rules.set(
            *(
                Rule(fault, probability=0.01 if "stall" in name else 0.03, seed=100 * seed + number)
                for number, (name, fault) in enumerate(WEATHER.items())
            )
        )
        assert digests_of(opened(stored), OPTIONS) == expected
        num_faults += sum(request.fault is not None for request in stored.server.proxy.requests)
    assert num_faults > 1


def test_damaged_bytes_are_noticed(copy):
    stored = copy()
    reader = opened(stored)
    stored.server.proxy.rules.set(Rule(Fault(flip_byte=500), kinds=("get",)))
    with pytest.raises(CorruptRecordError, match=f"{stored.server.url}/{stored.folder}"):
        digests_of(reader, OPTIONS)


def test_a_shard_replaced_within_an_epoch(copy):
    stored = copy()
    key = stored.key(stored.shards[2].name)
    replacement = stored.server.read(key)[::-1]
    replace = Fault(act=lambda _: stored.server.put(key, replacement))
    expected = digests_of(local(stored), OPTIONS)
    reader, came = opened(stored), []
    stored.server.proxy.rules.set(Rule(replace, kinds=("get",), skip=8, count=1))
    loader = Loader(reader, OPTIONS)
    with pytest.raises(ChangedFileError, match=f"replaced.*{stored.server.url}/{key}"):
        came.extend(digest(batch) for _ in range(2) for batch in loader)
    assert came == expected[: len(came)]


@pytest.mark.parametrize("fault", [faults.EXPIRED_TOKEN, faults.ACCESS_DENIED])
def test_an_epoch_goes_on_after_a_failure(copy, fault):
    stored = copy()
    expected = digests_of(local(stored), OPTIONS)
    loader = Loader(opened(stored), OPTIONS)
    came = []
    stored.server.proxy.rules.set(Rule(fault, kinds=("get",), skip=8))
    with pytest.raises(StoreError, match="renew|permissions") as raised:
        came.extend(digest(batch) for _ in range(2) for batch in loader)
    assert f"{stored.server.url}/{stored.folder}" in str(raised.value)
    stored.server.proxy.forget()
    resumed = Loader(opened(stored), OPTIONS)
    resumed.load_state_dict(json.loads(json.dumps(loader.state_dict())))
    came += [digest(batch) for _ in range(2) for batch in resumed]
    assert came[: len(expected)] == expected


@pytest.fixture
def stalled(copy):
    """A set of which every read stalls, and a loader of it."""
    stored = copy()
    reader = opened(stored, timeout=100, deadline=200)
    stored.server.proxy.rules.set(Rule(Fault(stall_after=50), kinds=("get",)))
    return stored.server.proxy, Loader(reader, OPTIONS)


def wait_until(is_so, seconds=30.0):
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def start_to_iterate(loader):
    """Asks for a batch in a thread; returns it, and the list that gets its error."""
    ended = []

    def ask():
        try:
            next(iter(loader))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread, ended


def test_closing_ends_all_requests(stalled):
    proxy, loader = stalled
    thread, ended = start_to_iterate(loader)
    wait_until(lambda: proxy.active > 0)
    loader.close()
    wait_until(lambda: proxy.active == 0)
    thread.join(30)
    assert not thread.is_alive()
    assert [type(error) for error in ended] == [StateError]


def test_dropping_ends_all_requests(copy):
    stored = copy()
    proxy = stored.server.proxy
    loader = Loader(opened(stored, timeout=100, deadline=200), OPTIONS)
    proxy.rules.set(Rule(Fault(stall_after=50), kinds=("get",), skip=6))
    next(iterator := iter(loader))
    wait_until(lambda: proxy.active > 0)
    del iterator, loader
    gc.collect()
    wait_until(lambda: proxy.active == 0)


TRAINS = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
import fastpack
reader = fastpack.open(sys.argv[1], storage_options=json.loads(sys.argv[2]), transform=None)
print("opened", flush=True)
try:
    loader = fastpack.Loader(reader, batch_size=7)
    while True:
        for batch in loader:
            pass
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("stall_after", [-1, 50])
def test_ctrl_c_ends_all_requests(copy, stall_after):
    stored = copy()
    proxy = stored.server.proxy
    options = json.dumps({**stored.server.options, "timeout": 100, "deadline": 200})
    command = [sys.executable, "-c", TRAINS, stored.url, options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "opened\n"
        stall = Fault(stall_after=stall_after)
        proxy.rules.set(Rule(stall, kinds=("get",)))
        wait_until(lambda: proxy.active > 0)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        try:
            output, _ = process.communicate(timeout=50)
        finally:
            process.kill()
    assert time.monotonic() - begun < 20
    assert (process.returncode, output) == (0, "interrupted\n")
    assert proxy.active == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_workers_read_what_a_disk_has(copy, method):
    """Each worker has requests of its own, while its parent goes on with its own."""
    stored = copy()
    expected = digests_of(local(stored), OPTIONS)
    reader = opened(stored)
    loader = iter(Loader(reader, OPTIONS))
    came = [digest(next(loader))]
    context = multiprocessing.get_context(method)
    answers = [context.SimpleQueue() for _ in range(2)]
    workers = [
        context.Process(target=read_all, args=(reader, OPTIONS, answer), daemon=True)
        for answer in answers
    ]
    for worker in workers:
        worker.start()
    came += [digest(batch) for batch in loader]
    assert came == expected[: len(came)]
    for worker, answer in zip(workers, answers, strict=True):
        worker.join(60)
        hangs = worker.is_alive()
        worker.kill()
        assert not hangs
        assert answer.get() == expected
        worker.join()
        worker.close()


def test_a_forked_child_of_a_busy_parent(copy):
    """The child forks while requests of the parent are under way, and while they stall."""
    stored = copy()
    expected = digests_of(local(stored), OPTIONS)
    reader = opened(stored, timeout=100, deadline=200)
    stored.server.proxy.rules.set(Rule(Fault(stall_after=50), kinds=("get",), count=4))
    thread, _ = start_to_iterate(busy := Loader(reader, OPTIONS))
    wait_until(lambda: stored.server.proxy.active == 4)
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(sender, json.dumps(digests_of(reader, OPTIONS)).encode())
        finally:
            os._exit(0)
    os.close(sender)
    timer = threading.Timer(60, os.kill, (child, 9))
    timer.start()
    with os.fdopen(receiver) as answer:
        assert json.loads(answer.read() or "null") == expected
    os.waitpid(child, 0)
    timer.cancel()
    busy.close()
    thread.join(30)
    assert not thread.is_alive()
