"""`fastpack doctor` of datasets in stores. Figures depend on a clock that stands still."""

import json
import sys
import time

import pytest

import fastpack
from fastpack.errors import EmptySourceError, StoreError
from fastpack.files.shard import Shard
from fastpack.inspection.doctor import doctor
from fastpack.inspection.store_doctor import StoreOrder, advise, conditions_of, costs_of
from fastpack.inspection.store_speed import Level, StoreSpeed, measure
from fastpack.loading.loader import Loader
from fastpack.sources import ImageFiles
from fastpack.stores.store_path import StorePath
from tests.support.command_line import run
from tests.support.images import jpeg
from tests.support.stores.faults import Fault, Rule
from tests.support.stores.s3_server import READER_KEY

pytest.importorskip("obstore", reason="pip install obstore")

MIB = 2**20
NUM_SAMPLES = 60
# A range of 2 MiB takes 20 ms and 20 ms more; 16 at once are enough.
SPEED = StoreSpeed(
    latency=0.02,
    range_bytes=2 * MIB,
    levels=(Level(1, 50 * MIB), Level(4, 200 * MIB), Level(16, 400 * MIB), Level(32, 410 * MIB)),
    num_requests=60,
    num_bytes=100 * MIB,
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> list:
    """Local shards of small images."""
    folder = tmp_path_factory.mktemp("packed")
    paths = [folder / f"{i}.jpg" for i in range(NUM_SAMPLES)]
    for i, path in enumerate(paths):
        path.write_bytes(jpeg(40, 60, seed=i))
    options = fastpack.PackOptions(sync=False, shards=3)
    fastpack.pack(ImageFiles(paths, range(NUM_SAMPLES)), folder / "train.tfrecord", options)
    return sorted(folder.glob("train-*")) + sorted(folder.glob(".train*"))


@pytest.fixture
def stored(packed, reachable):
    """Calling it with the name of a server returns the URL of the set there, and the server."""

    def put(name: str):
        server = reachable(name)
        for path in packed:
            if path.is_file():
                server.put(f"set/{path.name}", path.read_bytes())
        return f"{server.url}/set/train-*.tfrecord", server

    return put


def assert_answered(server, num_requests: int, num_bytes: int) -> None:
    """Compare with what a server's proxy counted. On a busy machine 1 request in 20 is repeated."""
    until = time.monotonic() + 10
    while server.proxy.active and time.monotonic() < until:
        time.sleep(0.001)  # it counts bytes after it has sent them
    num_repeated = server.proxy.counts()["get"] - num_requests
    assert 0 <= num_repeated <= 1 + num_requests // 20
    assert num_repeated or server.proxy.num_received() == num_bytes


class Clock:
    """Each reading of it takes 10 ms."""

    now = 0.0

    def perf_counter(self) -> float:
        self.now += 0.01
        return self.now


def test_littles_law():
    assert SPEED.bandwidth == 410 * MIB
    assert SPEED.best.num_requests == 16
    assert SPEED.seconds(2 * MIB) == pytest.approx(0.04)
    assert SPEED.seconds(100_000) == pytest.approx(0.02 + 0.02 * 100_000 / (2 * MIB))
    assert SPEED.at_once(2 * MIB, 100 * MIB) == 2
    assert SPEED.at_once(100_000, 1000 * 100_000) == 21  # 1,000 images/s, 20.95 ms each
    assert SPEED.rate(100_000, 10) == pytest.approx(10 * 100_000 / SPEED.seconds(100_000))
    assert SPEED.rate(8 * MIB, 256) == SPEED.bandwidth


def test_speed_of_a_store(stored, monkeypatch):
    url, server = stored("seaweedfs")
    shards = fastpack.open(url).shards
    monkeypatch.setattr(sys.modules["fastpack.inspection.store_speed"], "time", Clock())
    server.proxy.forget()
    speed = measure(shards, seconds=1.0)
    size = max(shard.size for shard in shards)
    assert speed.latency == pytest.approx(0.01)
    assert speed.range_bytes == size
    assert [level.num_requests for level in speed.levels] == [1, 2, 4, 8, 16, 32, 64]
    rates = [level.bytes_per_second / level.num_requests for level in speed.levels]
    assert rates == pytest.approx([size / 0.01] * 7)
    assert_answered(server, speed.num_requests, speed.num_bytes)
    assert speed.num_requests == 9 + 3 + 126


def test_nothing_to_measure():
    empty = Shard(StorePath.of("s3://bucket/empty"), "tfrecord", 0, 0, 0)
    with pytest.raises(EmptySourceError, match="all files are empty"):
        measure([empty], seconds=1.0)


def test_a_store_that_fails_is_not_read_only(stored):
    _, server = stored("seaweedfs")
    server.proxy.rules.set(Rule(Fault(400, "InvalidArgument"), kinds=("put",)))
    options = {**server.options, "timeout": 5, "deadline": 5}
    with pytest.raises(StoreError, match="refuses the request"):
        conditions_of(StorePath.of(f"{server.url}/set/train.tfrecord", options))


def test_levels_end_where_time_ends(stored, monkeypatch):
    shards = fastpack.open(stored("seaweedfs")[0]).shards
    monkeypatch.setattr(sys.modules["fastpack.inspection.store_speed"], "time", Clock())
    assert [level.num_requests for level in measure(shards, seconds=0.012).levels] == [1, 2]


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("order of the files", None),
        ("shuffled as a whole", fastpack.Shuffle(0)),
        ("shuffled in blocks", fastpack.Shuffle(0, block="8MiB")),
    ],
)
def test_requests_of_an_epoch_are_those_that_the_server_counts(stored, name, order):
    url, server = stored("seaweedfs")
    reader = fastpack.open(url, decode=False)
    cost = costs_of(reader)[name]
    server.proxy.forget()
    with Loader(reader, shuffle=order) as loader:
        assert sum(batch.num_samples for batch in loader) == NUM_SAMPLES
    assert_answered(server, cost.num_requests, cost.num_bytes)


