"""The rival's side of a benchmark: JSON lines from stdin to stdout.

The first line is the task. Each further line requests a run; its figures are the answer.
This module runs in the rival's interpreter and imports only the standard library.
"""

import json
import os
import random
import shutil
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

SMALL_BYTES = 100
_TRIALS = 3
# A BMP of 1 x 11 pixels has 100 bytes with them: the smallest images are still images.
_SMALL_HEADER = struct.pack(
    "<2sIHHIIiiHHIIiiII", b"BM", SMALL_BYTES, 0, 0, 54, 40, 1, 11, 1, 24, 0, 44, 0, 0, 0, 0
)


@dataclass(frozen=True)
class Task:
    """Work for a rival.

    - subject: "train", "eval", "decode", "records", "pixels", "open" or "pack".
    - folder: where to write.
    - paths, labels: JPEG files of the samples; a file may repeat.
    - batch, num_threads, size: samples in a batch; threads or worker processes; pixels of a side.
    - num_small: use this many images of 100 bytes instead of JPEGs.
    - variant: one of several ways of a rival.
    - is_fresh: the first run counts; each run has a new process.
    """

    subject: str
    folder: str
    paths: list[str]
    labels: list[int]
    batch: int
    num_threads: int
    size: int
    num_small: int = 0
    variant: str = ""
    is_fresh: bool = False

    def __len__(self) -> int:
        return self.num_small or len(self.paths)

    def file(self, name: str) -> str:
        return str(Path(self.folder) / name)

    def fresh_folder(self, name: str) -> str:
        folder = Path(self.folder) / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return str(folder)

    def samples(self) -> Iterator[tuple[bytes, int]]:
        for i in range(self.num_small):
            yield _SMALL_HEADER + i.to_bytes(4, "big") * 11 + bytes(2), i
        for path, label in zip(self.paths, self.labels, strict=True):
            with open(path, "rb") as file:
                yield file.read(), label


class Amount(NamedTuple):
    """Samples and bytes that a run delivered. Less than the task's is an error."""

    num_samples: int = 0
    num_bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":  # type: ignore[override]
        return Amount(self.num_samples + other.num_samples, self.num_bytes + other.num_bytes)


def shuffled(task: Task) -> list[list[int]]:
    """Return the numbers of all samples in random order, in batches."""
    order = random.sample(range(len(task)), len(task))
    return [order[first : first + task.batch] for first in range(0, len(order), task.batch)]


@dataclass(frozen=True)
class Workload:
    """`run` is timed; `before` and `after` are not."""

    run: Callable[[], Amount]
    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None

    def timed(self) -> tuple[float, Amount]:
        self.before()
        started = time.perf_counter()
        amount = self.run()
        seconds = time.perf_counter() - started
        self.after()
        return seconds, amount


def count_pixels(batches: Iterable[Any], size: int) -> Amount:
    """Read a byte of each page of every numpy or torch batch, and check its shape."""
    amount = Amount()
    for batch in batches:
        if tuple(batch.shape[1:]) not in ((size, size, 3), (3, size, size)) or not str(
            batch.dtype
        ).endswith("uint8"):
            raise SystemExit(
                f"a batch is {batch.dtype} {tuple(batch.shape)}, not uint8 of {size} x {size}"
            )
        batch.reshape(-1)[::4096].sum()
        amount += Amount(batch.shape[0], batch.nbytes)
    return amount


def count_bytes(batches: Iterable[Iterable[bytes]]) -> Amount:
    """Count the bytes of batches of records, which are `bytes` in memory."""
    amount = Amount()
    for batch in batches:
        lengths = [len(record) for record in batch]
        amount += Amount(len(lengths), sum(lengths))
    return amount


def reading(task: Task, read: Callable[[list[int]], Iterable[bytes]]) -> Workload:
    """Read all records in random batches, in one thread or several, whichever is faster.

    A rival that holds the GIL is slower in several threads.
    """

    def alone() -> Amount:
        return count_bytes(map(read, shuffled(task)))

    def threaded() -> Amount:
        with ThreadPoolExecutor(task.num_threads) as pool:
            return count_bytes(pool.map(read, shuffled(task)))

    return min(
        (Workload(alone), Workload(threaded)),
        key=lambda workload: min(workload.timed()[0] for _ in range(_TRIALS)),
    )


def written(task: Task, folder: str) -> Amount:
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return Amount(len(task), sum(path.stat().st_size for path in files))


def packing(task: Task, write: Callable[[str], object]) -> Workload:
    """Return a workload that writes to an empty folder."""

    def run() -> Amount:
        write(task.file("packed"))
        return written(task, task.file("packed"))

    return Workload(
        run, before=lambda: task.fresh_folder("packed"), after=lambda: task.fresh_folder("packed")
    )


def serve(
    version: str | Callable[[str], str], subjects: Mapping[str, Callable[[Task], Workload]]
) -> None:
    """Answer requests until the input ends.

    The first run fills caches and is not counted, unless each run has a new process.


    - version: of the rival, or a function from variant to version.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print to stdout
    task = Task(**json.loads(sys.stdin.readline()))
    workload = subjects[task.subject](task)
    if not task.is_fresh:
        workload.timed()
    print(
        json.dumps({"version": version if isinstance(version, str) else version(task.variant)}),
        file=answers,
        flush=True,
    )
    for _ in sys.stdin:
        seconds, amount = workload.timed()
        print(json.dumps({"seconds": seconds, **amount._asdict()}), file=answers, flush=True)
