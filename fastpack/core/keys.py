"""Keys of samples: hashes and repeated ones."""

import numpy as np
import numpy.typing as npt

from fastpack._native.order import hash_rows
from fastpack.core import checks
from fastpack.core.ragged import Text


def spread_by_key(keys: Text, seed: int) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each key, that depends on nothing but the key and the seed."""
    seed, hashes = checks.seed("seed", seed), np.empty(len(keys), np.uint64)
    hash_rows(keys.values, keys.offsets, seed, hashes)
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53


def repeated_keys(keys: Text) -> list[str]:
    """The key of each sample that has the key of an earlier one.

    >>> repeated_keys(Text.of(["a", "b", "a", "a"]))
    ['a', 'a']
    """
    _, which, counts = np.unique(spread_by_key(keys, 0), return_inverse=True, return_counts=True)
    candidates = [keys[row] for row in np.flatnonzero(counts[which] > 1).tolist()]
    seen: set[str] = set()
    return [key for key in candidates if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
