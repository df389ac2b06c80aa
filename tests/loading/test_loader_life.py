"""Life of loaders: dropped, closed, forked, interrupted, at exit; prefetch stays bounded."""

import gc
import os
import signal
import threading
import time
import weakref

import numpy as np
import pytest

import fastpack
from fastpack import Loader, Resize
from fastpack.errors import StateError
from fastpack.loading.prefetch import Prefetch
from tests.support.images import jpeg
from tests.support.subprocesses import PATIENCE_S, run_python


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(6):
        (folder / f"{i}.jpg").write_bytes(jpeg(150, 150, seed=i, quality=100))
    return fastpack.pack(fastpack.from_folder(folder), folder / "x.tfrecord").paths[0]


@pytest.fixture
def dataset(path):
    return fastpack.open(path, transform=Resize(128)).take(np.arange(600) % 6)


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def no_collector():
    """Turns the garbage collector off: objects are freed by reference counts alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# Prefetch


def test_items_come_in_order_with_slow_threads():
    def slow(number):
        time.sleep(0.002 * (number % 3))
        return number

    ahead = Prefetch([slow, slow, slow], 30, depth=4)
    assert [ahead.take() for _ in range(30)] == list(range(30))


@pytest.mark.parametrize(("num_lanes", "depth"), [(1, 1), (1, 3), (2, 2), (2, 5), (3, 2)])
def test_no_more_items_are_begun_than_asked(num_lanes, depth):
    begun = []

    def make(number):
        begun.append(number)
        return number

    ahead = Prefetch([make] * num_lanes, 40, depth)
    assert begun == []  # nothing before the first request
    for taken in range(40):
        assert ahead.take() == taken
        wait_until(lambda taken=taken: len(begun) == min(40, taken + 1 + depth))
        time.sleep(0.001)
        assert len(begun) == min(40, taken + 1 + depth)
    assert sorted(begun) == list(range(40))


def test_lanes_work_at_the_same_time():
    both = threading.Barrier(2, timeout=PATIENCE_S)
    ahead = Prefetch([lambda _: both.wait()] * 2, 4, depth=2)
    assert sorted(ahead.take() for _ in range(2)) == [0, 1]


def test_a_lane_makes_one_item_at_a_time():
    at_work = threading.Lock()

    def make(number):
        assert at_work.acquire(blocking=False)
        time.sleep(0.001)
        at_work.release()
        return number

    ahead = Prefetch([make], 20, depth=5)
    assert [ahead.take() for _ in range(20)] == list(range(20))


class Item:
    pass


def test_items_are_the_takers_alone(no_collector):
    ahead = Prefetch([lambda _: Item()] * 2, 4, depth=2)
    for _ in range(4):
        item = ahead.take()
        dead = weakref.ref(item)
        del item
        wait_until(lambda dead=dead: dead() is None)


def test_closing_lets_go_of_items(no_collector):
    made = []

    def make(number):
        item = Item()
        made.append(weakref.ref(item))
        return item

    ahead = Prefetch([make] * 2, 10, depth=3)
    ahead.take()
    wait_until(lambda: len(made) == 4)
    ahead.close(wait=True)
    assert [item() for item in made] == [None] * 4


def test_a_failure_is_raised_in_its_turn_and_nothing_is_held(no_collector):
    held = []

    def make(number):
        memory = Item()
        held.append(weakref.ref(memory))
        if number == 2:
            raise LookupError("the third")
        return number

    ahead = Prefetch([make] * 2, 5, depth=4)
    assert [ahead.take(), ahead.take()] == [0, 1]
    with pytest.raises(LookupError, match="the third"):
        ahead.take()
    ahead.close(wait=True)
    gc.collect()  # pytest's own record of the exception
    assert not [item for item in held if item() is not None]


# Loaders


def test_a_dropped_loader_is_freed_at_once(dataset, no_collector):
    loader = Loader(dataset, batch_size=32, shuffle=0)
    batches = iter(loader)
    next(batches)
    ahead, ended = weakref.ref(batches._prefetch), weakref.ref(loader)
    del batches, loader
    assert ended() is None
    wait_until(lambda: ahead() is None)  # when the threads have done the batches that they were at


def test_nothing_more_is_read_for_a_dropped_loader(dataset, monkeypatch):
    link_policy, begun = threading.Event(), []
    read = fastpack.Reader.read

    def read_when_open(reader, samples, **kwargs):
        begun.append(1)
        if 0 not in samples:  # whichever lane comes first, the first batch is not held up
            link_policy.wait()
        return read(reader, samples, **kwargs)

    monkeypatch.setattr(fastpack.Reader, "read", read_when_open)
    batches = iter(Loader(dataset, batch_size=16, prefetch=20, num_workers=2))
    next(batches)
    wait_until(lambda: len(begun) == 3)  # the first, and one in each lane
    ahead = weakref.ref(batches._prefetch)
    del batches
    link_policy.set()
    wait_until(lambda: ahead() is None)
    assert len(begun) == 3


def num_descriptors():
    return len(os.listdir("/proc/self/fd"))


def resident_bytes():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.isolated
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system has no /proc")
def test_many_loaders_dropped_mid_epoch(path, no_collector):
    def drop_some(count):
        for i in range(count):
            reader = fastpack.open(path, transform=Resize(128)).take(np.arange(600) % 6)
            loader = Loader(reader, batch_size=32, shuffle=i)
            next(iter(loader))
            alive.append(weakref.ref(loader))
        del loader, reader
        wait_until(lambda: not any(ended() for ended in alive))

    alive = []
    drop_some(5)
    before = num_descriptors(), resident_bytes()
    drop_some(40)
    assert threading.active_count() <= 34  # the pool's
    wait_until(lambda: num_descriptors() <= before[0])
    assert resident_bytes() < before[1] + (
        30 << 20
    )  # a batch has 1.5 MB; 40 loaders with three each would have 190


def test_no_thread_stays_at_work_without_a_consumer(dataset):
    loader = Loader(dataset, batch_size=16)
    batches = iter(loader)
    next(batches)
    wait_until(lambda: len(batches._prefetch._idle) == batches._prefetch._num_lanes)
    assert next(batches).step == 1


def test_closing_waits_for_the_threads_and_iterating_goes_on(dataset):
    with Loader(dataset, batch_size=16) as loader:
        batches = iter(loader)
        next(batches)
        ahead = batches._prefetch
    assert len(ahead._idle) == ahead._num_lanes
    with pytest.raises(StateError):
        next(batches)
    assert next(iter(loader)).step == 1
    loader.close()
    loader.close()


def test_batches_that_are_kept_stay_as_they_were(dataset):
    plain = dataset.read(np.arange(6))["image"].copy()
    kept = list(Loader(dataset, batch_size=40, shuffle=1))
    assert kept[0]["image"].nbytes > 1 << 20  # recycled
    for batch in kept:
        assert (batch["image"] == plain[batch.sample_numbers % 6]).all()


def test_batches_that_are_dropped_make_room(dataset):
    loader = Loader(dataset, batch_size=40, shuffle=1)
    addresses = [batch["image"].__array_interface__["data"][0] for batch in loader]
    assert len(set(addresses)) < len(addresses)


@pytest.fixture
def hears_ctrl_c():
    """A test run in the background inherits a deaf ear for SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.isolated
