"""The columns of a batch, made of those of its entries."""

import numpy as np

from fastpack.core.ragged import Ragged
from fastpack.core.schema import Field
from fastpack.formats.index.arrays import Column


def of_batch(field: Field, column: Column) -> Column:
    """Return the column that a batch has of a field."""
    return _shaped(field, _writable(column))


def _writable(column: Column) -> Column:
    """Return a batch's column; a read-only one is copied, since torch warns of such arrays."""
    if not isinstance(column, Ragged):
        return column if column.flags.writeable else column.copy()
    if not isinstance(column.values, np.ndarray) or column.values.flags.writeable:
        return column
    return type(column)(column.values.copy(), column.offsets)


def _shaped(field: Field, column: Column) -> Column:
    """Return a batch's column; lists of one length become an array (n, length)."""
    if field.list_length is None or not isinstance(column, Ragged):
        return column
    return np.asarray(column.values).reshape(len(column), field.list_length)
