"""Orders that draw classes or datasets by weight."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from fastpack.core import checks
from fastpack.errors import OptionError
from fastpack.reading.class_order import ClassOrder
from fastpack.reading.order import Table
from fastpack.reading.permutation import MEMBERS, PARTS, Numbers, keys_of, permuted_within
from fastpack.reading.picks import Picks

# Weights that are not integers are rounded to this many parts of a whole.
_MIX_BLOCK = 10_000


@dataclass(frozen=True)
class Balanced:
    """All classes equally often.

    Each aligned block of as many positions as there are classes has each class once. The samples
    of a class come in random order, all of them before one is repeated, across epochs.

    Args:
        seed: 0 <= seed < 2**64.
        column: the name of the column with the class.
        num_samples: positions of an epoch. None is the number of samples.

    Raises:
        OptionError: an argument has a wrong value, or the dataset lacks the column.

    Example:
        >>> import fastpack
        >>> dataset = fastpack.open(getfixture("digits"))[:3]
        >>> loader = fastpack.Loader(dataset, batch_size=3, shuffle=Balanced(num_samples=6))
        >>> [sorted(batch["label"].tolist()) for batch in loader]
        [[0, 1, 2], [0, 1, 2]]
    """

    seed: int = 0
    column: str = "label"
    num_samples: int | None = None

    def __post_init__(self) -> None:
        checks.instance("column", self.column, str, "the name of a column")
        _settle_seed_and_num_samples(self)

    def order(self, table: Table) -> "_Mixture":
        """Return the order for a dataset."""
        if self.column not in table.columns:
            columns = ", ".join(table.columns)
            raise OptionError(
                f"there is no column {self.column!r} to balance by; the columns are {columns}"
            )
        path, key = table.class_cache(self.column)
        classes = ClassOrder.of(table.columns[self.column], len(table), path, key=key)
        quotas = np.ones(len(classes.sizes), np.int64)
        return _Mixture(self.num_samples or len(table), self.seed, classes.sizes, quotas, classes)


@dataclass(frozen=True)
class Mix:
    """The datasets that `concat` joined, by weight instead of by size.

    The samples of a dataset come in random order, all of them before one is repeated, across
    epochs.

    Args:
        weights: one for each dataset, not negative. Integers are exact: (7, 3) means 7 and 3 of
            each aligned block of 10 positions. Others are rounded to one part in 10,000.
        seed: 0 <= seed < 2**64.
        num_samples: positions of an epoch. None is the number of all samples.

    Raises:
        OptionError: the weights are wrong, or do not fit the datasets.

    Example:
        >>> import fastpack
        >>> dataset = fastpack.open(getfixture("digits"))
        >>> both = fastpack.concat([dataset[:5], dataset[5:]])
        >>> loader = fastpack.Loader(both, batch_size=4, shuffle=Mix((3, 1)), drop_last=True)
        >>> [int((batch["label"] < 5).sum()) for batch in loader]
        [3, 3]
    """

    weights: Sequence[float]
    seed: int = 0
    num_samples: int | None = None

    def __post_init__(self) -> None:
        _settle_seed_and_num_samples(self)
        weights = checks.numbers("weights", self.weights, 0)
        if not sum(weights) > 0:
            shown = checks.shown(self.weights)
            raise OptionError(f"one of the weights must be positive, not {shown}")
        if all(isinstance(weight, Integral) for weight in self.weights):
            checks.settle(self, weights=tuple(map(int, self.weights)))
        else:
            checks.settle(self, weights=weights)

    def order(self, table: Table) -> "_Mixture":
        """Return the order for a dataset."""
        sizes = np.array(table.part_sizes, np.int64)
        if len(sizes) != len(self.weights):
            raise OptionError(
                f"{len(self.weights)} weights do not fit {len(sizes)} datasets; "
                "join datasets with concat, and give each a weight"
            )
        quotas = _quotas(self.weights)
        is_missing = (sizes == 0) & (quotas > 0)
        if is_missing.any():
            raise OptionError(
                f"dataset {int(np.argmax(is_missing))} is empty; give it the weight 0"
            )
        return _Mixture(self.num_samples or len(table), self.seed, sizes, quotas)


class _Mixture:
    """Parts by quota: each block of sum(quotas) positions has quotas[i] random ones of part i.

    - sizes, quotas (k,): samples of each part, and positions of each in a block.
    - members: the samples, part after part; None is 0, 1, 2 ...
    """

    def __init__(
        self,
        num_positions: int,
        seed: int,
        sizes: Numbers,
        quotas: Numbers,
        members: ClassOrder | None = None,
    ) -> None:
        self.num_positions = num_positions
        self._sizes, self._quotas, self._members = sizes, quotas, members
        self._first_samples = np.cumsum(sizes) - sizes
        self._quota_ends = np.cumsum(quotas)
        self._part_keys = keys_of(seed, 0, PARTS)
        self._member_keys = keys_of(seed, 0, MEMBERS)

    def samples_at(self, epoch: int, positions: Numbers) -> Picks:
        """Cut an endless stream into epochs, so that no sample repeats before its part ends."""
        block_size = int(self._quota_ends[-1])
        blocks, offsets = np.divmod(epoch * self.num_positions + positions, block_size)
        block_sizes = np.full(len(offsets), block_size)
        slots = permuted_within(offsets, block_sizes, blocks, self._part_keys)
        parts = np.searchsorted(self._quota_ends, slots, side="right")
        quotas, sizes = self._quotas[parts], self._sizes[parts]
        nth = blocks * quotas + slots - (self._quota_ends[parts] - quotas)
        passes, offsets = np.divmod(nth, sizes)
        tweaks = passes * len(self._sizes) + parts
        places = permuted_within(offsets, sizes, tweaks, self._member_keys)
        numbers = self._first_samples[parts] + places
        if self._members is not None:
            numbers = self._members.members_at(numbers)
        return Picks(numbers, passes)


def _quotas(weights: Sequence[float]) -> Numbers:
    """Return the positions of each part in a block; fractions by the largest remainder."""
    if all(isinstance(weight, int) for weight in weights):
        return np.array(weights, np.int64)
    exact = np.array(weights, np.float64) / sum(weights) * _MIX_BLOCK
    quotas = np.floor(exact).astype(np.int64)
    quotas[np.argsort(quotas - exact, kind="stable")[: _MIX_BLOCK - quotas.sum()]] += 1
    if ((quotas == 0) & (exact > 0)).any():
        raise OptionError(
            f"a weight is less than one part in {_MIX_BLOCK} of all; "
            "leave the dataset out, or give integers"
        )
    return quotas


def _settle_seed_and_num_samples(sampler: "Balanced | Mix") -> None:
    num_samples = checks.optional_integer("num_samples", sampler.num_samples, 1)
    checks.settle(sampler, seed=checks.seed("seed", sampler.seed), num_samples=num_samples)
