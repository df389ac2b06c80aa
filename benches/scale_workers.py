"""Commands of a process that measures torch's DataLoader: see benches.scale_process."""

import os
import statistics
import time
from collections.abc import Iterator
from multiprocessing import active_children, reduction
from typing import Any

import numpy as np
from torch.utils import data

import fastpack
from benches.scale_process import memory, since
from fastpack.torch import Dataset, IterableDataset, collate

_BATCH = 256

__all__ = ["workers"]


class _RandomBatches(data.Sampler[list[int]]):
    """Random batches without a list of all samples, which torch's RandomSampler makes."""

    def __init__(self, num_samples: int) -> None:
        self._num_samples = num_samples

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng(0)
        while True:
            yield random.integers(0, self._num_samples, _BATCH).tolist()


def workers(path: str, style: str, num_workers: int) -> dict[str, float]:
    """Measure spawn-started workers over a "map" or "iterable" dataset.

    Returns seconds of open and until the first batch, bytes pickled for each worker, its MB.
    """
    started = time.perf_counter()
    reader = fastpack.open(path, transform=fastpack.Resize((16, 16)))
    opened = since(started)
    options: dict[str, Any] = {"num_workers": num_workers, "multiprocessing_context": "spawn"}
    pickled = _count_pickled()
    started = time.perf_counter()
    if style == "map":
        sampler = _RandomBatches(len(reader))
        options |= {"batch_sampler": sampler, "collate_fn": collate}
        loader = data.DataLoader(Dataset(reader), **options)
    else:
        batches = IterableDataset(reader, batch_size=_BATCH, shuffle=True)
        loader = data.DataLoader(batches, batch_size=None, **options)
    iterator = iter(loader)
    next(iterator)
    first = since(started)
    found = [memory(child.pid) for child in active_children() if child.pid != os.getpid()]
    return {
        "samples": len(reader),
        "open": opened,
        "first": first,
        "pickled": max(pickled),
        "private": statistics.median(each["private"] for each in found),
        "pss": statistics.median(each["pss"] for each in found),
    }


def _count_pickled() -> list[int]:
    """Return a list that gets the bytes of whatever multiprocessing pickles for a new process."""
    sizes: list[int] = []
    dump = reduction.dump

    def counting(value: Any, file: Any, protocol: int | None = None) -> None:
        dump(value, file, protocol)
        sizes.append(file.tell())

    reduction.dump = counting
    return sizes
