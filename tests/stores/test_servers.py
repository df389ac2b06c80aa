"""The servers of the tests end with pytest, and the proxy before them fails as its rules want."""

import contextlib
import http.client
import os
import subprocess
import sys
import time

import pytest

from tests.support.paths import ROOT
from tests.support.stores.fault_proxy import FaultProxy
from tests.support.stores.faults import SLOW_DOWN, Fault, Rule
from tests.support.stores.fixtures import SERVERS

DATA = bytes(range(256)) * 4096


@pytest.fixture(params=[name for name in SERVERS if name not in ("nginx", "rclone-http")])
def server(request, servers):
    return servers[request.param]


def test_servers_show_what_they_store(server):
    for key in ("shown/b", "shown/a é+%", "shown/c/d"):
        server.put(key, key.encode())
    assert [at.key for at in server.objects("shown/")] == ["shown/a é+%", "shown/b", "shown/c/d"]
    assert server.objects("shown/b")[0].size == len("shown/b")
    assert server.read("shown/c/d") == b"shown/c/d"
    server.delete("shown/c/d")
    assert [at.key for at in server.objects("shown/c")] == []


def test_the_server_and_the_proxy_count_the_same(reach):
    reached = reach("seaweedfs")
    before, key = reached.server.num_requests(), reached.key("counted")
    reached.server.proxy.forget()
    reached.store.put(key, b"0123456789")
    reached.store.read_ranges(key, [0, 5, 7], [2, 6, 9], reached.store.facts(key).etag)
    [*reached.store.list_objects(f"{reached.prefix}/")]
    seen = reached.server.proxy.counts()
    assert seen == {"put": 1, "get": 3, "head": 1, "list": 1}
    counted = reached.server.num_requests() - before
    assert counted == {"PUT": 1, "GET": 4, "LIST": 1}  # its GETs include HEADs


STARTS_A_SERVER = """
import os, sys
from pathlib import Path
from tests.support.stores.seaweed import SeaweedServer
print(SeaweedServer(Path(sys.argv[1])).process.process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def test_a_server_ends_with_a_killed_test(servers, tmp_path):
    assert servers["seaweedfs"]  # or it is not installed
    command = [sys.executable, "-c", STARTS_A_SERVER, str(tmp_path)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60)
    pid = int(killed.stdout)
    assert killed.returncode == -9
    until = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(pid)


@pytest.fixture
def proxy(reach):
    """The proxy before nginx, whose bucket has DATA as "data"."""
    reached = reach("nginx")
    reached.server.put("data", DATA)
    return reached.server.proxy


def connection_to(proxy: FaultProxy):
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5))


def get(proxy: FaultProxy, **headers: str):
    with connection_to(proxy) as connection:
        connection.request("GET", "/data", headers=headers)
        with connection.getresponse() as answer:
            return answer, answer.read()


def test_without_rules_nothing_changes(proxy):
    with connection_to(proxy) as connection:
        for start in range(0, 4000, 1000):
            connection.request("GET", "/data", headers={"Range": f"bytes={start}-{start + 9}"})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (206, DATA[start : start + 10])
    assert proxy.counts() == {"list": 4}  # "data" is a bucket to it, without a key
    assert proxy.num_received() == 40
    assert proxy.active == 0


def test_answers_of_its_own(proxy):
    proxy.rules.set(Rule(SLOW_DOWN, count=2))
    assert [get(proxy)[0].status for _ in range(3)] == [503, 503, 200]
    proxy.rules.set(Rule(SLOW_DOWN, skip=1, count=1))
    assert [get(proxy)[0].status for _ in range(3)] == [200, 503, 200]
    proxy.rules.set(Rule(SLOW_DOWN, kinds=("put",)), Rule(SLOW_DOWN, keys="other*"))
    assert get(proxy)[0].status == 200


def test_random_faults_are_the_same_again(proxy):
    def statuses():
        proxy.rules.set(Rule(SLOW_DOWN, probability=0.5, seed=7))
        return [get(proxy)[0].status for _ in range(20)]

    first = statuses()
    assert statuses() == first
    assert 4 < first.count(503) < 16


def test_bodies_that_end_early(proxy):
    proxy.rules.set(Rule(Fault(reset_after=1000)))
    with pytest.raises(ConnectionResetError):
        get(proxy)
    proxy.rules.set(Rule(Fault(cut_after=1000)))
    with pytest.raises(http.client.IncompleteRead) as cut:
        get(proxy)
    assert cut.value.partial == DATA[:1000]
    proxy.rules.set(Rule(Fault(shorten_by=1000)))
    assert get(proxy)[1] == DATA[:-1000]


def test_changed_answers(proxy):
    proxy.rules.set(Rule(Fault(flip_byte=5)))
    assert get(proxy)[1] == DATA[:5] + bytes([DATA[5] ^ 255]) + DATA[6:]
    proxy.rules.set(Rule(Fault(shift_range=7)))
    answer, body = get(proxy, Range="bytes=10-19")
    assert answer.headers["Content-Range"] == f"bytes 17-26/{len(DATA)}"
    assert body == DATA[10:20]


def test_slow_answers(proxy):
    proxy.rules.set(Rule(Fault(latency_s=0.2)))
    begun = time.monotonic()
    get(proxy)
    assert time.monotonic() - begun >= 0.2
    proxy.rules.set(Rule(Fault(rate=len(DATA) / 0.3)))
    begun = time.monotonic()
    assert get(proxy)[1] == DATA
    assert time.monotonic() - begun >= 0.25


@pytest.mark.parametrize("num_bytes", [-1, 0, 1000])
def test_stalls_end_when_the_client_hangs_up(proxy, num_bytes):
    proxy.rules.set(Rule(Fault(stall_after=num_bytes)))
    with connection_to(proxy) as connection:
        connection.timeout = 0.3
        connection.request("GET", "/data")
        with pytest.raises(TimeoutError), connection.getresponse() as answer:
            answer.read()
    until = time.monotonic() + 5
    while proxy.active and time.monotonic() < until:
        time.sleep(0.01)
    assert proxy.active == 0


def test_the_proxy_as_an_instrument(proxy, reach):
    direct = reach("nginx").server.direct.removeprefix("http://")
    command = [sys.executable, "-m", "tests.support.stores.fault_proxy", direct]
    command += ["--latency-ms", "50", "--rate", "1e7"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        port = int(process.stdout.readline().rsplit(b":", 1)[1])
        begun = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/data")
        assert connection.getresponse().read() == DATA
        seconds = time.monotonic() - begun
        connection.close()
        process.kill()
    assert seconds >= 0.1 + 0.8 * len(DATA) / 1e7
