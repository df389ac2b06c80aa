"""Benchmark of memory of reading and packing. extra_info has the peak in MB.

The peak is what the work adds. Each case runs in a process of its own.
`python -m benches.memory` has longer tests.
"""

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import fastpack
from benches.conftest import evict_or_skip
from benches.crops import SIZE, STEPS
from benches.internals import ImageFiles
from benches.memory import peak, reset_peak, resident
from benches.workloads import FORMS

_BATCH = 32
# Encoded images, and their pixels: file name and PackOptions.
_STORED = {
    form: (name, fastpack.PackOptions(layout=layout, sync=False))
    for form, (name, layout) in FORMS.items()
}
_STORED["pixels"] = ("pixels.h5", fastpack.PackOptions(size=SIZE, sync=False))


def read(path: Path, num_threads: int) -> int:
    transform = None if path.name == "pixels.h5" else STEPS["train"]
    loader = fastpack.Loader(
        fastpack.open(path, transform=transform, num_workers=num_threads),
        batch_size=_BATCH,
        shuffle=0,
    )
    return sum(batch.num_samples for batch in loader)


def pack(paths: list[Path], output: Path, options: fastpack.PackOptions) -> int:
    return fastpack.pack(ImageFiles(paths), output, options).num_samples


def apart(work: Callable[[], int]) -> tuple[int, int]:
    """Return the work's result and the peak that it adds, in MB."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_with_peak, (work,))


def _with_peak(work: Callable[[], int]) -> tuple[int, int]:
    before = resident()
    reset_peak()
    return work(), peak() - before


@pytest.fixture
def paths(benchmark: Any, photos: list[Path]) -> list[Path]:
    return [photos[i % len(photos)] for i in range(2000 if benchmark.enabled else 64)]


def measured(
    benchmark: Any, work: Callable[[], int], setup: Callable[[], object] | None = None
) -> int:
    done, peak_mb = benchmark.pedantic(apart, (work,), setup=setup, rounds=1)
    benchmark.extra_info["peak_mb"] = peak_mb
    assert 0 < peak_mb < 1000
    return int(done)


@pytest.mark.parametrize("form", _STORED)
def test_reading(
    benchmark: Any, paths: list[Path], tmp_path: Path, form: str, num_threads: int, cache: str
) -> None:
    benchmark.group = f"memory of reading {len(paths)} photographs, {cache}, threads: {num_threads}"
    name, options = _STORED[form]
    path = tmp_path / name
    pack(paths, path, options)
    setup = partial(evict_or_skip, [path]) if cache == "cold" else None
    assert measured(benchmark, partial(read, path, num_threads), setup) == len(paths)


@pytest.mark.parametrize("form", _STORED)
def test_packing(
    benchmark: Any, paths: list[Path], tmp_path: Path, form: str, num_threads: int
) -> None:
    benchmark.group = f"memory of packing {len(paths)} photographs, threads: {num_threads}"
    name, options = _STORED[form]
    work = partial(pack, paths, tmp_path / name, replace(options, num_workers=num_threads))
    assert measured(benchmark, work) == len(paths)
