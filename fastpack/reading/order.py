"""Order: which sample comes at which position of an epoch, as a pure function. Nothing of the dataset's size is shuffled or stored."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastpack._native.order import NUM_KEYS, permute, permute_within
from fastpack.core import checks
from fastpack.core.rng import philox
from fastpack.errors import OptionError

Numbers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

# Which random numbers are whose: the last word of Philox's counter, far from those that transforms count there.
_SHUFFLE, _PARTS, _MEMBERS, _SPLIT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC


class Table(Protocol):
    """What an order must know of a dataset; a Reader is one."""

    @property
    def columns(self) -> Mapping[str, Any]: ...
    @property
    def part_sizes(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Picks:
    """What comes at some positions: sample numbers (n,) and passes (n,), int64.

    The pass counts how often the sample came before (in a shuffle, it is the epoch): random transforms draw by
    (sample, pass), so a sample that comes twice in an epoch gets two crops.
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
        """What comes at `positions` (n,) of an epoch, each in [0, num_positions)."""
        ...


class Sampler(Protocol):
    """Makes the order for a dataset. Its repr says which order it is: a loader's state keeps that."""

    def order(self, table: Table) -> Order: ...


@dataclass(frozen=True)
class Sequential:
    """As the files have it.

    >>> Sequential().order(range(10)).samples_at(0, np.arange(3)).samples.tolist()
    [0, 1, 2]
    """

    def order(self, table: Table) -> "_Sequence":
        return _Sequence(len(table))


@dataclass(frozen=True)
class Shuffle:
    """Each epoch a random permutation of its own, the same for the same seed, on every machine.

    - seed: 0 <= seed < 2**64.
    - window: None permutes the whole dataset. A number is for disks that read at random slowly: runs of neighbours
      are visited in random order, and `window` samples at a time, runs from all over the dataset, are shuffled
      among one another. What is read at one time then lies in few places.
    - run: neighbours that stay in one window; by default the square root of the window, rounded down.

    With a window, the next sample is a neighbour from the same run with probability (run - 1) / (window - 1):
    1 in 65 for window=4096. Where a sample comes in the epoch is even all the same: in the mean its position is a
    third of the dataset away from its number, as in a whole permutation. Runs begin elsewhere in each epoch.

    The permutation is a cycle-walking Feistel cipher (Luby and Rackoff, 1988; Black and Rogaway, "Ciphers with
    arbitrary finite domains", 2002), keyed by Philox of (seed, epoch).

    >>> order = Shuffle(seed=7).order(range(10))
    >>> samples = order.samples_at(0, np.arange(10)).samples
    >>> sorted(samples.tolist()) == list(range(10)), order.positions_of(0, samples).tolist()
    (True, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """

    seed: int = 0
    window: int | None = None
    run: int | None = None

    def __post_init__(self) -> None:
        window = checks.optional_integer("window", self.window, 1)
        if self.run is not None and window is None:
            raise OptionError("run is for a window; give a window, or leave run out")
        run = checks.optional_integer("run", self.run, 1, window)
        checks.settle(self, seed=checks.seed("seed", self.seed), window=window, run=run)

    def order(self, table: Table) -> "_Permutation | _Windows":
        if self.window is None or self.window >= len(table):
            return self.permutation(len(table))
        return _Windows(len(table), self.seed, self.window, self.run or math.isqrt(self.window))

    def permutation(self, num_samples: int) -> "_Permutation":
        """Of as many samples, whatever the window."""
        return _Permutation(num_samples, self.seed)


def sampler_of(shuffle: "Sampler | int | None") -> Sampler:
    """What a loader's `shuffle` means: None or False, True, a seed, or an ordering as it is."""
    if isinstance(shuffle, (bool, np.bool_)):
        return Shuffle(0) if shuffle else Sequential()
    if shuffle is None:
        return Sequential()
    if hasattr(shuffle, "order") and not isinstance(shuffle, type):
        return shuffle
    if isinstance(shuffle, Integral):
        return Shuffle(shuffle)  # an int, once made
    raise OptionError(
        f"shuffle must be None, True, a seed, or an ordering such as Shuffle(0), not {checks.shown(shuffle)}"
    )


@dataclass(frozen=True, eq=False)
class _Sequence:
    num_positions: int

    def samples_at(self, epoch: int, positions: Numbers) -> Picks:
        return Picks(positions, np.full(len(positions), epoch, np.int64))


