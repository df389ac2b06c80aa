"""Values of HDF5 columns as an index has them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.index import Column
from fastpack.ragged import Ragged, Text, offsets_of


def text_of(rows: npt.NDArray[Any]) -> Text:
    """Strings of fixed length, without an object for each; or the objects that the library gives for others."""
    if rows.dtype.kind != "S":
        return Text.of_bytes(bytes(row) for row in rows)
    lengths = np.char.str_len(rows)
    letters = rows.view(np.uint8).reshape(len(rows), rows.itemsize)
    return Text(letters[np.arange(rows.itemsize) < lengths[:, None]], offsets_of(lengths))


def as_read(column: Column) -> Column:
    """Integers have 64 bits here, floats those of the file, in the machine's byte order."""
    if isinstance(column, Ragged):
        return column
    return column.astype(np.int64 if column.dtype.kind in "iub" else column.dtype.newbyteorder("="), copy=False)
