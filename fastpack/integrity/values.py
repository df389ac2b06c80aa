"""Comparison of columns, lists and spans, row by row."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Ragged, Text


def differing_rows(a: Any, b: Any) -> npt.NDArray[np.bool_]:
    """Compare values row by row; NaN equals NaN, and 3 equals the list [3]."""
    if (type(a) is Ragged) != (type(b) is Ragged):
        a, b = _as_lists(a), _as_lists(b)
    if isinstance(a, Ragged) and isinstance(b, Ragged):
        if a == b:
            return np.zeros(len(a), np.bool_)
        return np.array([not _are_equal(x, y) for x, y in zip(a, b, strict=True)], np.bool_)
    if isinstance(a, Text) != isinstance(b, Text):
        return np.ones(len(a), np.bool_)
    if np.shape(a) != np.shape(b):  # numpy would broadcast
        return np.ones(len(a), np.bool_)
    different = _differing_numbers(a, b)
    return np.asarray(different.any(axis=tuple(range(1, different.ndim))))


def _as_lists(rows: Any) -> Ragged:
    """Make a list of each value, or of each row of an array."""
    if type(rows) is Ragged:
        return rows
    if isinstance(rows, Text):
        return Ragged(rows, np.arange(len(rows) + 1))
    return Ragged(rows.reshape(-1), np.arange(len(rows) + 1) * math.prod(rows.shape[1:]))


def _differing_numbers(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Compare two arrays of one shape elementwise; NaN equals NaN."""
    # numpy converts integers to float64, in which 2**53 and 2**53 + 1 are equal.
    if {a.dtype.kind, b.dtype.kind} in ({"i", "f"}, {"u", "f"}):
        a, b = a.astype(object), b.astype(object)
    return np.asarray((a != b) & ~((a != a) & (b != b)), np.bool_)


def _are_equal(a: Any, b: Any) -> bool:
    if isinstance(a, (Ragged, str)):
        return bool(a == b)
    return a.shape == b.shape and not _differing_numbers(a, b).any()
