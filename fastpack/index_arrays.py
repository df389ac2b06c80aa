"""The tables of an index as arrays by name, as its file has them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from fastpack.chunks import ChunkTable
from fastpack.ragged import Ragged, Text
from fastpack.schema import Field

Column = npt.NDArray[Any] | Ragged
_PLAIN_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.- ")


def escaped(name: str) -> str:
    """The name of a field as part of an array's name: a "/" or a NUL there would mean something else."""
    letters = name.encode("utf-8", "surrogatepass")
    return "".join(chr(letter) if letter in _PLAIN_LETTERS else f"%{letter:02x}" for letter in letters)


def chunk_tables(name: str, num_shards: int, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[int, ChunkTable]:
    prefixes = {number: f"chunk/{number}/{name}" for number in range(num_shards)}
    return {number: ChunkTable.from_arrays(prefix, arrays) for number, prefix in prefixes.items() if f"{prefix}/about" in arrays}


def to_arrays(name: str, column: Column) -> dict[str, npt.NDArray[Any]]:
    if not isinstance(column, Ragged):
        return {name: column}
    return {f"{name}/offsets": column.offsets, **to_arrays(f"{name}/values", column.values)}


def from_arrays(name: str, arrays: Mapping[str, npt.NDArray[Any]], field: Field) -> Column:
    if name in arrays:
        return arrays[name]
    offsets, is_list = arrays[f"{name}/offsets"], field.is_list
    if field.kind == "text" and not is_list:
        return Text(arrays[f"{name}/values"], offsets)
    inner = replace(field, shape=())
    return Ragged(from_arrays(f"{name}/values", arrays, inner), offsets)
