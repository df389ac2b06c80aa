"""Fixtures of the benchmarks: photos, threads, cold caches, origin of results."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from benches.page_cache import COLD, evict
from benches.photos import fingerprint
from benches.photos import photos as find_photos
from benches.provenance import revision
from benches.ratio import machine
from benches.workloads import Packing
from tests.support import extent

# Scripts for other interpreters.
collect_ignore = ["rivals", "scale_lmdb.py", "scale_workers.py", "shuffled_training.py"]
_COLD_ROUNDS = 5
_LONG = {"bench_hdf5", "bench_memory"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "num_threads" in metafunc.fixturenames:
        timed = metafunc.config.getoption("benchmark_enable")
        metafunc.parametrize(
            "num_threads", sorted({1, 2, len(os.sched_getaffinity(0))} if timed else {2})
        )
    if "cache" in metafunc.fixturenames:
        metafunc.parametrize("cache", ["warm", "cold"] if COLD else ["warm"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps the first case of the longest benchmarks, unless they are timed or run in full."""
    if config.getoption("benchmark_enable") or extent.is_full():
        return
    seen: set[str] = set()
    further = []
    for item in items:
        name = item.nodeid.partition("[")[0]
        if item.path.stem in _LONG and name in seen:
            further.append(item)
        seen.add(name)
    config.hook.pytest_deselected(items=further)
    items[:] = [item for item in items if item not in further]


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    machine_info["measured_on"] = machine()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the JPEGs below $FASTPACK_BENCH_PHOTOS, or generated ones."""
    return find_photos(None, tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def origin(photos: list[Path]) -> dict[str, str]:
    """Return the revision and the data of a result."""
    return {"revision": revision() or "unknown", "data": fingerprint(photos)}


@pytest.fixture
def benchmark(benchmark: Any, origin: dict[str, str]) -> Any:
    benchmark.extra_info |= origin
    return benchmark


def evict_or_skip(files: Iterable[Path]) -> None:
    if not evict(files):
        pytest.skip("the OS keeps these files in memory; choose a folder on a disk: --basetemp")


@pytest.fixture
def timed(benchmark: Any, cache: str) -> Callable[..., Any]:
    """Return `timed(work, *files)`, which evicts the files before each run of a cold benchmark.

    Skips the benchmark if the OS keeps the files in memory.
    """

    def run(work: Callable[[], Any], *files: Path) -> Any:
        benchmark.extra_info["cache"] = cache
        if cache == "warm":
            return benchmark(work)
        return benchmark.pedantic(work, setup=lambda: evict_or_skip(files), rounds=_COLD_ROUNDS)

    return run


@pytest.fixture
def packing(photos: list[Path], tmp_path: Path, benchmark: Any) -> Packing:
    """Return a list of files to pack: about 500 MB to time, 20 MB to test."""
    return Packing(photos, 5000 if benchmark.enabled else 200, tmp_path / "outputs")
