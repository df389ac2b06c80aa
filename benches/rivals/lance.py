"""Lance: a column of binary values, rows by number, read by its own threads."""

import random
from collections.abc import Iterator
from importlib.metadata import version

import lance
import pyarrow as pa

from benches.rivals.protocol import Amount, Task, Workload, count_bytes, packing, reading, serve

_IMAGE = pa.field(
    "image", pa.large_binary(), metadata={"lance-encoding:compression": "none"}
)  # JPEGs do not shrink
_SCHEMA = pa.schema([_IMAGE, ("label", pa.int64())])
_WRITTEN_AT_ONCE = 256


def arrow_batches(task: Task) -> Iterator[pa.RecordBatch]:
    pending: list[dict[str, object]] = []
    for image, label in task.samples():
        pending.append({"image": image, "label": label})
        if len(pending) == _WRITTEN_AT_ONCE:
            yield pa.RecordBatch.from_pylist(pending, _SCHEMA)
            pending = []
    yield pa.RecordBatch.from_pylist(pending, _SCHEMA)


def write(task: Task, folder: str) -> str:
    lance.write_dataset(arrow_batches(task), f"{folder}/photos.lance", _SCHEMA)
    return f"{folder}/photos.lance"


def taken(dataset: lance.LanceDataset, batch: list[int]) -> list[bytes]:
    return list(dataset.take(batch, columns=["image"])["image"].to_pylist())


def records(task: Task) -> Workload:
    dataset = lance.dataset(write(task, task.fresh_folder("lance")))
    return reading(task, lambda batch: taken(dataset, batch))


def first_batch(task: Task) -> Workload:
    path = write(task, task.fresh_folder("lance"))

    def run() -> Amount:
        dataset = lance.dataset(path)
        return count_bytes([taken(dataset, random.sample(range(len(task)), task.batch))])

    return Workload(run)


def pack(task: Task) -> Workload:
    return packing(task, lambda folder: write(task, folder))


if __name__ == "__main__":
    serve(version("pylance"), {"records": records, "open": first_batch, "pack": pack})
