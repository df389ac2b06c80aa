"""Reads through a cache give the bytes of the object, whatever happens to the folder."""

import errno
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastpack.errors import OptionError, UnreadableFileError
from fastpack.reading.remote import RemoteBytes
from fastpack.stores import cache_folder
from fastpack.stores.block_cache import BlockCache, identity_of
from fastpack.stores.block_file import BLOCK_BYTES, BlockId, footer_of
from fastpack.stores.cache_folder import MARKER, CacheFolder
from fastpack.stores.cached_reads import CachedReads
from fastpack.stores.ranges import Ranges
from tests.support.extent import is_full, num_examples
from tests.support.stores.counted_store import CountedStore

MIB = 2**20
CONTENT = np.random.default_rng(0).bytes(5 * BLOCK_BYTES + 12345)
LIMIT = 256 * MIB


def ranges_of(*pairs):
    starts, ends = np.array(pairs, np.int64).reshape(-1, 2).T
    return Ranges(np.zeros(len(starts), np.int64), starts, ends)


def read(cache, store, *pairs, dataset_bytes=len(CONTENT)):
    reads = CachedReads(cache, [store.file("a")], ranges_of(*pairs), dataset_bytes)
    buffers = reads.result()
    rows = zip(reads.ranges.starts.tolist(), reads.ranges.ends.tolist(), buffers, strict=True)
    for start, end, buffer in rows:
        assert bytes(buffer) == store.objects["a"][start:end]


