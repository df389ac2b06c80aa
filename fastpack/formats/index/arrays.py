"""Arrays of a saved index: names, and the columns and chunks made of them."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Ragged, Text, flat_values
from fastpack.core.schema import Field
from fastpack.formats.index.chunks import ChunkTable

Column = npt.NDArray[Any] | Ragged
_PLAIN_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.- ")
_COLUMN_DTYPES = {"int": "i", "float": "f"}


@lru_cache(maxsize=1024)
def escaped(name: str) -> str:
    """Return a field's name without the "/" and NUL that array names cannot have."""
    letters = name.encode("utf-8", "surrogatepass")
    return "".join(
        chr(letter) if letter in _PLAIN_LETTERS else f"%{letter:02x}" for letter in letters
    )


def chunk_tables(
    name: str, num_shards: int, arrays: Mapping[str, npt.NDArray[Any]]
) -> dict[int, ChunkTable]:
    """Return the chunk tables of a field, by shard number."""
    prefixes = {number: f"chunk/{number}/{name}" for number in range(num_shards)}
    return {
        number: ChunkTable.from_arrays(prefix, arrays)
        for number, prefix in prefixes.items()
        if f"{prefix}/about" in arrays
    }


def from_arrays(name: str, arrays: Mapping[str, npt.NDArray[Any]], field: Field) -> Column:
    """Return the column that `ragged.to_arrays` saved under this name."""
    if name in arrays:
        return arrays[name]
    offsets, is_list = arrays[f"{name}/offsets"], field.is_list
    if field.kind == "text" and not is_list:
        return Text(arrays[f"{name}/values"], offsets)
    inner = replace(field, shape=())
    return Ragged(from_arrays(f"{name}/values", arrays, inner), offsets)


def is_column(column: Column, field: Field, num_samples: int) -> bool:
    """Return True if the column has the field's type and a row for each sample."""
    if not isinstance(column, Ragged):
        return column.shape == (num_samples,) and column.dtype.kind == _COLUMN_DTYPES.get(
            field.kind
        )
    is_text = isinstance(flat_values(column), Text)
    is_sound = (
        len(column) == num_samples
        and (type(column) is Ragged) == field.is_list
        and is_text == (field.kind == "text")
    )
    lengths = field.list_length
    return is_sound and (lengths is None or bool((column.lengths == lengths).all()))


def is_record_table(field: Field, table: Any, dtype: np.dtype[Any], num_samples: int) -> bool:
    """Return True for a record of this dtype for each sample, or each of its blobs."""
    if (type(table) is Ragged) != field.is_list or len(table) != num_samples:
        return False
    flat = flat_values(table)
    return isinstance(flat, np.ndarray) and flat.ndim == 1 and flat.dtype == dtype


def are_pixels(field: Field, spans: npt.NDArray[Any]) -> bool:
    """Return True if each span has exactly the bytes of the field's shape and dtype."""
    dtype = np.dtype(field.dtype)
    sizes = [size for size in field.shape if isinstance(size, int) and size >= 0]
    num_bytes = math.prod(sizes) * dtype.itemsize
    return (
        dtype.kind in "uif"
        and len(sizes) == len(field.shape)
        and bool((spans["length"] == num_bytes).all())
    )
