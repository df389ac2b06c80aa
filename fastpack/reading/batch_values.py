"""Values of a batch in the form that users get, and the number of a single sample."""

from typing import Any

import numpy as np

from fastpack.core import checks
from fastpack.core.ragged import Ragged
from fastpack.core.schema import Field, Schema
from fastpack.errors import OptionError
from fastpack.formats.index.arrays import Column


def sample_number(i: Any) -> int:
    """Return the number of one sample. Raises OptionError, which names the ways to take several."""
    try:
        return checks.integer("an index", i)
    except OptionError as error:
        raise OptionError(
            f"{error}; for several samples, dataset.read([1, 2, 3]) gives a batch and "
            "dataset.take([1, 2, 3]) a Reader"
        ) from None


def check_out(out: Any, schema: Schema, *, decode: bool) -> None:
    """Raise OptionError if a batch cannot write pixels to `out`."""
    if out is None:
        return
    checks.instance("out", out, np.ndarray, "a numpy array")
    image_field = schema.image_field
    if image_field is None or (image_field.kind == "image" and not decode):
        raise OptionError(
            "out receives pixels, but this dataset gives no pixels; "
            "leave it out, or open a dataset of images with decode=True"
        )


def writable(column: Column) -> Column:
    """Return a batch's column; a read-only one is copied, since torch warns of such arrays."""
    if not isinstance(column, Ragged):
        return column if column.flags.writeable else column.copy()
    if not isinstance(column.values, np.ndarray) or column.values.flags.writeable:
        return column
    return type(column)(column.values.copy(), column.offsets)


def shaped(field: Field, column: Column) -> Column:
    """Return a batch's column; lists of one length become an array (n, length)."""
    if field.list_length is None or not isinstance(column, Ragged):
        return column
    return np.asarray(column.values).reshape(len(column), field.list_length)
