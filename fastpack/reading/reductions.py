"""Reductions of lazy columns in blocks, where the result is the same as numpy's."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Blocks = Callable[[], Iterator[npt.NDArray[Any]]]


def reduced(name: str, blocks: Iterator[npt.NDArray[Any]], dtype: np.dtype[Any]) -> Any:
    """Return a reduction of all blocks; None if only the whole array gives numpy's result.

    A float sum depends on the order of additions, so blocks would round differently.

    >>> reduced("sum", iter([np.arange(3), np.arange(4)]), np.dtype(int))
    np.int64(9)
    """
    if dtype.kind not in _KINDS.get(name, ""):
        return None
    reduce = _REDUCTIONS[name]
    return reduce(blocks)


def _sum(blocks: Iterator[npt.NDArray[Any]]) -> Any:
    # The sum of an array wraps silently at 64 bits; the sum of numpy's scalars would warn.
    return np.array([block.sum() for block in blocks]).sum()


def _min(blocks: Iterator[npt.NDArray[Any]]) -> Any:
    return np.array([block.min() for block in blocks]).min()


def _max(blocks: Iterator[npt.NDArray[Any]]) -> Any:
    return np.array([block.max() for block in blocks]).max()


def _any(blocks: Iterator[npt.NDArray[Any]]) -> Any:
    return np.bool_(any(block.any() for block in blocks))


def _all(blocks: Iterator[npt.NDArray[Any]]) -> Any:
    return np.bool_(all(block.all() for block in blocks))


def _count_nonzero(blocks: Iterator[npt.NDArray[Any]]) -> Any:
    counts = [np.count_nonzero(block) for block in blocks]
    return type(counts[0])(sum(counts))  # an int or an np.intp, by numpy's version


_REDUCTIONS = {
    "sum": _sum,
    "min": _min,
    "max": _max,
    "any": _any,
    "all": _all,
    "count_nonzero": _count_nonzero,
}
# The dtypes of each reduction, as numpy's letters of kinds. The minimum of floats may be 0.0 or
# -0.0, by the order of comparisons.
_KINDS = {
    "sum": "biu",
    "min": "biu",
    "max": "biu",
    "any": "biuf",
    "all": "biuf",
    "count_nonzero": "biuf",
}
