"""Uploads and puts on bad days: nothing is left over, and no answer is believed too early."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fastpack.errors import ChangedFileError, OutputExistsError, StoreError
from tests.support.stores.faults import INTERNAL_ERROR, SLOW_DOWN, Fault, Rule

_PART = 1 << 23


@pytest.fixture
def seaweed(reach):
    return reach("seaweedfs", deadline=10)


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "shard"
    path.write_bytes(os.urandom(3 * _PART + 5))
    return path


def stored(reached):
    return reached.names(), reached.server.uploads(reached.prefix)


def test_a_part_is_sent_again(seaweed, large):
    rules = Rule(SLOW_DOWN, ("part",), count=2), Rule(Fault(hang_up=True), ("part",), count=1)
    seaweed.server.proxy.rules.set(*rules)
    seaweed.store.upload(seaweed.key("a"), large)
    assert seaweed.server.read(seaweed.key("a")) == large.read_bytes()
    assert stored(seaweed) == (["a"], [])


@pytest.mark.parametrize("kind", ["start", "part", "complete"])
def test_a_refused_upload_leaves_nothing(seaweed, large, kind):
    seaweed.server.proxy.rules.set(Rule(Fault(403, "AccessDenied"), (kind,), skip=kind == "part"))
    with pytest.raises(StoreError, match=r"refuses access.*permissions") as raised:
        seaweed.store.upload(seaweed.key("a"), large)
    assert seaweed.key("a") in str(raised.value)
    assert stored(seaweed) == ([], [])


def test_a_store_that_never_takes_a_part(reach, large):
    seaweed = reach("seaweedfs", deadline=2, timeout=2)
    seaweed.server.proxy.rules.set(Rule(SLOW_DOWN, ("part",)))
    started = time.monotonic()
    with pytest.raises(StoreError, match="did not take all parts"):
        seaweed.store.upload(seaweed.key("a"), large)
    assert time.monotonic() - started < 20
    assert stored(seaweed) == ([], [])


def test_a_lost_answer_of_an_upload(seaweed, large):
    lost = Fault(403, "AccessDenied", after_server=True)
    seaweed.server.proxy.rules.set(Rule(lost, ("complete",)))
    facts = seaweed.store.upload(seaweed.key("a"), large)
    assert facts.size == large.stat().st_size
    assert stored(seaweed) == (["a"], [])


def test_damage_on_the_way(seaweed, tmp_path, monkeypatch):
    """Another file has another etag; then the object is read back, and differs."""
    path = tmp_path / "shard"
    path.write_bytes(os.urandom(1000))

    def change(request):
        if request.method == "HEAD":
            seaweed.put("a", os.urandom(1000))

    seaweed.server.proxy.rules.set(Rule(Fault(act=change), ("head",)))
    with pytest.raises(StoreError, match="not the file that was uploaded"):
        seaweed.store.upload(seaweed.key("a"), path)


def test_an_etag_that_is_no_checksum(seaweed, large):
    """The object is read back where the etag shows nothing: with KMS, on GCS and on Azure."""
    etag = Fault(headers=(("ETag", '"opaque"'),))
    seaweed.server.proxy.rules.set(Rule(etag, ("head",)))
    assert seaweed.store.upload(seaweed.key("a"), large).etag == '"opaque"'
    assert seaweed.server.proxy.counts()["get"] == 4


def test_a_progress_that_raises_ends_the_upload(seaweed, large):
    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seaweed.store.upload(seaweed.key("a"), large, progress=stop)
    assert stored(seaweed) == ([], [])


_UPLOAD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
from pathlib import Path
from fastpack.stores.registry import store_of

store, key = store_of(sys.argv[1])
store.upload(key, Path(sys.argv[2]))
"""


def test_an_interrupted_upload_is_aborted(seaweed, large):
    seaweed.server.proxy.rules.set(Rule(Fault(latency_s=1), ("part",)))
    command = [sys.executable, "-c", _UPLOAD, seaweed.store.url(seaweed.key("a")), str(large)]
    environment = {**os.environ, **seaweed.server.environment}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as child:
        while not seaweed.server.proxy.counts()["part"]:
            assert child.poll() is None, child.stderr.read()
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    assert errors.rstrip().endswith(b"KeyboardInterrupt")
    assert stored(seaweed) == ([], [])


def test_a_file_that_shrinks(seaweed, large):
    def shrink(done, total):
        os.truncate(large, _PART)

    with pytest.raises(ChangedFileError, match="became shorter"):
        seaweed.store.upload(seaweed.key("a"), large, progress=shrink)
    assert stored(seaweed) == ([], [])


@pytest.mark.parametrize("fault", [INTERNAL_ERROR, SLOW_DOWN])
def test_a_lost_answer_of_a_conditional_put(seaweed, fault):
    """The repetition finds the object there; it is the one that was put."""
    lost = Fault(fault.status, fault.code, after_server=True)
    seaweed.server.proxy.rules.set(Rule(lost, ("put",), count=1))
    first = seaweed.store.put(seaweed.key("a"), b"one", if_absent=True)
    assert seaweed.store.facts(seaweed.key("a")).etag == first.etag
    seaweed.server.proxy.rules.set(Rule(lost, ("put",), count=1))
    seaweed.store.put(seaweed.key("a"), b"two", if_match=first.etag)
    assert seaweed.server.read(seaweed.key("a")) == b"two"


def test_a_repeated_put_does_not_take_over(seaweed):
    def other(request):
        seaweed.put("a", b"other")

    rules = Rule(Fault(500, "InternalError", act=other), ("put",), count=1)
    seaweed.server.proxy.rules.set(rules)
    with pytest.raises(OutputExistsError):
        seaweed.store.put(seaweed.key("a"), b"one", if_absent=True)
    assert seaweed.server.read(seaweed.key("a")) == b"other"


def test_slow_puts_are_not_sent_twice(seaweed):
    for _ in range(30):  # so that a slow request is known to be slow
        seaweed.store.put(seaweed.key("a"), b"one")
    seaweed.server.proxy.rules.set(Rule(Fault(latency_s=1.5), ("put",)))
    before = seaweed.server.proxy.counts()["put"]
    seaweed.store.put(seaweed.key("b"), b"two", if_absent=True)
    assert seaweed.server.proxy.counts()["put"] == before + 1
