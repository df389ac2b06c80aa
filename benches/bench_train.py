"""How fast do batches of random crops, resized and mirrored become pixels, beside a plain C loop that decodes no more than they need?"""

from pathlib import Path
from typing import Any

import pytest

from benches.crops import Cropping
from benches.workloads import plain_jpegs


@pytest.fixture(scope="module")
def cropping(photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Cropping:
    return Cropping(plain_jpegs(photos), "train", num_images=64, batch=32, scratch=tmp_path_factory.mktemp("train"))


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("name", ["reference", "kernel", "read", "linear", "area"])
def test_train(benchmark: Any, cropping: Cropping, name: str, num_threads: int) -> None:
    benchmark.group = f"train, {len(cropping)} JPEGs, threads: {num_threads}"
    benchmark(cropping.run, name, num_threads)


def test_pixels_are_those_of_the_yardstick(cropping: Cropping) -> None:
    """It weighs with 8 bits, so it is up to two levels off."""
    assert cropping.worst("kernel", "reference") <= 2


def test_reader_gives_the_same_pixels(cropping: Cropping) -> None:
    assert cropping.worst("kernel", "read") == 0
