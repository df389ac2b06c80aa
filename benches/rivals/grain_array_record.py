"""ArrayRecord files, and Grain over them: a global shuffle, and threads that read ahead."""

import os
import random
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import grain
from array_record.python.array_record_data_source import ArrayRecordDataSource
from array_record.python.array_record_module import ArrayRecordWriter

from benches.rivals.opencv_crops import alone, random_crop
from benches.rivals.turns import (
    Amount,
    Task,
    Turn,
    packing,
    reading,
    seen_bytes,
    seen_pixels,
    serve,
)

_WRITING = "group_size:1,uncompressed"  # a group a record, for random access; JPEGs do not shrink
_READ_AHEAD = 2  # batches


def write(task: Task, folder: str) -> str:
    path = f"{folder}/data.arrayrecord"
    writer = ArrayRecordWriter(path, _WRITING)
    for image, _ in task.samples():
        writer.write(image)
    writer.close()
    return path


def train(task: Task) -> Turn:
    """A thread makes a whole batch, so that no thread puts together what others made."""
    alone()
    source = ArrayRecordDataSource(write(task, task.fresh_folder("array-record")))
    reading = grain.ReadOptions(
        num_threads=task.num_threads, prefetch_buffer_size=task.num_threads * _READ_AHEAD
    )
    epochs = iter(range(1 << 30))

    def batches() -> Iterator[Any]:
        samples = (
            grain.MapDataset.source(source)
            .shuffle(seed=next(epochs))
            .map(lambda image: random_crop(image, task.size))
        )
        yield from samples.batch(task.batch).to_iter_dataset(reading)

    return Turn(lambda: seen_pixels(batches(), task.size))


def records(task: Task) -> Turn:
    source = ArrayRecordDataSource(write(task, task.fresh_folder("array-record")))
    return reading(task, source.__getitems__)


def first_batch(task: Task) -> Turn:
    path = write(task, task.fresh_folder("array-record"))

    def run() -> Amount:
        with ArrayRecordDataSource(path) as source:
            return seen_bytes([source.__getitems__(random.sample(range(len(source)), task.batch))])

    return Turn(run)


def pack(task: Task) -> Turn:
    return packing(task, lambda folder: write(task, folder))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    serve(version("grain"), {"train": train, "records": records, "open": first_batch, "pack": pack})
