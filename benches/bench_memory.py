"""How much memory does reading take, and packing? Seconds, and in extra_info the peak beyond what was there before, MB.

Each runs in a process of its own, whose peak no other bench can have raised. `python -m benches.memory` looks closer.
"""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fastpack
from benches.crops import STEPS
from benches.memory import forget_peak, peak, resident
from benches.workloads import pack_as

_BATCH = 32


def read(path: Path, num_threads: int) -> int:
    loader = fastpack.Loader(fastpack.open(path, transform=STEPS["train"], num_workers=num_threads), batch_size=_BATCH, shuffle=0)
    return sum(batch.num_samples for batch in loader)


def pack(path: Path, num_threads: int) -> int:
    source = fastpack.open(path, decode=False)
    return fastpack.pack(source, path.with_name("again.tfrecord"), fastpack.PackOptions(num_workers=num_threads, sync=False)).num_samples


def apart(work: Callable[[Path, int], int], path: Path, num_threads: int) -> tuple[int, int]:
    """What the work gives, and the peak of memory beyond what there was before, MB."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_with_peak, (work, path, num_threads))


def _with_peak(work: Callable[[Path, int], int], path: Path, num_threads: int) -> tuple[int, int]:
    before = resident()
    forget_peak()
    return work(path, num_threads), peak() - before


@pytest.mark.parametrize("work", [read, pack], ids=lambda work: work.__name__)
def test_peak(benchmark: Any, photos: list[Path], tmp_path: Path, work: Callable[[Path, int], int], num_threads: int) -> None:
    num_samples = 2000 if benchmark.enabled else 64
    path = pack_as("tfrecord", [photos[i % len(photos)] for i in range(num_samples)], tmp_path)
    benchmark.group = f"memory of {work.__name__}ing {num_samples} photographs, threads: {num_threads}"
    done, peak_mb = benchmark.pedantic(apart, (work, path, num_threads), rounds=1)
    benchmark.extra_info["peak_mb"] = peak_mb
    assert done == num_samples
    assert 0 < peak_mb < 1000
