"""How fast is a list of files packed into one, beside cat?"""

from pathlib import Path
from typing import Any

import pytest

import fastpack
from benches.workloads import Packing, PackingPixels


@pytest.mark.benchmark(group="pack a list of files")
@pytest.mark.parametrize("name", ["out.tfrecord", "out.h5"])
def test_fastpack(benchmark: Any, packing: Packing, name: str) -> None:
    benchmark.pedantic(packing.fastpack, (name,), setup=packing.remove, rounds=5)
    reader = fastpack.open(packing.output(name), decode=False)
    assert len(reader) == len(packing.paths)
    last = len(reader) - 1
    assert reader[last]["image"] == packing.paths[last].read_bytes()


@pytest.mark.benchmark(group="pack a list of files")
def test_cat(benchmark: Any, packing: Packing) -> None:
    benchmark.pedantic(packing.cat, setup=packing.remove, rounds=5)
    assert packing.output("cat").stat().st_size == sum(path.stat().st_size for path in packing.paths)


@pytest.mark.benchmark(group="pack pixels")
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_pixels(benchmark: Any, photos: list[Path], tmp_path: Path, compression: str) -> None:
    packing = PackingPixels(photos, 1000 if benchmark.enabled else 20, tmp_path / "outputs")
    packed = benchmark.pedantic(packing.fastpack, kwargs={"num_threads": 2, "compression": compression}, setup=packing.remove, rounds=5)
    assert packed.num_samples == len(packing.paths)


@pytest.mark.benchmark(group="pack pixels")
def test_decode_and_resize_alone(benchmark: Any, photos: list[Path], tmp_path: Path) -> None:
    packing = PackingPixels(photos, 1000 if benchmark.enabled else 20, tmp_path / "outputs")
    benchmark.pedantic(packing.reference, kwargs={"num_threads": 2}, rounds=5)
