"""Stores that obstore lacks are read through fsspec, with the promises of Store."""

import os
import time

import numpy as np
import pytest

import fastpack
from fastpack.errors import (
    ChangedFileError,
    MissingFileError,
    OptionError,
    StoreError,
    TruncatedFileError,
)
from fastpack.stores.registry import store_at
from fastpack.stores.store_path import StorePath

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def system():
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield memory
    memory.store.clear()


@pytest.fixture
def store(system):
    system.pipe_file("/set/a/one.bin", bytes(range(100)))
    system.pipe_file("/set/two.bin", b"two")
    return store_at("memory://set")


def test_facts_and_listings(store):
    facts = store.facts("a/one.bin")
    assert (facts.key, facts.size) == ("a/one.bin", 100)
    assert facts.etag
    assert [each.key for each in store.list_objects("")] == ["a/one.bin", "two.bin"]
    assert [each.key for each in store.list_objects("a/o")] == ["a/one.bin"]
    objects, folders = store.list_folder("")
    assert ([each.key for each in objects], folders) == (["two.bin"], ["a"])


def test_ranges(store):
    etag = store.facts("a/one.bin").etag
    found = store.read_ranges("a/one.bin", [0, 5, 99, 7], [3, 50, 100, 7], etag)
    assert list(map(bytes, found)) == [
        bytes(range(3)),
        bytes(range(5, 50)),
        bytes([99]),
        b"",
    ]
    assert store.read("a/one.bin") == bytes(range(100))
    assert store.read_ranges("a/one.bin", [], []) == []


def test_errors_name_the_object(store, system):
    with pytest.raises(MissingFileError, match="memory://set/none"):
        store.facts("none")
    with pytest.raises(TruncatedFileError, match="memory://set/two.bin"):
        store.read_ranges("two.bin", [1], [9])
    old = store.facts("two.bin").etag
    time.sleep(0.01)
    system.pipe_file("/set/two.bin", b"TWO")
    with pytest.raises(ChangedFileError, match="memory://set/two.bin"):
        store.read_ranges("two.bin", [0], [3], old)
    with pytest.raises(StoreError, match="only reads"):
        store.put("x", b"")
    with pytest.raises(OptionError, match="no client for nosuch://"):
        StorePath.of("nosuch://a/b").facts()


def test_a_call_that_hangs_ends_at_the_deadline(system, monkeypatch):
    system.pipe_file("/slow/a", b"a")
    store = store_at("memory://slow", (("deadline", 0.3),))
    monkeypatch.setattr(type(system), "info", lambda *_, **__: time.sleep(2))
    begun = time.monotonic()
    with pytest.raises(StoreError, match="did not answer"):
        store.facts("a")
    assert time.monotonic() - begun < 1.5


def test_ranges_that_hang_end_at_the_deadline(system, monkeypatch):
    system.pipe_file("/hung/a", b"abc")
    store = store_at("memory://hung", (("deadline", 0.3),))
    etag = store.facts("a").etag
    monkeypatch.setattr(type(system), "cat_file", lambda *_, **__: time.sleep(2))
    begun = time.monotonic()
    with pytest.raises(StoreError, match=r"did not answer.*memory://hung/a, byte 0x1"):
        store.read_ranges("a", [1], [3], etag)
    assert time.monotonic() - begun < 1.5


def test_a_longer_object_of_the_same_time_is_noticed(store, system, monkeypatch):
    created = system.info("/set/two.bin")["created"]
    old = store.facts("two.bin")
    system.pipe_file("/set/two.bin", b"two and more")
    system.store["/set/two.bin"].modified = system.store["/set/two.bin"].created = created
    with pytest.raises(ChangedFileError, match="memory://set/two.bin"):
        store.read_ranges("two.bin", [0], [old.size], old.etag)


def test_failures_are_repeated(store, system, monkeypatch):
    cat, calls = type(system).cat_file, []

    def fail_once(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            raise OSError("reset")
        return cat(self, *args, **kwargs)

    monkeypatch.setattr(type(system), "cat_file", fail_once)
    assert bytes(store.read_ranges("two.bin", [0], [3])[0]) == b"two"
    assert len(calls) == 2


@pytest.mark.parametrize("name", ["x.tfrecord", "x.h5", "x.tar"])
def test_a_dataset_reads_as_on_disk(system, photos, tmp_path, name, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    fastpack.pack(photos, tmp_path / name)
    system.pipe_file(f"/data/{name}", (tmp_path / name).read_bytes())
    here, there = fastpack.open(tmp_path / name), fastpack.open(f"memory://data/{name}")
    assert len(here) == len(there)
    for one, other in zip(here, there, strict=True):
        assert np.array_equal(one["image"], other["image"])
    pid = os.fork()
    if pid == 0:
        os._exit(0 if np.array_equal(there[0]["image"], here[0]["image"]) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
