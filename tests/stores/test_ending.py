"""Loaders that end while the store is silent: all requests end at once, and none begins."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.support.samples import numbered_shard
from tests.support.stores.faults import Fault, Rule
from tests.support.subprocesses import PATIENCE_S

STALL = Rule(Fault(stall_after=-1), kinds=("get",))
# A request may be on its way when its loader ends.
GRACE_S = 0.5

PROGRAM = """
import sys
import fastpack
from fastpack import Loader, Shuffle

import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
url, cache, shuffle, end = sys.argv[1:]
options = {"cache": cache, "cache_size": "50MB"} if cache else {}
reader = fastpack.open(url, kinds={"image": "bytes"}, **options)
loader = Loader(reader, batch_size=4, shuffle=eval(shuffle))
batches = iter(loader)
next(batches)
print("begun", flush=True)
sys.stdin.readline()
if end == "close":
    loader.close()
elif end == "drop":
    del batches
elif end == "next":
    try:
        for batch in batches:
            pass
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.stdin.readline()
print("ended", flush=True)
if end in ("close", "drop"):
    sys.stdin.readline()
"""


@pytest.fixture
def url(reach, tmp_path):
    reached, random = reach("seaweedfs"), np.random.default_rng(0)
    blobs = [random.bytes(300_000) for _ in range(400)]
    path = numbered_shard(tmp_path / "x.tfrecord", blobs)
    reached.put("x.tfrecord", path.read_bytes())
    return reached.server, f"{reached.server.url}/{reached.prefix}/x.tfrecord"


@pytest.fixture
def begin(url, tmp_path):
    """Starts the program; returns it when its requests are stalled."""
    started = []

    def beginning(shuffle, end, *, cached=False):
        server, address = url
        cache = tmp_path / "cache" if cached else ""
        environment = {**os.environ, **server.environment, "XDG_CACHE_HOME": str(tmp_path)}
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, address, str(cache), shuffle, end],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        started.append(program)
        return program

    yield beginning
    for program in started:
        program.kill()
        program.communicate()


def stall(server, program):
    """Lets the program continue with a store that does not answer."""
    assert program.stdout.readline() == "begun\n"
    server.proxy.rules.set(STALL)
    program.stdin.write("\n")
    program.stdin.flush()


def assert_silent(server):
    time.sleep(GRACE_S)
    count = len(server.proxy.requests)
    assert server.proxy.active == 0
    time.sleep(1)
    assert len(server.proxy.requests) == count


SHUFFLES = ["None", "Shuffle(1)", "Shuffle(1, block='1MiB', window=16)"]


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_ctrl_c(url, begin, shuffle, cached):
    server, _ = url
    program = begin(shuffle, "next", cached=cached)
    stall(server, program)
    deadline = time.monotonic() + PATIENCE_S
    while server.proxy.active == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)  # until the loader waits
    program.send_signal(signal.SIGINT)
    assert program.stdout.readline() == "interrupted\n"
    assert_silent(server)
    began = time.monotonic()
    program.communicate("\n", timeout=PATIENCE_S)
    assert program.returncode == 0
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("end", ["close", "drop"])
def test_closing_and_dropping(url, begin, end, cached):
    server, _ = url
    program = begin("Shuffle(1)", end, cached=cached)
    stall(server, program)
    assert program.stdout.readline() == "ended\n"
    assert_silent(server)


def test_a_program_ends_with_a_loader_that_waits(url, begin):
    server, _ = url
    program = begin("Shuffle(1)", "leave")
    assert program.stdout.readline() == "begun\n"
    server.proxy.rules.set(STALL)
    time.sleep(0.3)
    began = time.monotonic()
    program.communicate("\n", timeout=PATIENCE_S)
    assert program.returncode == 0
    assert time.monotonic() - began < 10
