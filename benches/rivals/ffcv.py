"""FFCV: its own file, memory-mapped, and a pipeline that numba compiles."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ffcv.fields import BytesField, IntField, RGBImageField
from ffcv.fields.basics import IntDecoder
from ffcv.fields.bytes import BytesDecoder
from ffcv.fields.rgb_image import (
    CenterCropRGBImageDecoder,
    RandomResizedCropRGBImageDecoder,
    encode_jpeg,
)
from ffcv.loader import Loader, OrderOption
from ffcv.transforms import RandomHorizontalFlip
from ffcv.writer import DatasetWriter

from benches.rivals.protocol import Amount, Task, Workload, count_pixels, packing, serve

_QUALITY = 90


def pixels_of(path: str) -> np.ndarray:
    return cv2.imread(path, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)


class Pixels:
    def __init__(self, task: Task) -> None:
        self._task = task

    def __len__(self) -> int:
        return len(self._task)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        return pixels_of(self._task.paths[i]), self._task.labels[i]


class Encoded(Pixels):
    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        return np.fromfile(self._task.paths[i], np.uint8), self._task.labels[i]


def write(task: Task, path: str, photos: Pixels, field: Any) -> str:
    DatasetWriter(
        path, {"image": field, "label": IntField()}, num_workers=task.num_threads
    ).from_indexed_dataset(photos)
    return path


def loader_of(task: Task, path: str, pipeline: list[Any]) -> Loader:
    return Loader(
        path,
        batch_size=task.batch,
        num_workers=task.num_threads,
        order=OrderOption.RANDOM,
        os_cache=True,
        drop_last=False,
        pipelines={"image": pipeline, "label": [IntDecoder()]},
    )


def images(task: Task, pipeline: list[Any]) -> Workload:
    """Load images at quality 90: FFCV re-encodes, since it takes pixels, not files."""
    path = write(
        task,
        task.file("photos.beton"),
        Pixels(task),
        RGBImageField(write_mode="jpg", jpeg_quality=_QUALITY),
    )
    if task.variant == "reencoded":
        write_reencoded(task, Path(path))
    loader = loader_of(task, path, pipeline)
    return Workload(lambda: count_pixels((images for images, _ in loader), task.size))


def write_reencoded(task: Task, path: Path) -> None:
    """Write the file's JPEGs as single files, byte for byte."""
    held = path.read_bytes()
    for i, photo in enumerate(dict.fromkeys(task.paths)):
        encoded = encode_jpeg(pixels_of(photo), _QUALITY).tobytes()
        if encoded not in held:
            raise SystemExit(f"{photo}: FFCV's file has other bytes")
        path.with_name(f"{i:06d}.jpg").write_bytes(encoded)


def train(task: Task) -> Workload:
    return images(
        task, [RandomResizedCropRGBImageDecoder((task.size, task.size)), RandomHorizontalFlip()]
    )


def evaluate(task: Task) -> Workload:
    return images(task, [CenterCropRGBImageDecoder((task.size, task.size), task.size / 256)])


def records(task: Task) -> Workload:
    """Read bytes; a row of a batch is as long as the longest record."""
    loader = loader_of(
        task, write(task, task.file("bytes.beton"), Encoded(task), BytesField()), [BytesDecoder()]
    )
    num_bytes = sum(len(image) for image, _ in task.samples())

    def rows() -> Iterator[int]:
        for batch, _ in loader:
            batch.reshape(-1)[::4096].sum()
            yield len(batch)

    return Workload(lambda: Amount(sum(rows()), num_bytes))


def pack(task: Task) -> Workload:
    return packing(
        task, lambda folder: write(task, f"{folder}/photos.beton", Encoded(task), BytesField())
    )


if __name__ == "__main__":
    serve(version("ffcv"), {"train": train, "eval": evaluate, "records": records, "pack": pack})
