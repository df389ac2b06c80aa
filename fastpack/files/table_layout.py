"""Table files: the byte layout, and the part of the header that equal kinds of files share.

A table file has named tables of fixed-width rows. All numbers are little-endian. The header:

    0   8 bytes  b"FPTABLE1"
    8   u32      CRC-32C of the header's bytes from 12 on
    12  u32      bytes of the header, H
    16  u64      bytes of the file
    24  u32      bytes of the common text, C
    28  u32      bytes of the own text
    32  u32      number of words
    36  u32      0
    40           the common text (JSON), the own text, each padded to a multiple of 8; then words of
                 8 bytes, to H

The common text is {"about": value, "tables": [[name, [[column, type], ...]], ...]}. A type is
numpy's: "<u4", or for a structure [[field, type, shape if it is an array], ...]. A leaf is a scalar
of a column, of 1, 2, 4 or 8 bytes; larger scalars are several leaves. The words of each table are
its number of rows, its first page, and for each leaf width, base, step and plus.

From the next multiple of 4096 after H on, the file is pages of 4096 bytes. A page's number is its
offset / 4096. The rows of a table lie in consecutive pages. A row has `width` bytes for each leaf,
and a page has as many whole rows as fit into 4092 bytes, then zeros. Its last 4 bytes are the
CRC-32C of the others. That CRC continues the CRC of the page's number (u64), which continues the
header's. A table with rows of 0 bytes has no page. The value of a leaf is, modulo 2**64 and cut to
its size:

    base + step * row + packed bytes + (value of leaf plus - 1 of the row, if plus > 0)

That other leaf comes before this one, has 8 bytes and its own plus is 0. If `width` is the size of
the leaf, base, step and plus are 0.
"""

import json
import math
import re
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from fastpack._native.tables import Places
from fastpack.errors import FormatError

_TYPE = re.compile(r"[<>|][biufc]\d{1,2}")
_MAX_LEAVES = 65_535
_LEAF_BYTES = (1, 2, 4, 8)

# A leaf of a type: its offset, its bytes, and whether it is a signed number.
Leaf = tuple[int, int, bool]


