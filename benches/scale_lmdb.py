"""Commands of a process that measures LMDB, in its own interpreter: see benches.scale_process."""

import random
import struct
import time
from collections.abc import Iterable
from pathlib import Path

import lmdb

from benches.rivals.lmdb import key, opened
from benches.rivals.lmdb import read as read_batch
from benches.scale_process import memory, since

_BATCH = 256

_kept: list[object] = []

__all__ = ["memory", "open_and_batch", "write"]


def write(folder: str, records: str, map_bytes: int) -> int:
    """Write the records of a file, each after its length (8 bytes), and return their number."""
    Path(folder).mkdir()
    count = 0
    with (
        lmdb.open(
            folder, map_size=map_bytes, metasync=False, writemap=True, map_async=True
        ) as environment,
        environment.begin(write=True) as transaction,
    ):
        for record in _records(records):
            transaction.put(key(count), record, append=True)
            count += 1
    return count


def _records(path: str) -> Iterable[bytes]:
    with open(path, "rb") as file:
        while header := file.read(8):
            yield file.read(struct.unpack("<q", header)[0])


def open_and_batch(folder: str, num_samples: int) -> dict[str, float]:
    """Open, read random records and close. Another environment is kept open."""
    rows = random.sample(range(num_samples), _BATCH)
    started = time.perf_counter()
    with opened(folder) as environment:
        records = read_batch(environment, rows)
        first = since(started)
    closed = since(started)
    assert len(records) == _BATCH
    _kept[:] = [environment := opened(folder), read_batch(environment, rows)]
    return {"first": first, "closed": closed}
