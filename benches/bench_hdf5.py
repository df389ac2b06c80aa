"""Benchmark of random batches of pixels from HDF5. References: preads and h5py.

h5py writes the files. `python -m benches.compare hdf5` adds more libraries.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest

import fastpack
from benches.hdf5_reading import SIDE, Batches, stored_options

_KINDS: list[tuple[str, int | None]] = [
    ("none", None),
    ("none", 1),
    ("shuffle, gzip", 1),
    ("lz4", 1),
    ("zstd", 16),
    ("blosc2", 16),
]
# A compressed sample has no bytes of its own for a pread.
_CASES = [
    (*kind, name)
    for kind in _KINDS
    for name in ("preads", "fastpack", "h5py_one_by_one")
    if name != "preads" or kind[0] == "none"
]


@pytest.fixture(scope="module")
def pixels(photos: list[Path]) -> Any:
    """Return photos, (16, 224, 224, 3) uint8."""
    return np.stack(
        [
            cv2.resize(fastpack.decode(photos[i % len(photos)].read_bytes()), (SIDE, SIDE))
            for i in range(16)
        ]
    )


def write(path: Path, pixels: Any, num_samples: int, options: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            "images", (num_samples, *pixels.shape[1:]), np.uint8, **options
        )
        for first in range(0, num_samples, len(pixels)):
            dataset[first : first + len(pixels)] = pixels[: num_samples - first]
    return path


@pytest.mark.parametrize(("compression", "chunk", "name"), _CASES)
def test_pixels(
    benchmark: Any,
    timed: Callable[..., Any],
    pixels: Any,
    tmp_path: Path,
    compression: str,
    chunk: int | None,
    name: str,
    num_threads: int,
) -> None:
    num_samples, num_batches = (2000, 4) if benchmark.enabled else (40, 1)
    path = write(tmp_path / "pixels.h5", pixels, num_samples, stored_options(compression, chunk))
    layout = "contiguous" if chunk is None else f"chunks of {chunk}"
    benchmark.group = (
        f"read {num_batches} random batches of images of 224 x 224, {compression}, {layout}, "
        f"threads: {num_threads}"
    )
    with Batches(path, num_batches=num_batches, num_threads=num_threads) as batches:
        read = getattr(batches, name)
        timed(batches.rival(name, read).run, path)
        batches.check([read, batches.h5py_one_by_one])