def test_interrupted_while_waiting(dataset, monkeypatch, hears_ctrl_c):
    """Ctrl-C: the loader stands where it stood, and goes on from there."""
    link_policy = threading.Event()
    read = fastpack.Reader.read

    def wait_and_read(*args, **kwargs):
        link_policy.wait()
        return read(*args, **kwargs)

    monkeypatch.setattr(fastpack.Reader, "read", wait_and_read)
    loader = Loader(dataset, batch_size=16)
    batches = iter(loader)
    threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        next(batches)
    link_policy.set()
    assert (loader.epoch, loader.position) == (0, 0)
    assert [next(batches).step, next(batches).step] == [0, 1]


FORK = """
import os, sys
import numpy as np
import fastpack
from fastpack import Loader, Resize

dataset = fastpack.open(sys.argv[1], transform=Resize(128)).take(np.arange(600) % 6)
loader = Loader(dataset, batch_size=16, shuffle=0)
batches = iter(loader)
first = next(batches)
rest = list(Loader(dataset, batch_size=16, shuffle=0))[1:]
expected = [batch.sample_numbers.tolist() for batch in rest]
for _ in range(5):
    child = os.fork()
    if child == 0:
        came = [batch.sample_numbers.tolist() for batch in batches]
        os._exit(0 if came == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    del expected[0]
    next(batches)
assert [batch.sample_numbers.tolist() for batch in batches] == expected
print("same")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_goes_on_with_its_own_threads(path):
    assert run_python(FORK, path) == "same\n"


EXIT = """
import sys
import numpy as np
import fastpack
from fastpack import Loader, Resize

dataset = fastpack.open(sys.argv[1], transform=Resize(128)).take(np.arange(6000) % 6)
loaders = [Loader(dataset, batch_size=16, shuffle=i) for i in range(3)]
batches = [iter(loader) for loader in loaders]
print([next(one).step for one in batches])
"""


def test_a_program_ends_with_loaders_in_mid_epoch(path):
    assert run_python(EXIT, path) == "[0, 0, 0]\n"


# Read-ahead hints


@pytest.mark.parametrize("read_ahead", [None, True, False])
@pytest.mark.parametrize("decode", [False, True])
def test_hints_change_nothing(dataset, read_ahead, decode, monkeypatch):
    announced = []
    advise_willneed = fastpack.Reader.advise_willneed

    def count(reader, rows):
        announced.extend(rows.tolist())
        advise_willneed(reader, rows)

    monkeypatch.setattr(fastpack.Reader, "advise_willneed", count)
    reader = dataset.with_options(decode=decode)
    batches = list(Loader(reader, batch_size=32, shuffle=0, read_ahead=read_ahead))
    assert sorted(i for batch in batches for i in batch.sample_numbers) == list(range(600))
    if read_ahead is not None:
        assert sorted(announced) == (list(range(600)) if read_ahead else [])


def test_hints_about_files_and_about_nothing(dataset):
    dataset.advise_willneed(np.arange(600))
    dataset.advise_willneed(np.zeros(0, np.int64))


def test_closing_ends_the_waiting_of_another_thread():
    may_end, has_begun, met = threading.Event(), threading.Event(), []

    def make(number):
        has_begun.set()
        may_end.wait(60)
        return number

    def take():
        with pytest.raises(StateError, match="closed"):
            items.take()
        met.append("error")

    items = Prefetch([make], 3, 1)
    waiting = threading.Thread(target=take, daemon=True)
    waiting.start()
    assert has_begun.wait(60)
    items.close()
    waiting.join(60)
    may_end.set()
    assert met == ["error"]


def test_nothing_is_awaited_after_the_last():
    items = Prefetch([lambda number: number], 2, 1)
    assert [items.take(), items.take()] == [0, 1]
    with pytest.raises(StopIteration):
        items.take()