def block_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*/*.block"))


@pytest.fixture
def store():
    return CountedStore({"a": CONTENT})


@pytest.fixture
def cache(tmp_path):
    return BlockCache(tmp_path / "cache", LIMIT)


def test_a_block_file_has_these_bytes():
    footer = footer_of(BlockId("0123456789abcdef" * 2, 7, 3), np.frombuffer(b"abc", np.uint8))
    assert footer.hex() == (
        "b73f4b364650424c4f434b310123456789abcdef0123456789abcdef"
        "07000000000000000300000000000000ce5032ed"
    )
    assert len(footer) == BlockId("0" * 32, 7, 3).file_bytes - 3


def test_blocks_are_fetched_once(cache, store, tmp_path):
    read(cache, store, (0, len(CONTENT)))
    assert store.num_bytes == len(CONTENT)
    read(cache, store, (5, 6), (BLOCK_BYTES - 1, BLOCK_BYTES + 1))
    read(BlockCache(tmp_path / "cache", LIMIT), store, (0, len(CONTENT)))
    assert store.num_bytes == len(CONTENT)


def test_sparse_blocks_are_fetched_only_where_the_dataset_fits(cache, store):
    read(cache, store, (10, 20), dataset_bytes=LIMIT)
    assert store.requests == [("a", 10, 20)]
    read(cache, store, (10, 20))
    assert store.requests[1:] == [("a", 0, BLOCK_BYTES)]


def test_a_window_fetches_few_sparse_blocks(cache, store, monkeypatch):
    monkeypatch.setattr("fastpack.stores.cached_reads._SPARSE_BLOCKS", 2)
    pairs = [(n * BLOCK_BYTES, n * BLOCK_BYTES + 100) for n in range(5)]
    reads = CachedReads(cache, [store.file("a")], ranges_of(*pairs), 1)
    assert reads.num_bytes == 2 * BLOCK_BYTES + 3 * 100
    reads.result()
    for _ in range(2):
        read(cache, store, *pairs)
    requested = store.num_bytes
    read(cache, store, *pairs)
    assert store.num_bytes == requested


def truncate(path):
    os.truncate(path, os.path.getsize(path) // 2)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def flip_footer(path):
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)


def zero(path):
    path.write_bytes(bytes(os.path.getsize(path)))


def swap(path):
    """Gives a block the content of another one."""
    others = [other for other in path.parent.glob("*.block") if other != path]
    if others:
        shutil.copy(others[0], path)


def link(path):
    outside = path.parents[3] / "outside"
    outside.write_bytes(b"outside")
    path.unlink()
    path.symlink_to(outside)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def remove(path):
    path.unlink()


def remove_folder(path):
    shutil.rmtree(path.parents[2])


def remove_content(path):
    for entry in path.parents[2].iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)


DAMAGES = [
    truncate, flip, flip_footer, zero, swap, link, pipe, remove, remove_folder, remove_content
]  # fmt: skip
spans = st.lists(
    st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(1, 2 * BLOCK_BYTES)), min_size=1
)


@settings(
    max_examples=num_examples(100),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(
        st.tuples(spans, st.none() | st.sampled_from(DAMAGES), st.integers(0, 9)),
        min_size=1,
        max_size=4,
    ),
    limit=st.sampled_from([2 * BLOCK_BYTES, 3 * BLOCK_BYTES + 1, 8 * BLOCK_BYTES, LIMIT]),
    is_kept=st.booleans(),
    keeps_open=st.booleans(),
)
def test_reads_give_the_bytes_of_the_object(tmp_path, steps, limit, is_kept, keeps_open):
    store, folder = CountedStore({"a": CONTENT}), tmp_path / "cache"
    cache = BlockCache(folder, limit)
    for windows, damage, number in steps:
        pairs = [(start, min(start + length, len(CONTENT))) for start, length in windows]
        read(cache, store, *pairs, dataset_bytes=0 if is_kept else 2**40)
        assert sum(path.stat().st_size for path in block_files(folder)) <= limit
        if not keeps_open:
            cache._open.clear()
        if damage is not None and block_files(folder):
            damage(block_files(folder)[number % len(block_files(folder))])
    assert not list(folder.glob("*/*/*.new"))
    outside = tmp_path / "outside"
    assert not outside.exists() or outside.read_bytes() == b"outside"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("damage", [truncate, flip, flip_footer, zero, swap])
def test_a_damaged_block_is_reported_removed_and_fetched_again(
    cache, store, tmp_path, damage, caplog
):
    read(cache, store, (0, 2 * BLOCK_BYTES))
    cache._open.clear()
    damage(block_files(tmp_path / "cache")[0])
    requested = store.num_bytes
    with caplog.at_level(logging.WARNING, "fastpack"):
        read(cache, store, (0, BLOCK_BYTES))
        read(cache, store, (0, BLOCK_BYTES))
    assert damage is truncate or "a damaged block of the cache is removed" in caplog.text
    assert requested < store.num_bytes <= requested + 2 * BLOCK_BYTES
    requested = store.num_bytes
    read(cache, store, (0, BLOCK_BYTES))
    assert store.num_bytes == requested


def test_a_good_block_that_replaced_a_damaged_one_is_not_removed(cache, store, tmp_path):
    read(cache, store, (0, BLOCK_BYTES))
    (path,) = block_files(tmp_path / "cache")
    block = BlockId(identity_of(store.file("a")), 0, BLOCK_BYTES)
    old = cache.opened(block)
    copy = tmp_path / "copy"
    shutil.copy(path, copy)
    os.rename(copy, path)
    cache.forget(block, old)
    assert path.exists()


def test_a_link_in_place_of_a_folder_is_refused(cache, store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    identity = identity_of(store.file("a"))
    (tmp_path / "cache" / identity[:2]).symlink_to(outside)
    (outside / identity).mkdir()
    (outside / identity / "0.block").write_bytes(b"mine")
    (outside / identity / "1.new").write_bytes(b"mine")
    with pytest.raises(UnreadableFileError, match="cannot write to the cache"):
        read(cache, store, (0, 2 * BLOCK_BYTES))
    assert sorted(path.name for path in (outside / identity).iterdir()) == ["0.block", "1.new"]
    assert not list(cache.folder.blocks())


def test_foreign_names_are_never_removed(store, tmp_path):
    folder = tmp_path / "cache"
    cache = BlockCache(folder, 3 * BLOCK_BYTES)
    read(cache, store, (0, BLOCK_BYTES))
    beside = [block_files(folder)[0].with_name("photo.jpg"), folder / "ab" / "x.block"]
    for path in beside:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(BLOCK_BYTES))
    read(cache, store, (0, len(CONTENT)))
    assert all(path.exists() for path in beside)


def test_bad_folders_and_limits_are_refused(tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "photo.jpg").touch()
    with pytest.raises(OptionError, match="name an empty folder"):
        BlockCache(tmp_path / "foreign", LIMIT)
    assert os.listdir(tmp_path / "foreign") == ["photo.jpg"]
    with pytest.raises(OptionError, match="less than two blocks"):
        BlockCache(tmp_path / "cache", 2 * BLOCK_BYTES - 1)
    with pytest.raises(OptionError, match="the disk has .* for the cache"):
        BlockCache(tmp_path / "cache", 2**60)
    with pytest.raises(OptionError, match="no etag"):
        identity_of(CountedStore({"a": b"1"}).file("a", etag=""))


def test_a_cache_replaced_by_another_folder_is_refused(cache, store, tmp_path):
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "photo.jpg").touch()
    with pytest.raises(OptionError, match="name an empty folder"):
        read(cache, store, (0, BLOCK_BYTES))


def test_a_full_disk_is_an_error_at_once(cache, store, monkeypatch, tmp_path):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache_folder.os, "pwrite", fail)
    with pytest.raises(UnreadableFileError, match="free space on the disk of the cache") as raised:
        read(cache, store, (0, BLOCK_BYTES))
    assert str(tmp_path / "cache") in str(raised.value)
    monkeypatch.undo()
    assert not list((tmp_path / "cache").glob("*/*/*"))
    read(cache, store, (0, BLOCK_BYTES))


def test_eviction_by_next_use_fetches_less_than_by_last_use(tmp_path):
    num_blocks, order = 12, list(range(12))
    content = bytes(num_blocks * BLOCK_BYTES)

    def num_fetched(follow):
        store = CountedStore({"a": content})
        cache = BlockCache(tmp_path / f"{follow}", 9 * BLOCK_BYTES)
        for epoch in range(3):
            for position, number in enumerate(order):
                if follow:
                    cache.follow(
                        lambda blocks, at=position: np.array(
                            [(block.number - at - 1) % num_blocks for block in blocks], float
                        )
                    )
                read(cache, store, (number * BLOCK_BYTES, (number + 1) * BLOCK_BYTES))
                time.sleep(0.002 if epoch == 0 else 0)
        return len(store.requests)

    assert num_fetched(False) == 36  # a scan that does not fit: LRU never hits
    assert num_fetched(True) < 24


def test_left_overs_of_killed_processes_are_replaced(cache, store, tmp_path):
    identity = identity_of(store.file("a"))
    folder = tmp_path / "cache" / identity[:2] / identity
    folder.mkdir(parents=True)
    (folder / "0.new").write_bytes(bytes(100))
    read(cache, store, (0, BLOCK_BYTES))
    assert os.listdir(folder) == ["0.block"]


def test_a_forked_child_does_not_keep_a_claim(cache, store):
    block = BlockId(identity_of(store.file("a")), 0, BLOCK_BYTES)
    claim = cache.claim(block)
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    try:
        assert cache.folder.is_claimed(block)
        cache.release(claim)
        assert not cache.folder.is_claimed(block)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.isolated
def test_a_forked_child_does_not_keep_the_claim_of_a_killed_parent(cache, store):
    block = BlockId(identity_of(store.file("a")), 0, BLOCK_BYTES)
    reading, writing = os.pipe()
    parent = os.fork()
    if not parent:
        claim = cache.claim(block)
        child = os.fork()
        if child:
            os.write(writing, child.to_bytes(8, "little"))
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
        os._exit(bool(claim))
    child = int.from_bytes(os.read(reading, 8), "little")
    os.waitpid(parent, 0)
    try:
        deadline = time.monotonic() + 10
        while cache.folder.is_claimed(block):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(reading)
        os.close(writing)


def test_a_claim_of_another_process_is_awaited(cache, store):
    block = BlockId(identity_of(store.file("a")), 0, BLOCK_BYTES)
    claim = cache.claim(block)
    reads = CachedReads(cache, [store.file("a")], ranges_of((0, BLOCK_BYTES)), 1)
    assert not reads.is_done()
    cache.add(claim, block, CONTENT[:BLOCK_BYTES])
    assert reads.is_done()
    assert bytes(reads.result()[0]) == CONTENT[:BLOCK_BYTES]
    assert not store.requests


@pytest.mark.isolated
def test_few_descriptors_are_open(tmp_path):
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    content = bytes(60 * BLOCK_BYTES)
    store, cache = CountedStore({"a": content}), BlockCache(tmp_path / "cache", 800 * MIB)
    most = []
    store.before = lambda *_: most.append(len(os.listdir("/proc/self/fd")))
    for _ in range(2):
        read(cache, store, (0, len(content)))
    assert max(most) < 150
    assert len(os.listdir("/proc/self/fd")) < 150


@pytest.mark.isolated
def test_a_file_size_limit_is_a_clear_error(tmp_path):
    store, cache = CountedStore({"a": CONTENT}), BlockCache(tmp_path / "cache", LIMIT)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
    with pytest.raises(UnreadableFileError, match="cannot write to the cache: File too large"):
        read(cache, store, (0, BLOCK_BYTES))


SIZES = [900_000 + 37 * number for number in range(64)]
BOUNDS = np.cumsum([0, *SIZES]).tolist()


def work(folder, seed, num_steps, limit):
    """Reads random samples through the cache, and compares their bytes."""
    content = np.random.default_rng(5).bytes(BOUNDS[-1])
    store, rng = CountedStore({"a": content}), np.random.default_rng(seed)
    cache = BlockCache(Path(folder), limit)
    for _ in range(num_steps):
        first = int(rng.integers(0, 60))
        count = int(rng.integers(1, 5))
        kept = int(rng.integers(0, 2)) * 2**40
        read(cache, store, (BOUNDS[first], BOUNDS[first + count]), dataset_bytes=kept)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_four_processes_stay_below_the_limit(tmp_path, method):
    limit, folder = 8 * BLOCK_BYTES, tmp_path / "cache"
    work(folder, 0, 1, limit)
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=work, args=(folder, n, 25, limit)) for n in range(4)]
    for worker in workers:
        worker.start()
    most = 0
    while any(worker.is_alive() for worker in workers):
        sizes = [block.num_bytes for block in CacheFolder(folder).blocks() if not block.is_new]
        most = max(most, sum(sizes))
        time.sleep(0.005)
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert 0 < most <= limit


@pytest.mark.isolated
def test_kills_of_one_of_four_processes_lose_nothing(tmp_path):
    """Kills one of four processes at a random time, again and again; the others go on."""
    rng, folder, limit = np.random.default_rng(), tmp_path / "cache", 12 * BLOCK_BYTES
    num_kills = 200 if is_full() else 6
    code = (
        "import sys; from tests.stores.test_block_cache import work; "
        "work(sys.argv[1], int(sys.argv[2]), 10**9, int(sys.argv[3]))"
    )

    errors = tmp_path / "errors"

    def start(number):
        command = [sys.executable, "-c", code, str(folder), str(number), str(limit)]
        with errors.open("a") as stderr:
            return subprocess.Popen(command, stderr=stderr)

    workers = [start(number) for number in range(4)]
    try:
        deadline = time.monotonic() + 60
        while not block_files(folder):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for kill in range(num_kills):
            time.sleep(rng.uniform(0.02, 0.8))
            victim = int(rng.integers(0, 4))
            assert workers[victim].poll() is None, errors.read_text()
            workers[victim].kill()
            workers[victim].wait()
            workers[victim] = start(4 + kill)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    began = time.monotonic()
    work(folder, 1, 40, limit)
    assert time.monotonic() - began < 60  # nothing waits for a dead process
    found = sum(block.num_bytes for block in CacheFolder(folder).blocks())
    assert found <= limit
    assert (folder / MARKER).exists()


def test_concatenated_datasets_share_one_cache(tmp_path):
    parts = [RemoteBytes.cached(tmp_path / "cache", LIMIT, LIMIT // 2) for _ in range(2)]
    joined = RemoteBytes.joined([*parts, parts[0]])
    assert joined._start.dataset_bytes == LIMIT
    assert RemoteBytes.joined([]) is None
    for other in (RemoteBytes(), RemoteBytes.cached(tmp_path / "other", LIMIT, 1)):
        with pytest.raises(OptionError, match="different caches"):
            RemoteBytes.joined([parts[0], other])
