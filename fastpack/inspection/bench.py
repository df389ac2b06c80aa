"""bench: measures reading, decoding and loading with one thread and with more."""

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
from fastpack.images.crops import RandomResizedCrop
from fastpack.images.transforms import HorizontalFlip
from fastpack.inspection.doctor import Diagnosis, doctor, sampled, timed
from fastpack.loading.loader import Loader
from fastpack.reading.reader import Reader

_ROUNDS = 3
_BATCH_SAMPLES = 64
# Called with seconds to work for, approximately; returns the seconds taken and samples done.
Work = Callable[[float], tuple[float, int]]


@dataclass(frozen=True)
class Speed:
    """Samples per second of one kind of work with a number of threads.

    Args:
        name: "records" (as stored), "decode" (whole images), "train" (random crops, flipped or
            not) or "loader" (random crops in shuffled, prefetched batches).
        num_workers: threads.
        samples_per_second: median of the rounds.
        slowest: samples per second of the slowest round.
        fastest: samples per second of the fastest round.
    """

    name: str
    num_workers: int
    samples_per_second: float
    slowest: float
    fastest: float


@dataclass(frozen=True)
class Benchmark:
    """Result of `bench`.

    Args:
        num_samples: images of the whole dataset.
        num_bytes: their stored bytes.
        size: height and width of the crops of "train" and "loader", in pixels.
        speeds: speeds from memory, without the disk.
        diagnosis: the slowest stage, with the disk, for the same crops and all cores.
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
    """Measure reading, decoding and loading with one thread and with more.

    Rounds alternate between all kinds of work, so that other processes slow all of them alike.

    Args:
        dataset: the dataset. Its options apply, except transform, decode and num_workers.
        size: height and width of the random crops, in pixels.
        num_workers: numbers of threads; None means 1, 2, 4 ... and one for each core.
        seconds: approximate time for each figure, and for each stage of the diagnosis.
        seed: chooses the samples and their order.

    Raises:
        EmptySourceError: there are no samples.
        OptionError: an option has a bad value.
        FastpackError: a file is damaged.

    Example:
        >>> import fastpack
        >>> dataset = fastpack.open(getfixture("digits"))
        >>> result = bench(dataset, size=8, num_workers=[1], seconds=0.01)
        >>> [speed.name for speed in result.speeds]
        ['records', 'decode', 'train', 'loader']
    """
    if len(dataset) == 0:
        raise EmptySourceError("there are no samples to measure")
    counts = (
        [*dict.fromkeys(num_workers)] if num_workers is not None else _thread_counts(num_cores())
    )
    if seconds <= 0 or not counts or min(counts) < 1:
        raise OptionError("seconds must be positive, and num_workers at least 1")
    dataset = dataset.with_one_depth()
    training = dataset.with_options(
        decode=True, transform=(RandomResizedCrop(size), HorizontalFlip()), num_workers=max(counts)
    )
    diagnosis = doctor(training, num_workers=max(counts), seconds=seconds, seed=seed)
    rows = sampled(dataset, seed)
    works = {
        (name, count): work
        for count in counts
        for name, work in _works(dataset, training, rows, count)
    }
    return Benchmark(
        len(dataset),
        dataset.stored_bytes,
        size,
        tuple(_alternate(works, seconds / _ROUNDS)),
        diagnosis,
    )


def _thread_counts(cores: int) -> list[int]:
    return sorted({*(2**i for i in range(cores.bit_length())), cores} - {2 ** cores.bit_length()})


def _works(dataset: Reader, training: Reader, rows: Rows, count: int) -> Iterator[tuple[str, Work]]:
    plain = dataset.with_options(decode=False, transform=None, num_workers=count)
    yield "records", partial(_read, plain, rows)
    image_field = dataset.schema.image_field
    if image_field is None:
        return
    if image_field.kind == "image":
        yield "decode", partial(_read, plain.with_options(decode=True), rows)
    yield "train", partial(_read, training.with_options(num_workers=count), rows)
    yield "loader", _Epochs(training.with_options(num_workers=count), rows)


def _read(reader: Reader, rows: Rows, seconds: float) -> tuple[float, int]:
    took, done = timed(reader.read, rows, seconds)
    return took, len(done)


class _Epochs:
    """Whole epochs of a Loader, so that no prefetched batch is wasted.

    The first epoch, of one batch, decides how many samples later ones have.
    """

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


def _alternate(works: dict[tuple[str, int], Work], seconds: float) -> Iterator[Speed]:
    """Do all work once, to warm caches; then A B C, A B C and so on."""
    for work in works.values():
        work(seconds)
    rates: dict[tuple[str, int], list[float]] = {key: [] for key in works}
    for _ in range(_ROUNDS):
        for key, work in works.items():
            took, count = work(seconds)
            rates[key].append(count / max(took, 1e-9))
    for (name, count), found in rates.items():
        yield Speed(name, count, statistics.median(found), min(found), max(found))
