"""One small dataset for every framework."""

import struct
from pathlib import Path

import numpy as np
import pytest

import fastpack
from tests.support.images import jpeg
from tests.support.wire import bytes_list, entry, example, float_list, frame, int_list

NUM_SAMPLES = 26


def record(number: int) -> bytes:
    """Makes a record with a field of each kind; `boxes` has `number // 3` numbers."""
    image = jpeg(20 + number % 5, 24 + number % 3, seed=number)
    return frame(
        example(
            entry(b"image", bytes_list(image)),
            entry(b"label", int_list(number % 7)),
            entry(b"key", bytes_list(b"pic/%02d.jpg" % number)),
            entry(b"weight", float_list(number / 8)),
            entry(b"boxes", float_list(*np.arange(number // 3))),
            entry(b"tags", bytes_list(*[b"tag %d" % i for i in range(number % 3)])),
            entry(b"raw", bytes_list(struct.pack("<I", 0xFFFFFF00 + number) * (number % 4))),
        )
    )


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Two TFRecords of 26 samples in all."""
    paths = []
    for name, numbers in (("a", range(11)), ("b", range(11, NUM_SAMPLES))):
        paths.append(tmp_path / f"{name}.tfrecord")
        paths[-1].write_bytes(b"".join(map(record, numbers)))
    return paths


@pytest.fixture
def reader(shards: list[Path]) -> fastpack.Reader:
    """Random crops of 16 x 12: images of one size, and other pixels in each epoch."""
    return fastpack.open(
        shards, transform=[fastpack.RandomResizedCrop((16, 12)), fastpack.HorizontalFlip()], seed=5
    )


@pytest.fixture
def broken(shards: list[Path]) -> fastpack.Reader:
    """The images 3 and 17 cannot be decoded; their records are whole."""
    samples = fastpack.open(shards, decode=False)
    damaged = [record(number) for number in range(NUM_SAMPLES)]
    for number in (3, 17):
        image = samples[number]["image"]
        cut = image[: len(image) // 2] + bytes(len(image) - len(image) // 2)
        damaged[number] = frame(damaged[number][12:-4].replace(image, cut))
    path = shards[0].with_name("broken.tfrecord")
    path.write_bytes(b"".join(damaged))
    return fastpack.open(path, transform=fastpack.Resize(16))
