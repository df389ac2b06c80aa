"""Keyed permutations of sample numbers, computed for single positions."""

import numpy as np
import numpy.typing as npt

from fastpack._native.order import NUM_KEYS, permute, permute_within
from fastpack.core.rng import philox

Numbers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

# Purposes: the last word of Philox's counter, far from the words that transforms use.
SHUFFLE, PARTS, MEMBERS, SPLIT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC


class EpochKeys:
    """The keys of the latest epoch: making them costs more than permuting a batch."""

    def __init__(self, seed: int, purpose: int) -> None:
        self._seed, self._purpose = seed, purpose
        self._latest: tuple[int, Keys] = (-1, np.zeros(0, np.uint64))

    def of(self, epoch: int) -> Keys:
        known, keys = self._latest
        if known != epoch:
            keys = keys_of(self._seed, epoch, self._purpose)
            self._latest = epoch, keys  # one tuple: another thread sees both or neither
        return keys


def keys_of(seed: int, epoch: int, purpose: int) -> Keys:
    """Return the keys of one permutation."""
    number = np.arange(NUM_KEYS, dtype=np.uint64)
    counter = [
        number,
        np.zeros_like(number),
        np.full_like(number, epoch),
        np.full_like(number, purpose),
    ]
    a, b, _, _ = philox(counter, seed)
    return a << np.uint64(32) | b


def permuted(numbers: Numbers, size: int, keys: Keys, *, back: bool = False) -> Numbers:
    """Permute numbers below `size`; `back` is the inverse."""
    out = np.empty(len(numbers), np.int64)
    permute(np.ascontiguousarray(numbers), size, keys, out, back=back)
    return out


def permuted_within(
    numbers: Numbers, sizes: Numbers, tweaks: Numbers, keys: Keys, *, back: bool = False
) -> Numbers:
    """Permute each number below its size; each tweak is a permutation of its own."""
    out = np.empty(len(numbers), np.int64)
    permute_within(np.ascontiguousarray(numbers), sizes, tweaks, keys, out, back=back)
    return out
