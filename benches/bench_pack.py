"""Benchmark of packing. References: cat; for pixels, decoding and resampling alone."""

from pathlib import Path
from typing import Any

import pytest

import fastpack
from benches.conftest import evict_or_skip
from benches.workloads import FORMS, Packing, PackingPixels

_ROUNDS = 5


def setup_of(packing: Packing, cache: str) -> Any:
    def setup() -> None:
        packing.remove()
        if cache == "cold":
            evict_or_skip(set(packing.paths))

    return setup


@pytest.mark.parametrize("form", FORMS)
def test_fastpack(
    benchmark: Any, packing: Packing, form: str, num_threads: int, cache: str
) -> None:
    benchmark.group = f"pack a list of files, {cache}"
    name, layout = FORMS[form]
    options = {"layout": layout, "num_workers": num_threads}
    benchmark.pedantic(
        packing.fastpack, (name,), options, setup=setup_of(packing, cache), rounds=_ROUNDS
    )
    reader = fastpack.open(packing.output(name), decode=False)
    assert len(reader) == len(packing.paths)
    last = len(reader) - 1
    assert reader[last]["image"] == packing.paths[last].read_bytes()


def test_cat(benchmark: Any, packing: Packing, cache: str) -> None:
    benchmark.group = f"pack a list of files, {cache}"
    benchmark.pedantic(packing.cat, setup=setup_of(packing, cache), rounds=_ROUNDS)
    assert packing.output("cat").stat().st_size == sum(
        path.stat().st_size for path in packing.paths
    )


@pytest.fixture
def packing_pixels(
    photos: list[Path], tmp_path: Path, benchmark: Any, num_threads: int
) -> PackingPixels:
    benchmark.group = f"pack pixels, threads: {num_threads}"
    return PackingPixels(photos, 1000 if benchmark.enabled else 20, tmp_path / "outputs")


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd", "blosc2"])
def test_pixels(
    benchmark: Any, packing_pixels: PackingPixels, compression: str, num_threads: int
) -> None:
    options = {"num_threads": num_threads, "compression": compression}
    packed = benchmark.pedantic(
        packing_pixels.fastpack, kwargs=options, setup=packing_pixels.remove, rounds=_ROUNDS
    )
    assert packed.num_samples == len(packing_pixels.paths)


def test_decode_and_resize_alone(
    benchmark: Any, packing_pixels: PackingPixels, num_threads: int
) -> None:
    benchmark.pedantic(
        packing_pixels.reference, kwargs={"num_threads": num_threads}, rounds=_ROUNDS
    )
