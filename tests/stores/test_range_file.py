"""RangeFile against a plain file, over a store in memory."""

import os
import threading

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack.errors import ChangedFileError, Location, StoreError, with_location
from fastpack.stores import store_path
from fastpack.stores.range_file import RangeFile, open_bytes
from fastpack.stores.store import ObjectFacts
from fastpack.stores.store_path import StorePath, as_path

CONTENT = np.random.default_rng(3).bytes(3_000_001)


class MemoryStore:
    """One object; it counts what it gives, and raises `failure`."""

    def __init__(self, content=CONTENT):
        self.content, self.num_read, self.num_requests = content, 0, 0
        self.failure = None

    def facts(self, key):
        return ObjectFacts(key, len(self.content), "etag", 0)

    def read_alone(self, key, start, end, etag):
        assert etag == "etag"
        assert 0 <= start < end <= len(self.content)
        if self.failure is not None:
            raise self.failure
        self.num_read += end - start
        self.num_requests += 1
        return self.content[start:end]

    def read_ranges(self, key, starts, ends, etag):
        return [self.read_alone(key, *each, etag) for each in zip(starts, ends, strict=True)]


@pytest.fixture
def store(monkeypatch):
    found = MemoryStore()
    monkeypatch.setattr(store_path, "store_at", lambda root, options: found)
    return found


def opened():
    return RangeFile(StorePath.of("s3://bucket/x"))


places = st.integers(0, len(CONTENT) + 100)


@given(st.lists(st.tuples(places, st.integers(0, 300_000)), max_size=20))
def test_reads_are_those_of_a_plain_file(reads):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store_path, "store_at", lambda root, options: MemoryStore())
        with opened() as file:
            for offset, length in reads:
                file.seek(offset)
                assert file.read(length) == CONTENT[offset : offset + length]


@given(st.lists(st.tuples(places, st.integers(0, 300_000)), max_size=20))
def test_needed_ranges_are_in_the_file(ranges):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store_path, "store_at", lambda root, options: MemoryStore())
        with opened() as file:
            file.need(np.array([s for s, _ in ranges], np.uint64), np.array([n for _, n in ranges]))
            before = file.num_read
            for offset, length in ranges:
                found = os.pread(file.fileno(), length, offset)
                assert found == CONTENT[offset : offset + length]
            assert file.num_read == before


def test_a_walk_reads_ahead_in_ever_larger_parts(store):
    with opened() as file:
        while file.read(1000):
            pass
    assert store.num_read == len(CONTENT)
    assert store.num_requests < 8


def test_few_bytes_are_read_of_a_large_object(store):
    with opened() as file:
        file.seek(-10, os.SEEK_END)
        assert file.read() == CONTENT[-10:]
        assert file.num_read == store.num_read < 100_000


def test_files_of_one_object_share_what_was_read(store):
    first, second = opened(), opened()
    assert first.read(100) == second.read(100)
    assert store.num_requests == 1
    first.close()
    second.close()


def test_a_failure_ends_the_reads_and_is_kept(store):
    store.failure = StoreError(5, with_location("no answer", Location("s3://bucket/x")))
    with opened() as file:
        assert not file.read(10)
        assert file.failure is store.failure
        with pytest.raises(StoreError):
            file.need(np.array([0]), np.array([10]))
    store.failure = None
    with opened() as file:
        assert file.read(10) == CONTENT[:10]


def test_a_replaced_object_is_an_error_of_hdf5_too(store, tmp_path):
    from fastpack.formats.hdf5.opening import opened_file

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["numbers"] = np.arange(500_000)
        file["others"] = np.arange(500_000)
    store.content = (tmp_path / "x.h5").read_bytes()
    with pytest.raises(ChangedFileError), opened_file(as_path(StorePath.of("s3://b/x"))) as file:
        assert file["numbers"][3] == 3
        store.failure = ChangedFileError("replaced")
        file["others"][...]


def test_threads_read_at_once(store):
    failures = []

    def read(seed):
        random = np.random.default_rng(seed)
        with open_bytes(as_path(StorePath.of("s3://bucket/x"))) as file:
            for offset in random.integers(0, len(CONTENT), 50).tolist():
                file.seek(offset)
                if file.read(5000) != CONTENT[offset : offset + 5000]:
                    failures.append(offset)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
