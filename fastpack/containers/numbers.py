"""Numbers on their way into a file: what it cannot hold exactly is refused, never changed in silence."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.errors import SchemaError

_LARGEST_INTEGER = 2**63 - 1


def integers(name: str, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """As 64-bit integers. Raises SchemaError for one that is too large.

    >>> integers("x", np.array([3], np.uint8))
    array([3])
    """
    array = np.asarray(values)
    if array.dtype.kind == "u" and (array > _LARGEST_INTEGER).any():
        raise SchemaError(f"{name!r} has numbers above {_LARGEST_INTEGER}, the largest of a column; leave it out, or make it text")
    return array.astype(np.int64, copy=False)


def narrow_floats(name: str, values: npt.ArrayLike, *, rounds: bool) -> npt.NDArray[np.float32]:
    """As 32-bit floats. Raises SchemaError for a value that would change, unless `rounds`.

    >>> narrow_floats("x", np.array([0.5]), rounds=False)
    array([0.5], dtype=float32)
    """
    array = np.asarray(values)
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32, copy=False)
    changed = np.flatnonzero((narrow.astype(array.dtype, copy=False) != array) & (array == array)) if not rounds else np.zeros(0, int)
    if changed.size:
        value: Any = array.reshape(-1)[changed[0]]
        message = f"{name!r} has {value!r}, which the 32-bit floats of TFRecord hold as {narrow.reshape(-1)[changed[0]]!r}"
        raise SchemaError(f"{message}; choose HDF5, or round with float64='round' (--float64 round)")
    return narrow
