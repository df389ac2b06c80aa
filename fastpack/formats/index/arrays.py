"""The tables of an index as arrays by name, as its file has them; and whether an array can be such a table."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Ragged, Text, flat_values
from fastpack.core.schema import Field
from fastpack.formats.index.chunks import ChunkTable

Column = npt.NDArray[Any] | Ragged
_PLAIN_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.- ")


def escaped(name: str) -> str:
    """The name of a field as part of an array's name: a "/" or a NUL there would mean something else."""
    letters = name.encode("utf-8", "surrogatepass")
    return "".join(
        chr(letter) if letter in _PLAIN_LETTERS else f"%{letter:02x}" for letter in letters
    )


def chunk_tables(
    name: str, num_shards: int, arrays: Mapping[str, npt.NDArray[Any]]
) -> dict[int, ChunkTable]:
    prefixes = {number: f"chunk/{number}/{name}" for number in range(num_shards)}
    return {
        number: ChunkTable.from_arrays(prefix, arrays)
        for number, prefix in prefixes.items()
        if f"{prefix}/about" in arrays
    }


def from_arrays(name: str, arrays: Mapping[str, npt.NDArray[Any]], field: Field) -> Column:
    if name in arrays:
        return arrays[name]
    offsets, is_list = arrays[f"{name}/offsets"], field.is_list
    if field.kind == "text" and not is_list:
        return Text(arrays[f"{name}/values"], offsets)
    inner = replace(field, shape=())
    return Ragged(from_arrays(f"{name}/values", arrays, inner), offsets)


def is_column(column: Column, field: Field, num_samples: int) -> bool:
    if isinstance(column, Ragged):
        is_text = isinstance(flat_values(column), Text)
        is_sound = (
            len(column) == num_samples
            and (type(column) is Ragged) == field.is_list
            and is_text == (field.kind == "text")
        )
        return is_sound and (
            field.list_length is None or bool((column.lengths == field.list_length).all())
        )
    return column.shape == (num_samples,) and column.dtype.kind == {"int": "i", "float": "f"}.get(
        field.kind
    )


def are_places(field: Field, table: Any, dtype: np.dtype[Any], num_samples: int) -> bool:
    """True for a record of this dtype for each sample, or, of a list, for each of its blobs."""
    if (type(table) is Ragged) != field.is_list or len(table) != num_samples:
        return False
    flat = flat_values(table)
    return isinstance(flat, np.ndarray) and flat.ndim == 1 and flat.dtype == dtype


def are_alike(spans: Any, infos: Any) -> bool:
    return not isinstance(spans, Ragged) or np.array_equal(spans.offsets, infos.offsets)


def are_pixels(field: Field, spans: npt.NDArray[Any]) -> bool:
    """True when each span is as long as the numbers that the field says it holds."""
    dtype = np.dtype(field.dtype)
    sizes = [size for size in field.shape if isinstance(size, int) and size >= 0]
    num_bytes = math.prod(sizes) * dtype.itemsize
    return (
        dtype.kind in "uif"
        and len(sizes) == len(field.shape)
        and bool((spans["length"] == num_bytes).all())
    )
