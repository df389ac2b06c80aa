"""A rival's side of a contest. One line in says what to do; then each line in is a turn, and each line out its figures.

This runs in the rival's interpreter and imports the standard library alone.
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
# A BMP of 1 x 11 pixels, which with them has 100 bytes: the smallest images are images too.
_SMALL_HEADER = struct.pack(
    "<2sIHHIIiiHHIIiiII", b"BM", SMALL_BYTES, 0, 0, 54, 40, 1, 11, 1, 24, 0, 44, 0, 0, 0, 0
)


@dataclass(frozen=True)
class Task:
    """What to do.

    - subject: "train", "eval", "decode", "records", "pixels", "open" or "pack".
    - folder: where to write.
    - paths, labels: the samples' JPEGs; a file may come more than once.
    - batch, num_threads, size: samples a batch, threads or worker processes, pixels a side.
    - num_small: so many images of 100 bytes, instead of JPEGs.
    - variant: how, where a rival has several ways.
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
    """What a turn delivered, so that nobody wins by doing less."""

    num_samples: int = 0
    num_bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":  # type: ignore[override]
        return Amount(self.num_samples + other.num_samples, self.num_bytes + other.num_bytes)


def shuffled(task: Task) -> list[list[int]]:
    """The numbers of all samples, each once, in batches."""
    order = random.sample(range(len(task)), len(task))
    return [order[first : first + task.batch] for first in range(0, len(order), task.batch)]


@dataclass(frozen=True)
class Turn:
    """`run` is timed; what `before` and `after` do around it is not."""

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


def seen_pixels(batches: Iterable[Any], size: int) -> Amount:
    """Looks at a byte of each page of every batch, numpy or torch, and checks its shape."""
    amount = Amount()
    for batch in batches:
        if tuple(batch.shape[1:]) not in ((size, size, 3), (3, size, size)) or not str(
            batch.dtype
        ).endswith("uint8"):
            raise SystemExit(
                f"a batch of {batch.dtype} {tuple(batch.shape)}: uint8 of {size} x {size} was wanted"
            )
        batch.reshape(-1)[::4096].sum()
        amount += Amount(batch.shape[0], batch.nbytes)
    return amount


def seen_bytes(batches: Iterable[Iterable[bytes]]) -> Amount:
    """Counts the bytes of batches of records that lie in memory as `bytes`."""
    amount = Amount()
    for batch in batches:
        lengths = [len(record) for record in batch]
        amount += Amount(len(lengths), sum(lengths))
    return amount


def reading(task: Task, read: Callable[[list[int]], Iterable[bytes]]) -> Turn:
    """All records in random batches, by one thread or by several: whichever is quicker here, as the GIL may be in the way."""

    def alone() -> Amount:
        return seen_bytes(map(read, shuffled(task)))

    def threaded() -> Amount:
        with ThreadPoolExecutor(task.num_threads) as pool:
            return seen_bytes(pool.map(read, shuffled(task)))

    return min(
        (Turn(alone), Turn(threaded)), key=lambda turn: min(turn.timed()[0] for _ in range(_TRIALS))
    )


def written(task: Task, folder: str) -> Amount:
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return Amount(len(task), sum(path.stat().st_size for path in files))


def packing(task: Task, write: Callable[[str], object]) -> Turn:
    """A turn of writing to an empty folder."""

    def run() -> Amount:
        write(task.file("packed"))
        return written(task, task.file("packed"))

    return Turn(
        run, before=lambda: task.fresh_folder("packed"), after=lambda: task.fresh_folder("packed")
    )


def serve(
    version: str | Callable[[str], str], subjects: Mapping[str, Callable[[Task], Turn]]
) -> None:
    """Takes turns until there are no more lines. The first, which fills caches and compiles, counts for nothing.

    - version: of what runs; or a function of the task's variant that tells it.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like
    task = Task(**json.loads(sys.stdin.readline()))
    turn = subjects[task.subject](task)
    turn.timed()
    print(
        json.dumps({"version": version if isinstance(version, str) else version(task.variant)}),
        file=answers,
        flush=True,
    )
    for _ in sys.stdin:
        seconds, amount = turn.timed()
        print(json.dumps({"seconds": seconds, **amount._asdict()}), file=answers, flush=True)