class Layout:
    """The columns of all tables, shared by the files with the same common text.

    Args:
        common: the common text.
        about: the caller's JSON value.
        tables: the types of columns, by table and column.
    """

    def __init__(
        self, common: bytes, about: Any, tables: Mapping[str, Mapping[str, np.dtype[Any]]]
    ) -> None:
        self.common = common
        self.about = about
        self.tables = MappingProxyType(
            {name: MappingProxyType(dict(columns)) for name, columns in tables.items()}
        )
        self.numbers = {name: number for number, name in enumerate(tables)}
        leaves = [leaves_of(columns.values()) for columns in tables.values()]
        if sum(map(len, leaves)) > _MAX_LEAVES:
            raise FormatError(f"the tables have more than {_MAX_LEAVES} numbers in a row")
        # The number of each column's first leaf, by table and column.
        self.first_leaves = {
            name: dict(zip(columns, _firsts(table), strict=True))
            for (name, columns), table in zip(tables.items(), leaves, strict=True)
        }
        self.places = Places(
            common,
            [
                [(column, offset, size, stride) for column, stride, (offset, size, _) in table]
                for table in leaves
            ],
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self.common == other.common

    def __hash__(self) -> int:
        return hash(self.common)


def leaves_of(dtypes: Iterable[np.dtype[Any]]) -> list[tuple[int, int, Leaf]]:
    """Return (column, bytes of an item, leaf) of all leaves of a table."""
    return [
        (column, dtype.itemsize, leaf)
        for column, dtype in enumerate(dtypes)
        for leaf in leaves_of_type(dtype)
    ]


def _firsts(leaves: list[tuple[int, int, Leaf]]) -> list[int]:
    columns = [column for column, _, _ in leaves]
    return [i for i, column in enumerate(columns) if i == 0 or column != columns[i - 1]]


def leaves_of_type(dtype: np.dtype[Any], first: int = 0) -> list[Leaf]:
    """Return the leaves of a type whose item begins at byte `first`."""
    if dtype.names is not None:
        fields = [dtype.fields[name] for name in dtype.names]  # type: ignore[index]
        return [leaf for field in fields for leaf in leaves_of_type(field[0], first + field[1])]
    if dtype.subdtype is not None:
        inner, shape = dtype.subdtype
        starts = range(first, first + math.prod(shape) * inner.itemsize, inner.itemsize)
        return [leaf for start in starts for leaf in leaves_of_type(inner, start)]
    size = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    size = size if size in _LEAF_BYTES else 8
    is_signed = dtype.kind == "i" and dtype.isnative
    return [(start, size, is_signed) for start in range(first, first + dtype.itemsize, size)]


def encode_common(about: Any, tables: Mapping[str, Mapping[str, np.dtype[Any]]]) -> bytes:
    """Return the common text. Raises ValueError for types or values that it cannot describe."""
    described = [
        [name, [[column, _describe(dtype)] for column, dtype in columns.items()]]
        for name, columns in tables.items()
    ]
    text = json.dumps({"about": about, "tables": described}, separators=(",", ":"), allow_nan=False)
    return text.encode()


def _describe(dtype: np.dtype[Any]) -> Any:
    if dtype.names is not None:
        fields = [(name, dtype.fields[name][0]) for name in dtype.names]  # type: ignore[index]
        described: list[Any] = []
        for name, kind in fields:
            inner, shape = kind.subdtype or (kind, ())
            described.append([name, _describe(inner), *([list(shape)] if shape else [])])
        if sum(kind.itemsize for _, kind in fields) != dtype.itemsize or not fields:
            raise ValueError(f"{dtype}: give a structure without padding")
        return described
    if not _TYPE.fullmatch(dtype.str):
        raise ValueError(f"{dtype}: give numbers, or structures of numbers")
    return dtype.str


# Layouts in use by their common text, and the last ones, so that a file that is opened again finds
# its layout.
_LAYOUTS: "weakref.WeakValueDictionary[bytes, Layout]" = weakref.WeakValueDictionary()
_LAST: "deque[Layout]" = deque(maxlen=16)


def layout_of(common: bytes) -> Layout:
    """Return the layout of a common text: one object for equal texts.

    Raises FormatError.
    """
    layout = _LAYOUTS.get(common)
    if layout is None:
        layout = _LAYOUTS.setdefault(common, _parse(common))
        _LAST.append(layout)
    return layout


def _parse(common: bytes) -> Layout:
    try:
        value = json.loads(common)
        about = value["about"]
        tables: dict[str, dict[str, np.dtype[Any]]] = {}
        for name, columns in value["tables"]:
            tables[_name(name, tables)] = {}
            for column, description in columns:
                tables[name][_name(column, tables[name])] = _type(description)
        return Layout(common, about, tables)
    except FormatError:
        raise
    except (ValueError, LookupError, TypeError, RecursionError, OverflowError) as error:
        raise FormatError(f"its header does not describe tables ({error})") from error


def _name(name: Any, others: Mapping[str, Any]) -> str:
    if not isinstance(name, str) or name in others:
        raise FormatError(f"its header has a wrong name {name!r}")
    return name


def _type(description: Any) -> np.dtype[Any]:
    if _num_leaves(description) > _MAX_LEAVES:
        raise FormatError(f"its header has a type of more than {_MAX_LEAVES} numbers")
    dtype: np.dtype[Any] = np.dtype(_as_fields(description))
    return dtype


def _num_leaves(description: Any) -> int:
    """Return an upper bound of the type's leaves, before numpy makes the type."""
    if isinstance(description, str):
        return 4  # a scalar has at most 32 bytes
    return sum(
        _num_leaves(kind) * math.prod(map(_length, shape[0] if shape else ()))
        for _, kind, *shape in description
    )


def _length(length: Any) -> int:
    if not isinstance(length, int) or not 1 <= length <= _MAX_LEAVES:
        raise FormatError(f"its header has an array of {length!r} numbers")
    return length


def _as_fields(description: Any) -> Any:
    """Return a type, or a list of fields: tuples of name, type and perhaps shape."""
    if isinstance(description, str):
        if not _TYPE.fullmatch(description):  # numpy accepts more types
            raise FormatError(f"its header has numbers of type {description!r}")
        return description
    if not description:
        raise FormatError("its header has a structure without fields")
    return [(name, _as_fields(kind), *map(tuple, shape)) for name, kind, *shape in description]
