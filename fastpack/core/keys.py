"""Keys of samples: their hashes, and keys that occur twice."""

import numpy as np
import numpy.typing as npt

from fastpack._native.order import hash_rows
from fastpack.core import checks
from fastpack.core.ragged import Text


def spread_by_key(keys: Text, seed: int) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) for each key; it depends only on the key and the seed."""
    hashes = np.empty(len(keys), np.uint64)
    hash_rows(keys.values, keys.offsets, checks.seed("seed", seed), hashes)
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53


def repeated_keys(keys: Text) -> list[str]:
    """Return the key of each sample that has the key of an earlier one.

    >>> repeated_keys(Text.of(["a", "b", "a", "a"]))
    ['a', 'a']
    """
    _, which, counts = np.unique(spread_by_key(keys, 0), return_inverse=True, return_counts=True)
    candidates = [keys[row] for row in np.flatnonzero(counts[which] > 1).tolist()]
    seen: set[str] = set()
    repeated = []
    for key in candidates:
        if key in seen:
            repeated.append(key)
        seen.add(key)
    return repeated
