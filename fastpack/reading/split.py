"""Splits samples into parts by key or by number."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.core.dtypes import Rows
from fastpack.core.keys import spread_by_key
from fastpack.core.ragged import Text
from fastpack.errors import OptionError
from fastpack.reading.permutation import SPLIT, Numbers, keys_of, permuted
from fastpack.reading.selection import MaskCollector, Selection

_BLOCK_ROWS = 2**18  # whose numbers are made at once: 2 MiB

Spread = Callable[[Rows], npt.NDArray[np.float64]]


def selections_of(
    num_rows: int,
    fractions: Mapping[str, float],
    by: str,
    seed: int,
    keys: Callable[[Rows], Text] | None,
) -> dict[str, Selection]:
    """Split the rows of a source; needs a bit a row for each part.

    Args:
        num_rows: rows of the source.
        fractions: sizes of the parts by name; the sum is at most 1.
        by: "index" or "key".
        seed: 0 <= seed < 2**64.
        keys: returns the keys of rows (k,); None if the samples have none.

    Returns:
        The rows of each part, rising.

    Raises:
        OptionError: an option is wrong, or by="key" and there are no keys.

    >>> parts = selections_of(10, {"train": 0.8, "val": 0.1}, "index", 0, None)
    >>> len(parts["train"]), len(parts["val"])
    (8, 1)
    """
    number, ends = _spread(num_rows, by, seed, keys), _ends(fractions)
    collectors = {name: MaskCollector(num_rows) for name in fractions}
    for first in range(0, num_rows, _BLOCK_ROWS):
        numbers = number(np.arange(first, min(first + _BLOCK_ROWS, num_rows)))
        parts = np.searchsorted(ends, numbers, side="right")
        for part, collector in enumerate(collectors.values()):
            collector.add(parts == part)
    return {name: collector.selection() for name, collector in collectors.items()}


def parts_of(numbers: npt.NDArray[np.float64], fractions: Mapping[str, float]) -> Numbers:
    """Return the number of each sample's part, from its number in [0, 1).

    Fractions that sum to less than 1 leave samples in one more part.

    >>> parts_of(np.array([0.0, 0.5, 0.95]), {"train": 0.9, "val": 0.1}).tolist()
    [0, 0, 1]
    """
    return np.searchsorted(_ends(fractions), numbers, side="right")


def _ends(fractions: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Return the number at which each part ends."""
    given = checks.mapping("fractions", fractions, '{"train": 0.9, "val": 0.1}')
    sizes = [checks.number(f"fractions: {name!r}", size, 0) for name, size in given.items()]
    ends = np.cumsum(sizes)
    if not sizes or min(sizes) == 0 or not ends[-1] <= 1 + 1e-9:
        raise OptionError(
            f"fractions must be positive and at most 1 together, not {dict(fractions)}"
        )
    return ends


def spread(keys: object, size: int, by: str, seed: int) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) for each of `size` samples; `keys` is their column or None."""
    column = keys.take if isinstance(keys, Text) else None
    return _spread(size, by, seed, column)(np.arange(size))


def spread_by_number(size: int, seed: int) -> npt.NDArray[np.float64]:
    """Return a number in (0, 1) for each of `size` samples: random order, even spacing."""
    return _spread(size, "index", seed, None)(np.arange(size))


def _spread(size: int, by: str, seed: int, keys: Callable[[Rows], Text] | None) -> Spread:
    """Return the function that gives each row its number in [0, 1)."""
    if by == "index":
        permutation = keys_of(checks.seed("seed", seed), 0, SPLIT)
        return lambda rows: (permuted(rows, size, permutation) + 0.5) / max(1, size)
    if by == "key" and keys is not None:
        checks.seed("seed", seed)
        return lambda rows: spread_by_key(keys(rows), seed)
    if by == "key":
        raise OptionError('split by="index": the samples have no keys')
    raise OptionError(f'split by="index" or by="key", not by={by!r}')
