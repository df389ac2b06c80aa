"""How fast are random batches read, beside plain preads of the same places?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastpack
from benches.workloads import Packing, Reading


@pytest.fixture(params=["out.tfrecord", "out.h5"])
def encoded(request: pytest.FixtureRequest, packing: Packing) -> Iterator[Reading]:
    packing.fastpack(request.param)
    with Reading(packing.output(request.param), batch=256, num_batches=4, num_threads=2) as reading:
        yield reading


@pytest.fixture
def pixels(photos: list[Path], tmp_path: Path) -> Iterator[Reading]:
    """HDF5, 224 x 224 RGB."""
    paths = [photos[i % len(photos)] for i in range(128)]
    fastpack.pack(fastpack.Paths(paths), tmp_path / "pixels.h5", fastpack.PackOptions(size=224))
    with Reading(tmp_path / "pixels.h5", batch=256, num_batches=4, num_threads=2) as reading:
        yield reading


@pytest.mark.parametrize("check", [False, True], ids=["unchecked", "checked"])
@pytest.mark.parametrize("name", ["reference", "fastpack"])
def test_encoded(benchmark: Any, encoded: Reading, name: str, check: bool) -> None:
    benchmark.group = f"read 4 batches of 256 encoded images, {encoded.path.name}"
    benchmark(getattr(encoded, name), check=check)
    np.testing.assert_array_equal(encoded.fastpack(check=check).values, encoded.reference(check=False))


@pytest.mark.benchmark(group="read 4 batches of 256 images of 224 x 224 pixels")
@pytest.mark.parametrize("name", ["reference", "fastpack"])
def test_pixels(benchmark: Any, pixels: Reading, name: str) -> None:
    benchmark(getattr(pixels, name), check=False)
    np.testing.assert_array_equal(pixels.fastpack(check=False).ravel(), pixels.reference(check=False))
