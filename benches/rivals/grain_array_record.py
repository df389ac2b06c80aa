"""ArrayRecord files read by Grain: a global shuffle and prefetching threads."""

import os
import random
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import grain
from array_record.python.array_record_data_source import ArrayRecordDataSource
from array_record.python.array_record_module import ArrayRecordWriter

from benches.rivals.opencv_crops import alone, random_crop
from benches.rivals.protocol import (
    Amount,
    Task,
    Workload,
    count_bytes,
    count_pixels,
    packing,
    reading,
    serve,
)

_WRITING = "group_size:1,uncompressed"  # one record a group, for random access; JPEGs do not shrink
_READ_AHEAD = 2  # batches


def write(task: Task, folder: str) -> str:
    path = f"{folder}/data.arrayrecord"
    writer = ArrayRecordWriter(path, _WRITING)
    for image, _ in task.samples():
        writer.write(image)
    writer.close()
    return path


def train(task: Task) -> Workload:
    """Make whole batches in one thread each, so that no thread has to assemble them."""
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

    return Workload(lambda: count_pixels(batches(), task.size))


def records(task: Task) -> Workload:
    source = ArrayRecordDataSource(write(task, task.fresh_folder("array-record")))
    return reading(task, source.__getitems__)


def first_batch(task: Task) -> Workload:
    path = write(task, task.fresh_folder("array-record"))

    def run() -> Amount:
        with ArrayRecordDataSource(path) as source:
            return count_bytes([source.__getitems__(random.sample(range(len(source)), task.batch))])

    return Workload(run)


def pack(task: Task) -> Workload:
    return packing(task, lambda folder: write(task, folder))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    serve(version("grain"), {"train": train, "records": records, "open": first_batch, "pack": pack})
