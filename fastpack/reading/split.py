"""Splits samples into parts by key or by number."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.core.keys import spread_by_key
from fastpack.core.ragged import Text
from fastpack.errors import OptionError
from fastpack.reading.permutation import SPLIT, Numbers, keys_of, permuted


def parts_of(numbers: npt.NDArray[np.float64], fractions: Mapping[str, float]) -> Numbers:
    """Return the number of each sample's part, from its number in [0, 1).

    Fractions that sum to less than 1 leave samples in one more part.

    >>> parts_of(np.array([0.0, 0.5, 0.95]), {"train": 0.9, "val": 0.1}).tolist()
    [0, 0, 1]
    """
    given = checks.mapping("fractions", fractions, '{"train": 0.9, "val": 0.1}')
    sizes = [checks.number(f"fractions: {name!r}", size, 0) for name, size in given.items()]
    ends = np.cumsum(sizes)
    if not sizes or min(sizes) == 0 or not ends[-1] <= 1 + 1e-9:
        raise OptionError(
            f"fractions must be positive and at most 1 together, not {dict(fractions)}"
        )
    return np.searchsorted(ends, numbers, side="right")


def spread(keys: object, size: int, by: str, seed: int) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) for each of `size` samples; `keys` is their column or None."""
    if by == "index":
        return spread_by_number(size, seed)
    if by == "key" and isinstance(keys, Text):
        return spread_by_key(keys, seed)
    if by == "key":
        raise OptionError('split by="index": the samples have no keys')
    raise OptionError(f'split by="index" or by="key", not by={by!r}')


def spread_by_number(size: int, seed: int) -> npt.NDArray[np.float64]:
    """Return a number in (0, 1) for each of `size` samples: random order, even spacing."""
    keys = keys_of(checks.seed("seed", seed), 0, SPLIT)
    return (permuted(np.arange(size), size, keys) + 0.5) / max(1, size)
