"""Benchmark of JPEG decoding. The reference is a C loop over libjpeg-turbo."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastpack
from benches.workloads import FORMS, Decoding, pack_as, plain_jpegs


@pytest.fixture(scope="module")
def jpegs(photos: list[Path]) -> list[Path]:
    return plain_jpegs(photos)


@pytest.fixture(scope="module")
def decoding(jpegs: list[Path]) -> Decoding:
    return Decoding(jpegs)


@pytest.mark.parametrize("name", ["reference", "fastpack"])
def test_from_memory(benchmark: Any, decoding: Decoding, name: str, num_threads: int) -> None:
    """Decode into preallocated memory."""
    benchmark.group = f"decode {len(decoding)} JPEGs, threads: {num_threads}"
    decoding.clear_outputs()
    benchmark(getattr(decoding, name), num_threads)
    other = "fastpack" if name == "reference" else "reference"
    getattr(decoding, other)(num_threads)
    np.testing.assert_array_equal(decoding.by_fastpack, decoding.by_reference)


@pytest.mark.parametrize("form", FORMS)
def test_reader(
    benchmark: Any,
    timed: Callable[..., Any],
    jpegs: list[Path],
    decoding: Decoding,
    tmp_path: Path,
    form: str,
    num_threads: int,
) -> None:
    """Read from a file with checksums, into new arrays."""
    path = pack_as(form, jpegs, tmp_path)
    reader = fastpack.open(path, orient=False, num_workers=num_threads)
    benchmark.group = f"decode {len(decoding)} JPEGs, threads: {num_threads}"
    batch = timed(lambda: reader.read(range(len(reader))), path)
    decoding.reference(num_threads)
    np.testing.assert_array_equal(
        np.concatenate([image.ravel() for image in batch["image"]]), decoding.by_reference
    )