class _Permutation:
    def __init__(self, num_samples: int, seed: int) -> None:
        self.num_positions = num_samples
        self._keys = _EpochKeys(seed, _SHUFFLE)

    def samples_at(self, epoch: int, positions: Numbers) -> Picks:
        return Picks(self._permuted(epoch, positions), np.full(len(positions), epoch, np.int64))

    def positions_of(self, epoch: int, samples: Numbers) -> Numbers:
        """Where in the epoch the samples come: the inverse of `samples_at`."""
        return self._permuted(epoch, samples, back=True)

    def _permuted(self, epoch: int, numbers: Numbers, *, back: bool = False) -> Numbers:
        return _permuted(numbers, self.num_positions, self._keys.of(epoch), back=back)


class _Windows:
    """Position -> (shuffled within its window) -> place in the order of visit -> (run, permuted) -> sample.

    A last run that is short is visited last. So that it is not always the same samples' fate, sample numbers
    are turned around by a random shift in each epoch.
    """

    def __init__(self, num_samples: int, seed: int, window: int, run: int) -> None:
        self.num_positions = num_samples
        self._window, self._run = window, run
        self._keys, self._run_keys = _EpochKeys(seed, _SHUFFLE), _EpochKeys(seed, _PARTS)

    def samples_at(self, epoch: int, positions: Numbers) -> Picks:
        visit = self._in_windows(epoch, positions)
        samples = (self._in_runs(epoch, visit) + self._shift(epoch)) % self.num_positions
        return Picks(samples, np.full(len(positions), epoch, np.int64))

    def positions_of(self, epoch: int, samples: Numbers) -> Numbers:
        """Where in the epoch the samples come: the inverse of `samples_at`."""
        visit = self._in_runs(epoch, (samples - self._shift(epoch)) % self.num_positions, back=True)
        return self._in_windows(epoch, visit, back=True)

    def _shift(self, epoch: int) -> int:
        return int(self._keys.of(epoch)[0] % np.uint64(self.num_positions))

    def _in_windows(self, epoch: int, numbers: Numbers, *, back: bool = False) -> Numbers:
        windows, places = np.divmod(numbers, self._window)
        sizes = np.minimum(self._window, self.num_positions - windows * self._window)
        return windows * self._window + _permuted_within(
            places, sizes, windows, self._keys.of(epoch), back=back
        )

    def _in_runs(self, epoch: int, numbers: Numbers, *, back: bool = False) -> Numbers:
        runs, places = np.divmod(numbers, self._run)
        num_whole = self.num_positions // self._run
        whole = runs < num_whole
        runs[whole] = _permuted(runs[whole], num_whole, self._run_keys.of(epoch), back=back)
        return runs * self._run + places


class _EpochKeys:
    """The keys of one epoch after the other: making them costs more than permuting a batch."""

    def __init__(self, seed: int, purpose: int) -> None:
        self._seed, self._purpose = seed, purpose
        self._latest: tuple[int, Keys] = (-1, np.zeros(0, np.uint64))

    def of(self, epoch: int) -> Keys:
        known, keys = self._latest
        if known != epoch:
            keys = _keys(self._seed, epoch, self._purpose)
            self._latest = epoch, keys  # one tuple: another thread sees both or neither
        return keys


def _keys(seed: int, epoch: int, purpose: int) -> Keys:
    number = np.arange(NUM_KEYS, dtype=np.uint64)
    counter = [
        number,
        np.zeros_like(number),
        np.full_like(number, epoch),
        np.full_like(number, purpose),
    ]
    a, b, _, _ = philox(counter, seed)
    return a << np.uint64(32) | b


def _permuted(numbers: Numbers, size: int, keys: Keys, *, back: bool = False) -> Numbers:
    out = np.empty(len(numbers), np.int64)
    permute(np.ascontiguousarray(numbers), size, keys, out, back=back)
    return out


def _permuted_within(
    numbers: Numbers, sizes: Numbers, tweaks: Numbers, keys: Keys, *, back: bool = False
) -> Numbers:
    out = np.empty(len(numbers), np.int64)
    permute_within(np.ascontiguousarray(numbers), sizes, tweaks, keys, out, back=back)
    return out
