"""bench: how fast a dataset is read, decoded and loaded on this machine, with one thread and with more, and what binds."""

import dataclasses
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from fastpack.core.dtypes import Rows
from fastpack.core.threads import num_cores
from fastpack.errors import EmptySourceError, OptionError
from fastpack.images.transforms import HorizontalFlip, RandomResizedCrop
from fastpack.inspection.doctor import Diagnosis, doctor, sampled, timed
from fastpack.loading.loader import Loader
from fastpack.reading.reader import Reader

_ROUNDS = 3
_BATCH_SAMPLES = 64
# Works for about so many seconds; gives those it took, and the samples that it did.
Work = Callable[[float], tuple[float, int]]


@dataclass(frozen=True)
class Speed:
    """How many samples a second, by how many threads.

    - name: "records": as they are stored; "decode": whole images; "train": random crops, flipped or not; "loader": the same
      in shuffled batches that are made ahead.
    - samples_per_second: the median of the rounds; least and most: their extremes.
    """

    name: str
    num_workers: int
    samples_per_second: float
    least: float
    most: float


@dataclass(frozen=True)
class Benchmark:
    """What `bench` measured.

    - num_samples, num_bytes: of the whole dataset's images.
    - size: of the crops that train and loader make, in pixels.
    - speeds: of what was in memory, whatever the disk does; see Speed.
    - diagnosis: what binds, disk included, for the same crops by all cores.
    """

    num_samples: int
    num_bytes: int
    size: int | tuple[int, int]
    speeds: tuple[Speed, ...]
    diagnosis: Diagnosis

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


def bench(
    dataset: Reader,
    *,
    size: int | tuple[int, int] = 224,
    num_workers: Sequence[int] | None = None,
    seconds: float = 0.5,
    seed: int = 0,
) -> Benchmark:
    """Measures reading, decoding and loading with ever more threads, by turns, so that what else runs meanwhile meets all alike.

    - dataset: its samples are read as its options say, but for transform, decode and num_workers.
    - size: height and width of the random crops, in pixels.
    - num_workers: numbers of threads; None is 1, 2, 4 ... and one a core.
    - seconds: for each figure, and for each stage of the diagnosis, about.
    - seed: which samples are taken, and their order.

    Raises EmptySourceError, OptionError, and what damaged files raise.

    >>> import fastpack
    >>> found = bench(fastpack.open(getfixture("digits")), size=8, num_workers=[1], seconds=0.01)
    >>> [speed.name for speed in found.speeds]
    ['records', 'decode', 'train', 'loader']
    """
    if len(dataset) == 0:
        raise EmptySourceError("there are no samples to measure")
    counts = (
        [*dict.fromkeys(num_workers)] if num_workers is not None else _thread_counts(num_cores())
    )
    if seconds <= 0 or not counts or min(counts) < 1:
        raise OptionError("seconds must be positive, and num_workers numbers of at least 1")
    dataset = dataset.with_one_depth()
    training = dataset.with_options(
        decode=True, transform=(RandomResizedCrop(size), HorizontalFlip()), num_workers=max(counts)
    )
    diagnosis = doctor(training, num_workers=max(counts), seconds=seconds, seed=seed)
    rows = sampled(dataset.sizes, seed)
    works = {
        (name, count): work
        for count in counts
        for name, work in _works(dataset, training, rows, count)
    }
    return Benchmark(
        len(dataset),
        int(dataset.sizes.sum()),
        size,
        tuple(_by_turns(works, seconds / _ROUNDS)),
        diagnosis,
    )


def _thread_counts(cores: int) -> list[int]:
    return sorted({*(2**i for i in range(cores.bit_length())), cores} - {2 ** cores.bit_length()})


def _works(dataset: Reader, training: Reader, rows: Rows, count: int) -> Iterator[tuple[str, Work]]:
    yield (
        "records",
        partial(_read, dataset.with_options(decode=False, transform=None, num_workers=count), rows),
    )
    image_field = dataset.schema.image_field
    if image_field is None:
        return
    if image_field.kind == "image":
        yield (
            "decode",
            partial(
                _read, dataset.with_options(decode=True, transform=None, num_workers=count), rows
            ),
        )
    yield "train", partial(_read, training.with_options(num_workers=count), rows)
    yield "loader", _Epochs(training.with_options(num_workers=count), rows)


def _read(reader: Reader, rows: Rows, seconds: float) -> tuple[float, int]:
    took, done = timed(reader.read, rows, seconds)
    return took, len(done)


class _Epochs:
    """Whole epochs, since what is made ahead and not delivered would be work that does not count. The first, of one batch, tells
    how many samples the next may have."""

    def __init__(self, reader: Reader, rows: Rows) -> None:
        self._reader, self._rows = reader, rows
        self._rate = 0.0

    def __call__(self, seconds: float) -> tuple[float, int]:
        count = min(len(self._rows), max(_BATCH_SAMPLES, int(self._rate * seconds)))
        with Loader(
            self._reader.take(self._rows[:count]), batch_size=_BATCH_SAMPLES, shuffle=True
        ) as loader:
            took, _ = timed(
                lambda _: sum(batch.num_samples for batch in loader), np.zeros(1, np.int64), seconds
            )
        self._rate = count / max(took, 1e-9)
        return took, count


def _by_turns(works: dict[tuple[str, int], Work], seconds: float) -> Iterator[Speed]:
    """All once, to bring what is read into memory and to make what is made at first use; then A B C, A B C."""
    for work in works.values():
        work(seconds)
    rates: dict[tuple[str, int], list[float]] = {key: [] for key in works}
    for _ in range(_ROUNDS):
        for key, work in works.items():
            took, count = work(seconds)
            rates[key].append(count / max(took, 1e-9))
    for (name, count), found in rates.items():
        yield Speed(name, count, statistics.median(found), min(found), max(found))
