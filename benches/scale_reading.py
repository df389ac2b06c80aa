"""Commands of a process that measures fastpack: see benches.scale_process."""

import json
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

import fastpack
from benches.scale_process import memory, since

_BATCH = 256
_NUM_RESUMES = 5
_SIZE = 16  # pixels of a side of decoded images

_readers: list[fastpack.Reader] = []
_kept: list[Any] = []  # a loader's threads and batches count as memory
_forks: list[Connection] = []

__all__ = [
    "batch",
    "fork",
    "in_forks",
    "memory",
    "open",
    "open_and_batch",
    "open_and_read",
    "order",
    "warm",
]


def open(path: str) -> float:
    """Open a dataset for the commands that follow, and return seconds."""
    started = time.perf_counter()
    _readers[:] = [fastpack.open(path, decode=False)]
    return since(started)


def batch(seed: int) -> dict[str, float]:
    """Return seconds of the first batch of a shuffled Loader, and of random rows by Reader.read."""
    (reader,) = _readers
    started = time.perf_counter()
    loader = fastpack.Loader(reader, batch_size=_BATCH, shuffle=seed)
    batches = iter(loader)
    _kept[:] = [loader, batches, next(batches)]
    loaded = since(started)
    rows = np.random.default_rng(seed).integers(0, len(reader), _BATCH)
    started = time.perf_counter()
    _kept.append(reader.read(rows))
    return {"batch": loaded, "read": since(started)}


def open_and_batch(path: str, num_samples: int) -> dict[str, float]:
    """Open, read a shuffled batch by a Loader, and close. The reader is kept."""
    seed = random.randrange(2**32)  # other samples each time: the same ones would stay cached
    started = time.perf_counter()
    reader = fastpack.open(path, decode=False)
    with fastpack.Loader(reader, batch_size=_BATCH, shuffle=seed) as loader:
        batch = next(iter(loader))
        first = since(started)
    _kept[:] = [reader, batch]
    return {"first": first, "closed": since(started)}


def open_and_read(path: str, num_samples: int) -> dict[str, float]:
    """Open and read random samples by Reader.read; a Reader needs no closing."""
    rows = random.sample(range(num_samples), _BATCH)
    started = time.perf_counter()
    reader = fastpack.open(path, decode=False)
    _kept[:] = [reader, reader.read(rows)]
    return {"first": since(started), "closed": since(started)}


def warm(tiny: str) -> float:
    """Read a tiny dataset: loads the rest of fastpack and starts its threads."""
    started = time.perf_counter()
    open(tiny)
    batch(0)
    return since(started)


def fork(count: int) -> None:
    """Fork this process. The children answer `in_forks` until it ends."""
    context = get_context("fork")
    for _ in range(count):
        ours, theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs,), daemon=True).start()
        _forks.append(ours)


def in_forks(command: str, *arguments: Any) -> list[Any]:
    """Run a command in all forks at once."""
    for connection in _forks:
        connection.send((command, arguments))
    return [connection.recv() for connection in _forks]


def _serve(connection: Connection) -> None:
    while True:
        command, arguments = connection.recv()
        connection.send(globals()[command](*arguments))


Ordered = tuple[fastpack.Reader, Any]


def _mixed(reader: fastpack.Reader) -> Ordered:
    parts = reader.split({"a": 0.5, "b": 0.5}, by="index")
    return fastpack.concat(list(parts.values())), fastpack.Mix((7, 3))


# Name -> dataset and `shuffle` of its Loader.
ORDERS: dict[str, Callable[[fastpack.Reader], Ordered]] = {
    "sequential": lambda reader: (reader, None),
    "shuffle": lambda reader: (reader, fastpack.Shuffle(0)),
    "window": lambda reader: (reader, fastpack.Shuffle(0, window=4096)),
    "mix": _mixed,
    "filter": lambda reader: (reader.filter(lambda columns: columns["label"] % 2 == 0), 0),
    "split": lambda reader: (reader.split({"train": 0.9, "val": 0.1}, by="index")["train"], 0),
    "slice": lambda reader: (reader[len(reader) // 10 :], 0),
}


def order(path: str, name: str, decode: bool, num_batches: int) -> dict[str, float]:
    """Measure a Loader of an order.

    Returns seconds of open, build (dataset and Loader), first, and resume at 0 and at 90% of the
    samples. Then steady samples/s, bytes of the state as JSON, and MB.
    """
    started = time.perf_counter()
    steps = fastpack.Resize((_SIZE, _SIZE)) if decode else None
    reader = fastpack.open(path, decode=decode, transform=steps)
    opened = since(started)

    started = time.perf_counter()
    dataset, shuffle = ORDERS[name](reader)
    make = partial(fastpack.Loader, dataset, batch_size=_BATCH, shuffle=shuffle)
    loader = make()
    built = since(started)

    started = time.perf_counter()
    batches = iter(loader)
    next(batches)
    first = since(started)

    started, count = time.perf_counter(), 0
    for each, _ in zip(batches, range(num_batches), strict=False):
        count += each.num_samples
    rate = count / since(started)

    state = loader.state_dict()
    loader.close()
    far = len(dataset) * 9 // 10
    resumes = [(_resume(make, state, 0), _resume(make, state, far)) for _ in range(_NUM_RESUMES)]
    at_start, at_far = map(statistics.median, zip(*resumes, strict=True))
    return {
        "samples": len(dataset),
        "open": opened,
        "build": built,
        "first": first,
        "rate": rate,
        "resume_0": at_start,
        "resume_90": at_far,
        "state_bytes": len(json.dumps(state | {"position": far})),
        **memory(),
    }


def _resume(make: Callable[[], fastpack.Loader], state: dict[str, Any], position: int) -> float:
    """Return seconds from a new Loader to its first batch at a position."""
    started = time.perf_counter()
    with make() as loader:
        loader.load_state_dict(state | {"position": position})
        next(iter(loader))
        return since(started)
