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
from fastpack.files.sizes import parse_size
from fastpack.reading.block_order import BlockOrder
from fastpack.reading.permutation import (
    PARTS,
    SHUFFLE,
    EpochKeys,
    Numbers,
    permuted,
    permuted_within,
)
from fastpack.reading.picks import Order, Picks

# Blocks of a window: each batch of 256 then has as many classes as in a whole shuffle, also where
# files are sorted by class. Windows of 8 MiB blocks take 2 GiB.
_WINDOW_BLOCKS = 256


class Table(Protocol):
    """The parts of a dataset that an order needs; a Reader has them."""

    @property
    def columns(self) -> Mapping[str, Any]: ...
    @property
    def part_sizes(self) -> tuple[int, ...]: ...
    @property
    def mean_bytes(self) -> float:
        """Mean stored bytes of a sample."""
        ...

    def class_cache(self, column: str) -> tuple[Path | None, str]:
        """Return the file that keeps the samples sorted by a column, if any, and its key."""
        ...

    def __len__(self) -> int: ...


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

    Three ways, from the most random to the fewest reads:

    - `Shuffle(seed)` permutes the whole dataset.
    - `Shuffle(seed, window=4096)` is for slow disks. Runs of neighbors from all over the dataset
      come in random order. They are shuffled `window` samples at a time, so these samples are in
      few places of the files. The next sample is of the same run with probability
      (run - 1) / (window - 1): 1 in 65 for window=4096.
    - `Shuffle(seed, block="8MiB", window=256)` is for object stores. Blocks of neighbors come in
      random order, and `window` of them are shuffled together. All samples of a block come in one
      window, so a block is one request. Each `window` positions have one sample of each block.

    Positions in the epoch are uniform in all of them. On average, a position is a third of the
    dataset away from its sample's number. In each epoch, runs and blocks start elsewhere.

    Args:
        seed: 0 <= seed < 2**64.
        window: samples that are shuffled together; with `block`, the highest number of blocks that
            are. None permutes the whole dataset; with `block`, it is 256 blocks. The ranks of a
            job share a window: with `block`, each reads window / world blocks of it, and keeps
            twice as many in memory.
        run: neighbors that stay in one window. None is the square root of the window, rounded
            down.
        block: bytes of a block, as a number or as text such as "8MiB". It is a number of
            neighbors: the bytes divided by the mean bytes of a stored sample.

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
    block: int | str | None = None

    def __post_init__(self) -> None:
        window = checks.optional_integer("window", self.window, 1)
        block = None if self.block is None else _block_bytes(self.block)
        if self.run is not None and block is not None:
            raise OptionError("block is the length of a run; leave run out")
        if self.run is not None and window is None:
            raise OptionError("run needs a window; give a window, or leave run out")
        if block is not None and window is None:
            window = _WINDOW_BLOCKS
        run = checks.optional_integer("run", self.run, 1, window)
        seed = checks.seed("seed", self.seed)
        checks.settle(self, seed=seed, window=window, run=run, block=block)

    def order(self, table: Table) -> "_Permutation | _Windows | BlockOrder":
        """Return the order for a dataset."""
        if self.block is not None and self.window is not None and len(table):
            block = max(1, int(int(self.block) / max(table.mean_bytes, 1)))
            return BlockOrder(len(table), self.seed, block, self.window)
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


def _block_bytes(block: int | str) -> int:
    """Return the bytes of a block, as a number or as text."""
    return checks.integer("block", parse_size(block), 1)


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

    def windows_of(self, positions: Numbers) -> Numbers:
        """Return the number of the window of each position, (n,)."""
        return positions // self._window

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
