"""LMDB: a value for each record, read in a transaction and with a cursor for each batch."""

import os
import random
from importlib.metadata import version

import lmdb

from benches.rivals.protocol import (
    SMALL_BYTES,
    Amount,
    Task,
    Workload,
    count_bytes,
    packing,
    reading,
    serve,
)

_LEAST_MAP_BYTES = 1 << 26


def key(i: int) -> bytes:
    return i.to_bytes(8, "big")


def write(task: Task, folder: str) -> None:
    """Append in one transaction through a writable map, which its documentation calls fast."""
    image_bytes = sum(os.path.getsize(path) for path in task.paths) + task.num_small * SMALL_BYTES
    map_bytes = _LEAST_MAP_BYTES + 2 * image_bytes
    environment = lmdb.open(
        folder, map_size=map_bytes, metasync=False, writemap=True, map_async=True
    )
    with environment, environment.begin(write=True) as transaction:
        for i, (image, _) in enumerate(task.samples()):
            transaction.put(key(i), image, append=True)


def written_folder(task: Task) -> str:
    folder = task.fresh_folder("lmdb")
    write(task, folder)
    return folder


def opened(folder: str) -> lmdb.Environment:
    return lmdb.open(folder, readonly=True, lock=False, readahead=False)


def read(environment: lmdb.Environment, batch: list[int]) -> list[bytes]:
    with environment.begin() as transaction, transaction.cursor() as cursor:
        return [value for _, value in cursor.getmulti([key(i) for i in batch])]


def records(task: Task) -> Workload:
    environment = opened(written_folder(task))
    return reading(task, lambda batch: read(environment, batch))


def first_batch(task: Task) -> Workload:
    folder = written_folder(task)

    def run() -> Amount:
        with opened(folder) as environment:
            return count_bytes([read(environment, random.sample(range(len(task)), task.batch))])

    return Workload(run)


def pack(task: Task) -> Workload:
    return packing(task, lambda folder: write(task, folder))


if __name__ == "__main__":
    serve(version("lmdb"), {"records": records, "open": first_batch, "pack": pack})
