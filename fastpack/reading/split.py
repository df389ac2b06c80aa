"""Splits samples into parts by key or by number."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.errors import OptionError
from fastpack.reading.mixture import _named
from fastpack.reading.order import _SPLIT, Numbers, _keys, _permuted


def parts_of(spread: npt.NDArray[np.float64], fractions: Mapping[str, float]) -> Numbers:
    """Which part, by number, each sample falls into whose number in [0, 1) is given; what is missing to 1 falls behind the last.

    >>> parts_of(np.array([0.0, 0.5, 0.95]), {"train": 0.9, "val": 0.1}).tolist()
    [0, 0, 1]
    """
    sizes = [
        checks.number(f"fractions: {name!r}", size, 0) for name, size in _named(fractions).items()
    ]
    ends = np.cumsum(sizes)
    if not sizes or min(sizes) == 0 or not ends[-1] <= 1 + 1e-9:
        raise OptionError(
            f"fractions must be positive and at most 1 together, not {dict(fractions)}"
        )
    return np.searchsorted(ends, spread, side="right")


def spread_by_number(size: int, seed: int) -> npt.NDArray[np.float64]:
    """A number in (0, 1) for each of `size` samples: in random order, evenly spaced."""
    seed = checks.seed("seed", seed)
    return (_permuted(np.arange(size), size, _keys(seed, 0, _SPLIT)) + 0.5) / max(1, size)
