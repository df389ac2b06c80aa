"""Conversion of numbers for a file. Numbers that it cannot hold exactly are refused."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.errors import SchemaError

_MAX_INTEGER = 2**63 - 1


def integers(name: str, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return 64-bit integers. Raises SchemaError for one that is too large.

    >>> integers("x", np.array([3], np.uint8))
    array([3])
    """
    array = np.asarray(values)
    if array.dtype.kind == "u" and (array > _MAX_INTEGER).any():
        raise SchemaError(
            f"{name!r} has numbers above {_MAX_INTEGER}, the largest of a column; "
            "leave it out, or make it text"
        )
    return array.astype(np.int64, copy=False)


def narrow_floats(name: str, values: npt.ArrayLike, *, rounds: bool) -> npt.NDArray[np.float32]:
    """Return 32-bit floats. Raises SchemaError for a number that would change, unless `rounds`.

    A number is unchanged if it has the same decimal digits, as 0.1 has in both types.

    >>> narrow_floats("x", np.array([0.5, 0.1]), rounds=False)
    array([0.5, 0.1], dtype=float32)
    """
    array = np.asarray(values)
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32, copy=False)
    if rounds or (found := _first_changed(array.reshape(-1), narrow.reshape(-1))) is None:
        return narrow
    value: Any = array.reshape(-1)[found]
    held = narrow.reshape(-1)[found]
    message = f"{name!r} has {value}, which the 32-bit floats of TFRecord hold as {held}"
    raise SchemaError(f"{message}; choose HDF5, or round with float64='round'")


def _first_changed(wide: npt.NDArray[Any], narrow: npt.NDArray[np.float32]) -> int | None:
    """Return the first number that has other decimal digits in 32 bits than in 64."""
    inexact = np.flatnonzero((narrow.astype(wide.dtype, copy=False) != wide) & (wide == wide))
    respelled = inexact[narrow[inexact].astype(np.str_).astype(np.float64) != wide[inexact]]
    return int(respelled[0]) if respelled.size else None
