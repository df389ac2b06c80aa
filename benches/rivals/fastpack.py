"""fastpack, in an interpreter of its own like the rivals."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import fastpack
from benches.internals import ImageFiles, Location
from benches.rivals.protocol import Amount, Task, Workload, count_pixels, packing, serve, shuffled
from fastpack.core.schema import Field, Schema
from fastpack.images.batch import Batch


class SmallImages:
    """A source of images that are in no files."""

    schema = Schema((Field("image", "image"), Field("label", "int", dtype="int64")))

    def __init__(self, task: Task) -> None:
        self._images = [image for image, _ in task.samples()]
        self.sizes = np.array([len(image) for image in self._images], np.int64)

    def __len__(self) -> int:
        return len(self._images)

    def location(self, row: int) -> Location:
        return Location(f"image {row}")

    def read(self, rows: Any) -> Batch:
        images = fastpack.core.Ragged.of_bytes(self._images[row] for row in rows)
        return Batch({"image": images, "label": np.asarray(rows, np.int64)}, len(rows))


def write(task: Task, folder: str) -> str:
    source: Any = SmallImages(task) if task.num_small else ImageFiles(task.paths, task.labels)
    size = task.size if task.subject == "pixels" else None
    fastpack.pack(source, Path(folder) / task.variant, fastpack.PackOptions(sync=False, size=size))
    return f"{folder}/{task.variant}"


def shuffled_batches(task: Task, path: str, **options: Any) -> fastpack.Loader:
    return fastpack.Loader(
        fastpack.open(path, **options),
        batch_size=task.batch,
        shuffle=True,
        num_workers=task.num_threads,
    )


def train(task: Task) -> Workload:
    steps = (fastpack.RandomResizedCrop(task.size), fastpack.HorizontalFlip())
    loader = shuffled_batches(
        task, write(task, task.fresh_folder("packed")), transform=steps, orient=False
    )
    return Workload(lambda: count_pixels((batch["image"] for batch in loader), task.size))


def count_ragged(batches: Iterable[fastpack.Batch]) -> Amount:
    amounts = (Amount(batch.num_samples, int(batch["image"].lengths.sum())) for batch in batches)
    return sum(amounts, Amount())


def records(task: Task) -> Workload:
    loader = shuffled_batches(task, write(task, task.fresh_folder("packed")), decode=False)
    return Workload(lambda: count_ragged(loader))


def pixels(task: Task) -> Workload:
    loader = shuffled_batches(task, write(task, task.fresh_folder("packed")))
    return Workload(lambda: count_pixels((batch["image"] for batch in loader), task.size))


def decode(task: Task) -> Workload:
    """Decode from a file, batch by batch, to new arrays; the others have the JPEGs in memory."""
    reader = fastpack.open(
        write(task, task.fresh_folder("packed")), orient=False, num_workers=task.num_threads
    )

    def decoded(batch: list[int]) -> Amount:
        images = reader.read(batch)["image"]
        return Amount(len(images), sum(image.nbytes for image in images))

    return Workload(lambda: sum(map(decoded, shuffled(task)), Amount()))


def first_batch(task: Task) -> Workload:
    """Open with the saved index that packing writes."""
    path = write(task, task.fresh_folder("packed"))

    def run() -> Amount:
        with shuffled_batches(task, path, decode=False) as loader:
            return count_ragged([next(iter(loader))])

    return Workload(run)


def pack(task: Task) -> Workload:
    return packing(task, lambda folder: write(task, folder))


if __name__ == "__main__":
    serve(
        fastpack.__version__,
        {
            "train": train,
            "decode": decode,
            "records": records,
            "pixels": pixels,
            "open": first_batch,
            "pack": pack,
        },
    )
