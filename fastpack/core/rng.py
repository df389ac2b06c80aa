"""Random numbers as a pure function of (seed, epoch, sample, draw), without state."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpack.errors import OptionError

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@dataclass(frozen=True, eq=False)
class CounterRng:
    """The random numbers of given samples in an epoch.

    The generator is Philox4x32-10. Its key is the seed; its counter is (sample, epoch, draw).

    Args:
        seed: 0 <= seed < 2**64.
        epoch: 0 <= epoch < 2**32; one for all samples, or int64 (n,).
        samples: int64 (n,), the samples' numbers.

    Example:
        >>> CounterRng(seed=1, epoch=0, samples=np.array([5])).uniforms(0, 2).shape
        (1, 2)

    Reference:
        Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """

    seed: int
    epoch: int | npt.NDArray[np.int64]
    samples: npt.NDArray[np.int64]

    def uniforms(self, first: int, count: int) -> npt.NDArray[np.float64]:
        """Return draws first .. first + count - 1 of each sample: (n, count) in [0, 1).

        Each has 53 random bits.
        """
        blocks = np.arange(first // 2, (first + count + 1) // 2, dtype=np.uint64)
        sample = self.samples.astype(np.uint64)[:, None]
        shape = (len(self.samples), len(blocks))
        counter = [
            np.broadcast_to(sample & _LOW, shape),
            np.broadcast_to(sample >> _HALF, shape),
            np.broadcast_to(np.asarray(self.epoch, np.uint64).reshape(-1, 1) & _LOW, shape),
            np.broadcast_to(blocks, shape),
        ]
        a, b, c, d = philox(counter, self.seed)
        pairs = np.stack([a << _HALF | b, c << _HALF | d], axis=-1).reshape(
            len(self.samples), 2 * len(blocks)
        )
        wanted = pairs[:, first % 2 : first % 2 + count]
        return (wanted >> np.uint64(11)).astype(np.float64) * 2.0**-53


def check_epochs(epochs: int | npt.NDArray[np.int64], num_samples: int) -> None:
    """Raise OptionError unless `epochs` is one epoch, or one for each sample."""
    try:
        given = np.asarray(epochs)
    except ValueError:  # lists of differing length
        given = np.zeros(0, np.object_)
    if given.shape not in ((), (num_samples,)) or given.dtype.kind not in "iu":
        raise OptionError(
            f"epoch must be an integer, or one for each of {num_samples} samples, "
            f"not {given.dtype} {given.shape}"
        )
    if given.size and not 0 <= given.min() <= given.max() < 2**32:
        refused = given.min() if given.min() < 0 else given.max()
        raise OptionError(f"epoch must be from 0 to 2**32 - 1, not {refused}")


def philox(counter: list[npt.NDArray[np.uint64]], key: int) -> list[npt.NDArray[np.uint64]]:
    """Return Philox4x32-10 of four arrays of 32-bit words, as uint64, under a 64-bit key."""
    a, b, c, d = counter
    low, high = key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF
    for _ in range(_ROUNDS):
        product_a, product_c = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (
            (product_c >> _HALF) ^ b ^ np.uint64(low),
            product_c & _LOW,
            (product_a >> _HALF) ^ d ^ np.uint64(high),
            product_a & _LOW,
        )
        low, high = (low + _WEYL[0]) & 0xFFFFFFFF, (high + _WEYL[1]) & 0xFFFFFFFF
    return [a, b, c, d]
