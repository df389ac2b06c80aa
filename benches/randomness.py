"""Randomness and cost of the ways to shuffle, at the proportions of ImageNet.

python -m benches.randomness            # tables, about a minute
python -m benches.randomness --samples 128117 --classes 100

The samples are sorted by class, as a packed ImageFolder is. No file is read: the figures are
computed from the orders, and those of requests from the places of generated sizes.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpack import Shuffle
from fastpack.inspection.epoch_cost import EpochCost, cost_of
from fastpack.loading import LoaderOptions
from fastpack.loading.schedule import Schedule, StepPartition
from fastpack.reading import Sequential
from fastpack.stores.ranges import Ranges

_BATCH = 256
_STEPS_TOGETHER = 20  # steps whose classes are counted together
_MAX_STEPS = 200
_MEAN_BYTES = 110_000
_SAMPLES_A_SHARD = 10_000
_CACHE_BLOCK = 2**22

Numbers = npt.NDArray[np.int64]

SHUFFLES = {
    "order of the files": Sequential(),
    "`Shuffle(seed)`": Shuffle(0),
    "`window=4096`": Shuffle(0, window=4096),
    '`block="8MiB", window=16`': Shuffle(0, block="8MiB", window=16),
    '`block="8MiB", window=64`': Shuffle(0, block="8MiB", window=64),
    '`block="8MiB", window=256`': Shuffle(0, block="8MiB", window=256),
    '`block="8MiB", window=1024`': Shuffle(0, block="8MiB", window=1024),
    '`block="8MiB", window=2048`': Shuffle(0, block="8MiB", window=2048),
    '`block="2MiB", window=1024`': Shuffle(0, block="2MiB", window=1024),
    "`window=19456, run=76`": Shuffle(0, window=19_456, run=76),
}


@dataclass(frozen=True)
class Stored:
    """As much of a dataset as an order looks at, and where its samples lie."""

    starts: Numbers
    ends: Numbers
    shards: Numbers

    @classmethod
    def of(cls, num_samples: int) -> "Stored":
        """Take sizes like those of ImageNet: 110 KB on average, with a deviation of 80 KB."""
        sizes = np.random.default_rng(0).lognormal(0, 0.65, num_samples)
        sizes = np.maximum(1, sizes * _MEAN_BYTES / sizes.mean()).astype(np.int64)
        ends, shards = np.cumsum(sizes), np.arange(num_samples) // _SAMPLES_A_SHARD
        firsts = (ends - sizes)[shards * _SAMPLES_A_SHARD]
        return cls(ends - sizes - firsts, ends - firsts, shards)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def mean_bytes(self) -> float:
        return float((self.ends - self.starts).mean())

    def ranges_at(self, rows: Numbers) -> Ranges:
        return Ranges(self.shards[rows], self.starts[rows], self.ends[rows])


@dataclass(frozen=True)
class SampleCount:
    """A dataset of samples of one byte: a block of k bytes is k samples."""

    num_samples: int
    mean_bytes: float = 1

    def __len__(self) -> int:
        return self.num_samples


@dataclass(frozen=True)
class Randomness:
    """How random an epoch is.

    Args:
        displacement: mean distance of a position from its sample's number, as a part of the
            dataset. A whole permutation has 1/3.
        correlations: of a sample's number with the next one, and with the one a batch later.
        entropy: of the classes of a batch, in bits, on average.
        lowest_entropy: of all full batches.
        num_classes: distinct classes in a batch.
        num_classes_later: distinct classes in 20 successive batches.
    """

    displacement: float
    correlations: tuple[float, float]
    entropy: float
    lowest_entropy: float
    num_classes: float
    num_classes_later: float

    @classmethod
    def of(cls, samples: Numbers, classes: Numbers) -> "Randomness":
        size = len(samples)
        entropies = [_entropy(batch) for batch in _batches(classes[samples], _BATCH)]
        return cls(
            float(np.abs(samples - np.arange(size)).mean() / size),
            (_correlation(samples, 1), _correlation(samples, _BATCH)),
            mean_entropy(classes[samples]),
            float(np.min(entropies)),
            _mean_distinct(classes[samples], _BATCH),
            _mean_distinct(classes[samples], _BATCH * _STEPS_TOGETHER),
        )


def _batches(values: Numbers, size: int) -> Iterator[Numbers]:
    return (values[first : first + size] for first in range(0, len(values) - size + 1, size))


def _entropy(batch: Numbers) -> float:
    shares = np.unique(batch, return_counts=True)[1] / len(batch)
    return float((shares * np.log2(1 / shares)).sum())


def mean_entropy(classes: Numbers) -> float:
    """Return the entropy of the classes of a batch, in bits, on average."""
    return float(np.mean([_entropy(batch) for batch in _batches(classes, _BATCH)]))


def _mean_distinct(values: Numbers, size: int) -> float:
    return float(np.mean([len(np.unique(batch)) for batch in _batches(values, size)]))


def _correlation(samples: Numbers, lag: int) -> float:
    return float(np.corrcoef(samples[:-lag], samples[lag:])[0, 1])


def cost(stored: Stored, shuffle: Shuffle | Sequential, world: int = 1) -> list[EpochCost]:
    """Return what each rank asks of a store in an epoch."""
    order = shuffle.order(stored)
    options = [LoaderOptions(_BATCH, rank=rank, world=world) for rank in range(world)]
    partitions = [StepPartition.of(len(stored), each) for each in options]
    ranges_at: Callable[[Numbers], Ranges] = stored.ranges_at
    return [cost_of(Schedule(order, each), ranges_at, len(stored)) for each in partitions]


def print_randomness(stored: Stored, classes: Numbers) -> None:
    columns = "displacement | correlation, next | a batch later | entropy (lowest), bits"
    print(f"| shuffle | {columns} | classes in a batch | in {_STEPS_TOGETHER} batches |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, shuffle in SHUFFLES.items():
        samples = shuffle.order(stored).samples_at(0, np.arange(len(stored))).samples
        found = Randomness.of(samples, classes)
        next_one, later = found.correlations
        print(
            f"| {name} | {found.displacement:.3f} | {next_one:.4f} | {later:.4f} | "
            f"{found.entropy:.2f} ({found.lowest_entropy:.2f}) | {found.num_classes:.0f} | "
            f"{found.num_classes_later:.0f} |",
            flush=True,
        )


def print_ranks(stored: Stored, classes: Numbers, world: int) -> None:
    """Print the class entropy of the batches of ranks, over the first steps."""
    print(f"\n| shuffle, {world} ranks | entropy of a rank's batch, bits | of a step |")
    print("|---|--:|--:|")
    partitions = [StepPartition(len(stored), _BATCH, rank, world, True) for rank in range(world)]
    steps = range(min(_MAX_STEPS, partitions[0].num_steps()))
    for name, shuffle in SHUFFLES.items():
        schedules = [Schedule(shuffle.order(stored), each) for each in partitions]
        batches = [
            [classes[each.samples_at(0, step * each.partition.step_size).samples] for step in steps]
            for each in schedules
        ]
        of_rank = np.mean([_entropy(batch) for of_rank in batches for batch in of_rank])
        of_step = np.mean([_entropy(np.concatenate(step)) for step in zip(*batches, strict=True)])
        print(f"| {name} | {of_rank:.2f} | {of_step:.2f} |", flush=True)


def print_costs(stored: Stored, world: int) -> None:
    print(f"\n| shuffle | requests | GB | USD | window, GB | requests of {world} ranks | GB |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    print(
        f"| image by image | {len(stored):,} | {_bytes_of(stored) / 1e9:.1f} | "
        f"{len(stored) * 4e-7:.3f} | | | |"
    )
    for name, shuffle in SHUFFLES.items():
        (alone,), ranks = cost(stored, shuffle), cost(stored, shuffle, world)
        requests = sum(rank.num_requests for rank in ranks)
        print(
            f"| {name} | {alone.num_requests:,} | {alone.num_bytes / 1e9:.1f} | "
            f"{alone.dollars:.3f} | {alone.window_bytes / 1e9:.2f} | {requests:,} | "
            f"{sum(rank.num_bytes for rank in ranks) / 1e9:.1f} |",
            flush=True,
        )
    blocks = -(-_bytes_of(stored) // _CACHE_BLOCK)
    print(
        f"| cache, first epoch | {blocks:,} | {_bytes_of(stored) / 1e9:.1f} | {blocks * 4e-7:.3f} |"
    )


def _bytes_of(stored: Stored) -> int:
    return int((stored.ends - stored.starts).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_281_167)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--world", type=int, default=8)
    arguments = parser.parse_args()
    stored = Stored.of(arguments.samples)
    classes = np.arange(len(stored)) * arguments.classes // len(stored)
    print_randomness(stored, classes)
    print_ranks(stored, classes, arguments.world)
    print_costs(stored, arguments.world)


if __name__ == "__main__":
    main()
