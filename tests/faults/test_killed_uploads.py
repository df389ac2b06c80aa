"""Packs to a store that are killed at any request: `resume` completes them, and readers see no mix.

The proxy before the store kills the packer just before the store sees the n-th request, or a moment
after. Then a reader opens the set, and another process resumes the pack.
"""

import os
import random
import subprocess
import sys
import threading
import time

import pytest

import fastpack
from fastpack.errors import FastpackError
from fastpack.packing import claim
from fastpack.stores.store_path import StorePath
from tests.support.extent import is_full
from tests.support.images import jpeg
from tests.support.stores.faults import Fault, Rule

pytest.importorskip("obstore", reason="pip install obstore")

# Each series has 4 packs, each killed one to three times: about 300 kills in all, or 6.
SERIES = range(50 if is_full() else 1)
_NUM_PACKS = 4
# About so many requests has a pack; some kills come after its end.
_NUM_REQUESTS = 48
_PACK = """
import sys, warnings
import fastpack
warnings.simplefilter("ignore")
_, source, output, scratch, shards, overwrite = sys.argv
fastpack.pack(
    source, output, shards=int(shards), scratch=scratch, overwrite=overwrite == "True", resume=True
)
"""


@pytest.fixture
def photos(tmp_path):
    for number in range(12):
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(40, 50, seed=number) + bytes(10_000))
    return tmp_path / "photos"


def killed_pack(server, arguments, number, delay):
    """Runs a pack that is killed at its n-th request. Returns whether it was."""
    child = []
    is_sent = threading.Event()

    def kill(request):
        is_sent.set()
        if not delay:  # the store does not see the request
            child[0].kill()

    server.proxy.rules.set(Rule(Fault(act=kill), skip=number, count=1))
    environment = {**os.environ, **server.environment}
    child.append(subprocess.Popen([sys.executable, "-c", _PACK, *arguments], env=environment))
    while child[0].poll() is None and not is_sent.wait(0.01):
        pass
    time.sleep(delay)
    child[0].kill()
    status = child[0].wait(60)
    server.proxy.rules.set()
    assert status in (0, -9)
    return status == -9


def read_set(output):
    """The bytes of all shards; None if the reader finds no set."""
    try:
        shards = fastpack.open(output, save_index=False).index.shards
    except FastpackError:
        return None
    return [shard.path.store.read(shard.path.key, shard.etag) for shard in shards]


@pytest.mark.filterwarnings("ignore::fastpack.errors.FastpackWarning")
@pytest.mark.parametrize("series", SERIES)
def test_killed_packs_are_resumed(servers, photos, tmp_path, monkeypatch, series):
    server = servers["seaweedfs"]
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    new = packed_locally(photos, tmp_path / "new", shards=3)
    old = packed_locally(photos, tmp_path / "old", shards=2)
    chance, num_killed = random.Random(series), 0
    for run in range(_NUM_PACKS * series, _NUM_PACKS * (series + 1)):
        output = f"{server.url}/kill-{run}/train.tfrecord"
        scratch = tmp_path / f"scratch-{run}"
        scratch.mkdir()
        is_overwriting = chance.random() < 0.4
        if is_overwriting:
            fastpack.pack(photos, output, shards=2, scratch=scratch)
        arguments = [str(photos), output, str(scratch), "3", str(is_overwriting)]
        for _ in range(chance.randint(1, 3)):  # the resumed pack is killed too
            server.proxy.forget()
            delay = chance.choice([0, 0, 0.002, 0.02])
            num_killed += killed_pack(server, arguments, chance.randrange(_NUM_REQUESTS), delay)
            found = read_set(output)
            assert found in ((old, new) if is_overwriting else (None, new)), run
            if found == new and is_complete(output):
                break
        resume(photos, output, scratch, is_overwriting, chance, monkeypatch)
        assert read_set(output) == new, run
        keys = [each.key for each in server.objects(f"kill-{run}/")]
        assert len([key for key in keys if "claim" not in key and "probe" not in key]) == 7, keys
        assert server.uploads() == []
    assert num_killed > 0


def resume(photos, output, scratch, is_overwriting, chance, monkeypatch):
    """Resumes here, on the machine of the killed pack or on another one, after a minute."""
    if read_set(output) is not None and is_complete(output) and not is_overwriting:
        return
    if chance.random() < 0.5:
        monkeypatch.setattr(claim, "LIFE_SECONDS", -5)
        scratch = scratch.with_name(f"{scratch.name}-other")
        scratch.mkdir()
    fastpack.pack(photos, output, shards=3, scratch=scratch, overwrite=is_overwriting, resume=True)
    assert list(scratch.iterdir()) == []
    monkeypatch.setattr(claim, "LIFE_SECONDS", 60)


def is_complete(output):
    """Whether a pack was killed when nothing but its claim was left."""
    folder = StorePath.of(output).parent
    return not (folder / ".train.tfrecord.packing" / "plan.json").is_file()


def packed_locally(photos, folder, shards):
    folder.mkdir()
    result = fastpack.pack(photos, folder / "train.tfrecord", shards=shards)
    return [path.read_bytes() for path in result.paths]


def test_a_killed_upload_in_parts_is_overwritten(servers, tmp_path, monkeypatch):
    """The parts stay at the store until `fastpack status --clean` or its own rules remove them."""
    server = servers["seaweedfs"]
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "large").mkdir()
    for number in range(4):
        image = jpeg(9, 9, seed=number) + bytes(9 << 20)
        (tmp_path / "large" / f"{number}.jpg").write_bytes(image)
    output, scratch = f"{server.url}/parts/train.tfrecord", tmp_path / "scratch"
    scratch.mkdir()
    server.proxy.forget()
    child = []
    server.proxy.rules.set(Rule(Fault(act=lambda _: child[0].kill()), ("part",), skip=1))
    arguments = [str(tmp_path / "large"), output, str(scratch), "1", "False"]
    environment = {**os.environ, **server.environment}
    child.append(subprocess.Popen([sys.executable, "-c", _PACK, *arguments], env=environment))
    assert child[0].wait(60) == -9
    server.proxy.rules.set()
    assert read_set(output) is None
    assert len(server.uploads()) == 1
    fastpack.pack(tmp_path / "large", output, shards=1, scratch=scratch, resume=True)
    expected = packed_locally(tmp_path / "large", tmp_path / "local", shards=1)
    assert read_set(output) == expected
