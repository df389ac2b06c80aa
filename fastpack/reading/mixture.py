"""Orders that draw classes or datasets by weight."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from fastpack.core import checks
from fastpack.core.ragged import Text
from fastpack.errors import OptionError
from fastpack.reading.order import _MEMBERS, _PARTS, Numbers, Picks, Table, _keys, _permuted_within

# Weights that are no integers are kept to this many parts of a whole.
_MIX_BLOCK = 10_000


@dataclass(frozen=True)
class Balanced:
    """All classes equally often: among as many neighbours as there are classes, aligned, each class comes once.

    - seed: 0 <= seed < 2**64.
    - column: which column tells the class.
    - num_samples: positions of an epoch; by default as many as there are samples.

    A class's samples come in a random order of their own, all of them before one comes again, across epochs.
    """

    seed: int = 0
    column: str = "label"
    num_samples: int | None = None

    def __post_init__(self) -> None:
        checks.instance("column", self.column, str, "the name of a column")
        _settle_seed_and_num_samples(self)

    def order(self, table: Table) -> "_Mixture":
        if self.column not in table.columns:
            raise OptionError(
                f"there is no column {self.column!r} to balance by; there are {', '.join(table.columns)}"
            )
        column = table.columns[self.column]
        labels = np.array(list(column)) if isinstance(column, Text) else np.asarray(column)
        members = np.argsort(labels, kind="stable").astype(np.int64)
        _, sizes = np.unique(labels, return_counts=True)
        quotas = np.ones(len(sizes), np.int64)
        return _Mixture(
            self.num_samples or len(table), self.seed, sizes.astype(np.int64), quotas, members
        )


@dataclass(frozen=True)
class Mix:
    """The datasets that `concat` joined, by weight rather than by size.

    - weights: one for each, not negative. Integers are kept exactly: (7, 3) means 7 and 3 of each ten neighbours,
      aligned; other numbers to one part in 10,000.
    - seed: 0 <= seed < 2**64.
    - num_samples: positions of an epoch; by default as many as there are samples in all.

    A dataset's samples come in a random order of their own, all of them before one comes again, across epochs.
    """

    weights: Sequence[float]
    seed: int = 0
    num_samples: int | None = None

    def __post_init__(self) -> None:
        _settle_seed_and_num_samples(self)
        weights = checks.numbers("weights", self.weights, 0)
        if not sum(weights) > 0:
            raise OptionError(
                f"one of the weights must be positive, not {checks.shown(self.weights)}"
            )
        if all(isinstance(weight, Integral) for weight in self.weights):
            checks.settle(self, weights=tuple(map(int, self.weights)))
        else:
            checks.settle(self, weights=weights)

    def order(self, table: Table) -> "_Mixture":
        sizes = np.array(table.part_sizes, np.int64)
        if len(sizes) != len(self.weights):
            raise OptionError(
                f"{len(self.weights)} weights do not fit {len(sizes)} datasets; join datasets with concat, give each a weight"
            )
        quotas = _quotas(self.weights)
        if ((sizes == 0) & (quotas > 0)).any():
            raise OptionError(
                f"dataset {int(np.argmax((sizes == 0) & (quotas > 0)))} is empty; give it the weight 0"
            )
        return _Mixture(self.num_samples or len(table), self.seed, sizes, quotas)


class _Mixture:
    """Parts by quota: of each block of sum(quotas) places, part i gets quotas[i], at random ones.

    - sizes, quotas (k,): samples of each part, and places of each in a block.
    - members: sample numbers, part after part; None is 0, 1, 2 ...
    """

    def __init__(
        self,
        num_positions: int,
        seed: int,
        sizes: Numbers,
        quotas: Numbers,
        members: Numbers | None = None,
    ) -> None:
        self.num_positions = num_positions
        self._sizes, self._quotas, self._members = sizes, quotas, members
        self._first_samples = np.cumsum(sizes) - sizes
        self._quota_ends = np.cumsum(quotas)
        self._part_keys, self._member_keys = _keys(seed, 0, _PARTS), _keys(seed, 0, _MEMBERS)

    def samples_at(self, epoch: int, positions: Numbers) -> Picks:
        """Epochs are pieces of one stream without end, so that all of a part comes before anything comes again."""
        block_size = int(self._quota_ends[-1])
        blocks, places = np.divmod(epoch * self.num_positions + positions, block_size)
        slots = _permuted_within(places, np.full(len(places), block_size), blocks, self._part_keys)
        parts = np.searchsorted(self._quota_ends, slots, side="right")
        quotas, sizes = self._quotas[parts], self._sizes[parts]
        nth = blocks * quotas + slots - (self._quota_ends[parts] - quotas)
        passes, places = np.divmod(nth, sizes)
        numbers = self._first_samples[parts] + _permuted_within(
            places, sizes, passes * len(self._sizes) + parts, self._member_keys
        )
        return Picks(numbers if self._members is None else self._members[numbers], passes)


def _quotas(weights: Sequence[float]) -> Numbers:
    """Places of each part in a block; those of fractions by the largest remainder."""
    if all(isinstance(weight, int) for weight in weights):
        return np.array(weights, np.int64)
    exact = np.array(weights, np.float64) / sum(weights) * _MIX_BLOCK
    quotas = np.floor(exact).astype(np.int64)
    quotas[np.argsort(quotas - exact, kind="stable")[: _MIX_BLOCK - quotas.sum()]] += 1
    if ((quotas == 0) & (exact > 0)).any():
        raise OptionError(
            f"a weight is less than one part in {_MIX_BLOCK} of all; leave the dataset out, or give integers"
        )
    return quotas


def _named(fractions: Any) -> dict[str, Any]:
    return checks.mapping("fractions", fractions, '{"train": 0.9, "val": 0.1}')


def _settle_seed_and_num_samples(sampler: "Balanced | Mix") -> None:
    num_samples = checks.optional_integer("num_samples", sampler.num_samples, 1)
    checks.settle(sampler, seed=checks.seed("seed", sampler.seed), num_samples=num_samples)
