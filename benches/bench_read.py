"""Benchmark of random batches of encoded images. The reference is preads."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benches.workloads import FORMS, Reading, pack_as


@pytest.fixture
def reading(
    photos: list[Path], tmp_path: Path, benchmark: Any, form: str, num_threads: int
) -> Iterator[Reading]:
    num_records = 5000 if benchmark.enabled else 64
    path = pack_as(form, [photos[i % len(photos)] for i in range(num_records)], tmp_path)
    benchmark.group = f"read 4 batches of 256 encoded images, {path.name}, threads: {num_threads}"
    with Reading(
        path, batch=256 if benchmark.enabled else 32, num_batches=4, num_threads=num_threads
    ) as reading:
        yield reading


@pytest.mark.parametrize("check", [False, True], ids=["unchecked", "checked"])
@pytest.mark.parametrize("name", ["reference", "fastpack"])
@pytest.mark.parametrize("form", FORMS)
def test_encoded(timed: Callable[..., Any], reading: Reading, name: str, check: bool) -> None:
    timed(lambda: getattr(reading, name)(check=check), reading.path)
    np.testing.assert_array_equal(
        reading.fastpack(check=check).values, reading.reference(check=False)
    )