def test_requests_of_a_cache(stored, tmp_path):
    url, server = stored("seaweedfs")
    reader = fastpack.open(url, decode=False, cache=tmp_path / "cache", cache_size="1GB")
    cost = costs_of(reader)["with a cache, first epoch"]
    assert (cost.num_requests, cost.num_bytes) == (3, sum(shard.size for shard in reader.shards))
    assert cost.dollars == pytest.approx(3 * 0.0004 / 1000)
    server.proxy.forget()
    with Loader(reader, shuffle=True) as loader:
        for _ in range(2):
            assert sum(batch.num_samples for batch in loader) == NUM_SAMPLES
    assert_answered(server, cost.num_requests, cost.num_bytes)


@pytest.mark.parametrize(
    ("name", "conditions"),
    [("seaweedfs", "honored"), ("rclone", "ignored"), ("nginx", "read-only")],
)
def test_conditional_writes(stored, name, conditions):
    _, server = stored(name)
    before = [each.key for each in server.objects()]
    assert conditions_of(StorePath.of(f"{server.url}/set/train.tfrecord")) == conditions
    assert [each.key for each in server.objects()] == before


def test_a_bucket_that_may_only_be_read(stored, monkeypatch):
    _, server = stored("seaweedfs")
    options = {**server.options, "access_key_id": READER_KEY}
    assert conditions_of(StorePath.of(f"{server.url}/set/train.tfrecord", options)) == "read-only"
    assert all(".fastpack-probe" not in each.key for each in server.objects())


def orders(whole: float, blocks: float) -> tuple[StoreOrder, ...]:
    size = 1000 * 100_000
    return (
        StoreOrder("order of the files", blocks, 12, size, 12 * 4e-7, 1, 10 * MIB),
        StoreOrder("shuffled as a whole", whole, 1000, size, 1000 * 4e-7, 21, 10 * MIB),
        StoreOrder("shuffled in blocks", blocks, 12, size, 12 * 4e-7, 1, 10 * MIB),
        StoreOrder("with a cache, first epoch", blocks, 12, size, 12 * 4e-7, 1, 10 * MIB),
    )


@pytest.mark.parametrize(
    ("whole", "blocks", "demand", "expected"),
    [
        (2000, 4000, 100 * MIB, "any order is fast enough without a cache"),
        (500, 4000, 100 * MIB, "a request for each sample is too slow here: shuffle in blocks"),
        (500, 900, 500 * MIB, "only a cache of 100.0 MB"),
    ],
)
def test_advice(whole, blocks, demand, expected):
    found = list(advise(orders(whole, blocks), SPEED, 1000, demand))
    assert expected in found[0]
    assert "83 times fewer requests" in found[1]
    assert "epochs after the first send no requests" in found[-1]


def test_doctor_of_a_dataset_in_a_store(stored):
    url, _ = stored("seaweedfs")
    found = doctor(fastpack.open(url), seconds=0.01)
    names = {stage.name for stage in found.stages}
    assert names == {"store, shuffled", "memory", "decode", "decode, one core"}
    assert found.store.num_files == 3
    assert found.store.conditions == "honored"
    assert found.store.samples_ahead >= 1
    assert found.ceiling == min(stage.samples_per_second for stage in found.stages)
    assert json.loads(found.to_json())["store"]["speed"]["num_requests"] > 10


def test_the_plan_is_for_the_consumer(stored):
    found = doctor(fastpack.open(stored("seaweedfs")[0]), consumer=3.0, seconds=0.01)
    assert found.store.samples_per_second == 3.0
    assert (found.binding, found.store.samples_ahead) == ("consumer", 1)


def test_doctor_reads_samples_once(stored):
    url, server = stored("seaweedfs")
    reader = fastpack.open(url)
    server.proxy.forget()
    found = doctor(reader, seconds=0.01)
    extra = server.proxy.counts()["get"] - found.store.speed.num_requests
    assert extra <= NUM_SAMPLES


def test_command(stored):
    result = run("doctor", stored("seaweedfs")[0], "--seconds", "0.01")
    assert result.exit_code == 0, result.output
    for text in ("store, shuffled", "latency", "shuffled in blocks", "at AWS", "ceiling"):
        assert text in result.output
