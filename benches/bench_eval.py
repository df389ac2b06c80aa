"""Benchmark of center crops. The reference is a C loop that decodes only the crop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benches.crops import Cropping
from benches.workloads import FORMS, plain_jpegs


def cropping_of(photos: list[Path], folder: Path, form: str = "tfrecord") -> Cropping:
    return Cropping(plain_jpegs(photos), "eval", num_images=64, batch=32, scratch=folder, form=form)


@pytest.fixture(scope="module")
def cropping(photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Cropping:
    return cropping_of(photos, tmp_path_factory.mktemp("eval"))


@pytest.mark.parametrize("name", ["reference", "kernel", "linear", "area"])
def test_from_memory(benchmark: Any, cropping: Cropping, name: str, num_threads: int) -> None:
    benchmark.group = f"eval, {len(cropping)} JPEGs, threads: {num_threads}"
    benchmark(cropping.run, name, num_threads)


@pytest.mark.parametrize("form", FORMS)
def test_reader(
    benchmark: Any,
    timed: Callable[..., Any],
    photos: list[Path],
    tmp_path: Path,
    form: str,
    num_threads: int,
) -> None:
    """Read the same pixels from a file."""
    cropping = cropping_of(photos, tmp_path, form)
    benchmark.group = f"eval, {len(cropping)} JPEGs, threads: {num_threads}"
    timed(lambda: cropping.run("read", num_threads), tmp_path)
    assert cropping.max_difference("kernel", "read") == 0


def test_pixels_are_those_of_the_reference(cropping: Cropping) -> None:
    """Allow two levels: the reference has 8-bit weights."""
    assert cropping.max_difference("kernel", "reference") <= 2
