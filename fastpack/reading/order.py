"""Orders: which sample comes at which position of an epoch, as a pure function.

Nothing of the dataset's size is shuffled or stored.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fastpack.core import checks
from fastpack.errors import OptionError
from fastpack.reading.permutation import (
    PARTS,
    SHUFFLE,
    EpochKeys,
    Numbers,
    permuted,
    permuted_within,
)


class Table(Protocol):
    """The parts of a dataset that an order needs; a Reader has them."""

    @property
    def columns(self) -> Mapping[str, Any]: ...
    @property
    def part_sizes(self) -> tuple[int, ...]: ...
    def class_cache(self, column: str) -> tuple[Path | None, str]:
        """Return the file that keeps the samples sorted by a column, if any, and its key."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Picks:
    """The samples at some positions: numbers (n,) and passes (n,), int64.

    The pass counts the earlier deliveries of the sample; in a shuffle it is the epoch. Random
    transforms draw by (sample, pass), so a sample that comes twice in an epoch gets two crops.
    """

    samples: Numbers
    passes: Numbers


class Order(Protocol):
    """A pure function (epoch, position) -> sample."""

    @property
    def num_positions(self) -> int:
        """Positions of an epoch."""
        ...

    def samples_at(self, epoch: int, positions: Numbers) -> Picks:
        """Return the samples at `positions` (n,) of an epoch, each in [0, num_positions)."""
        ...


class Sampler(Protocol):
    """Makes the order for a dataset. A loader's state stores its repr."""

    def order(self, table: Table) -> Order: ...


@dataclass(frozen=True)
class Sequential:
    """The order of the files.

    Example:
        >>> Sequential().order(range(10)).samples_at(0, np.arange(3)).samples.tolist()
        [0, 1, 2]
    """

    def order(self, table: Table) -> "_Sequence":
        """Return the order for a dataset."""
        return _Sequence(len(table))


@dataclass(frozen=True)
class Shuffle:
    """A new random permutation for each epoch, equal for equal seeds on every machine.

    With a window, the next sample is a neighbor from the same run with probability
    (run - 1) / (window - 1): 1 in 65 for window=4096. Positions in the epoch are uniform all the
    same. On average, a position is a third of the dataset away from its sample's number, as in
    a whole permutation. In each epoch, runs start elsewhere.

    Args:
        seed: 0 <= seed < 2**64.
        window: None permutes the whole dataset. On slow disks use a number, such as 4096. Runs of
            neighbors from all over the dataset then come in random order. They are shuffled
            `window` samples at a time, so these samples are in few places of the files.
        run: neighbors that stay in one window. None is the square root of the window, rounded
            down.

    Raises:
        OptionError: an argument has a wrong value.

    Example:
        >>> order = Shuffle(seed=7).order(range(10))
        >>> samples = order.samples_at(0, np.arange(10)).samples
        >>> sorted(samples.tolist()) == list(range(10)), order.positions_of(0, samples).tolist()
        (True, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])

    Reference:
        A cycle-walking Feistel cipher, keyed by Philox of (seed, epoch). Luby and Rackoff, 1988.
        Black and Rogaway, "Ciphers with arbitrary finite domains", 2002.
    """

    seed: int = 0
    window: int | None = None
    run: int | None = None

    def __post_init__(self) -> None:
        window = checks.optional_integer("window", self.window, 1)
        if self.run is not None and window is None:
            raise OptionError("run needs a window; give a window, or leave run out")
        run = checks.optional_integer("run", self.run, 1, window)
        checks.settle(self, seed=checks.seed("seed", self.seed), window=window, run=run)

    def order(self, table: Table) -> "_Permutation | _Windows":
        """Return the order for a dataset."""
        if self.window is None or self.window >= len(table):
            return self.permutation(len(table))
        return _Windows(len(table), self.seed, self.window, self.run or math.isqrt(self.window))

    def permutation(self, num_samples: int) -> "_Permutation":
        """Return a permutation of the whole dataset, without windows."""
        return _Permutation(num_samples, self.seed)


def sampler_of(shuffle: "Sampler | int | None") -> Sampler:
    """Return the sampler for a loader's `shuffle`: None, a bool, a seed, or a sampler."""
    if isinstance(shuffle, (bool, np.bool_)):
        return Shuffle(0) if shuffle else Sequential()
    if shuffle is None:
        return Sequential()
    if hasattr(shuffle, "order") and not isinstance(shuffle, type):
        return shuffle
    if isinstance(shuffle, Integral):
        return Shuffle(shuffle)  # which makes it an int
    raise OptionError(
        "shuffle must be None, True, a seed, or an order such as Shuffle(0), "
        f"not {checks.shown(shuffle)}"
    )


@dataclass(frozen=True, eq=False)
class _Sequence:
    num_positions: int

    def samples_at(self, epoch: int, positions: Numbers) -> Picks:
        return Picks(positions, np.full(len(positions), epoch, np.int64))


class _Permutation:
    def __init__(self, num_samples: int, seed: int) -> None:
        self.num_positions = num_samples
        self._keys = EpochKeys(seed, SHUFFLE)

    def samples_at(self, epoch: int, positions: Numbers) -> Picks:
        return Picks(self._permuted(epoch, positions), np.full(len(positions), epoch, np.int64))

    def positions_of(self, epoch: int, samples: Numbers) -> Numbers:
        """Return the positions of samples: the inverse of `samples_at`."""
        return self._permuted(epoch, samples, back=True)

    def _permuted(self, epoch: int, numbers: Numbers, *, back: bool = False) -> Numbers:
        return permuted(numbers, self.num_positions, self._keys.of(epoch), back=back)


class _Windows:
    """Position -> (shuffled within its window) -> visit -> (run, permuted) -> sample.

    A last run that is short is visited last. A random shift of sample numbers in each epoch makes
    that a different run.
    """

    def __init__(self, num_samples: int, seed: int, window: int, run: int) -> None:
        self.num_positions = num_samples
        self._window, self._run = window, run
        self._keys, self._run_keys = EpochKeys(seed, SHUFFLE), EpochKeys(seed, PARTS)

    def samples_at(self, epoch: int, positions: Numbers) -> Picks:
        visit = self._in_windows(epoch, positions)
        samples = (self._in_runs(epoch, visit) + self._shift(epoch)) % self.num_positions
        return Picks(samples, np.full(len(positions), epoch, np.int64))

    def positions_of(self, epoch: int, samples: Numbers) -> Numbers:
        """Return the positions of samples: the inverse of `samples_at`."""
        visit = self._in_runs(epoch, (samples - self._shift(epoch)) % self.num_positions, back=True)
        return self._in_windows(epoch, visit, back=True)

    def _shift(self, epoch: int) -> int:
        return int(self._keys.of(epoch)[0] % np.uint64(self.num_positions))

    def _in_windows(self, epoch: int, numbers: Numbers, *, back: bool = False) -> Numbers:
        windows, offsets = np.divmod(numbers, self._window)
        sizes = np.minimum(self._window, self.num_positions - windows * self._window)
        return windows * self._window + permuted_within(
            offsets, sizes, windows, self._keys.of(epoch), back=back
        )

    def _in_runs(self, epoch: int, numbers: Numbers, *, back: bool = False) -> Numbers:
        runs, offsets = np.divmod(numbers, self._run)
        num_whole = self.num_positions // self._run
        whole = runs < num_whole
        runs[whole] = permuted(runs[whole], num_whole, self._run_keys.of(epoch), back=back)
        return runs * self._run + offsets
