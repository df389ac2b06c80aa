"""Writing table files, in blocks of rows. See table_layout.py for the bytes."""

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.errors import os_errors_at
from fastpack.files.table_layout import Leaf, encode_common, layout_of, leaves_of

# Column -> array (n,). All columns of a table have the same n.
Columns: TypeAlias = Mapping[str, npt.NDArray[Any]]
_Words: TypeAlias = npt.NDArray[np.uint64]

MAGIC = b"FPTABLE1"
PAGE_BYTES = 4096
_ROW_SPACE = PAGE_BYTES - 4
_BLOCK_ROWS = 2**16  # at most
_BLOCK_VALUES = 2**20
_MAX_ROWS = 2**48
_MAX_HEADER_BYTES = 64 * 2**20
_PLUS_REACH = 8  # how many earlier leaves of 8 bytes are tried


def save_tables(path: Path, tables: Mapping[str, Columns], *, about: Any, own: str) -> None:
    """Write tables to a new file.

    Raises ValueError for arrays or rows that do not fit into the format.

    Args:
        path: of the file. The caller gives it its final name.
        tables: columns by table. They are packed in blocks of rows.
        about: JSON value that files of the same kind share.
        own: text of this file.
    """
    with os_errors_at(path), open(path, "wb") as file:
        _write(file, tables, about, own)


def table_bytes(tables: Mapping[str, Columns], *, about: Any, own: str) -> bytes:
    """Return the bytes of the file that `save_tables` writes."""
    file = io.BytesIO()
    _write(file, tables, about, own)
    return file.getvalue()


class _Packing(NamedTuple):
    """How a leaf is packed: the words of the header."""

    width: int
    base: int
    step: int
    plus: int


@dataclass
class _Table:
    """The leaves of a table, read in blocks."""

    columns: list[npt.NDArray[Any]]
    leaves: list[tuple[int, int, Leaf]]
    num_rows: int
    packings: list[_Packing]

    @property
    def row_bytes(self) -> int:
        return sum(packing.width for packing in self.packings)

    @property
    def rows_per_page(self) -> int:
        """The rows that a page has space for; only for rows with bytes."""
        return _ROW_SPACE // self.row_bytes

    @property
    def block_rows(self) -> int:
        return min(_BLOCK_ROWS, _BLOCK_VALUES // max(1, len(self.leaves)))

    @property
    def num_pages(self) -> int:
        return -(-self.num_rows // self.rows_per_page) if self.row_bytes else 0

    def words(self, first_page: int) -> list[int]:
        numbers = [word for packing in self.packings for word in packing]
        return [self.num_rows, first_page if self.num_pages else 0, *numbers]

    def blocks(self, num_rows: int) -> Iterator["_Block"]:
        for first in range(0, self.num_rows, num_rows):
            yield _Block(self, np.arange(first, min(first + num_rows, self.num_rows)))


class _Block:
    """Some rows of a table. Leaves are read when first needed."""

    def __init__(self, table: _Table, rows: npt.NDArray[np.int64]) -> None:
        self._table = table
        self._items: dict[int, npt.NDArray[np.uint8]] = {}
        self._values: dict[int, _Words] = {}
        self._is_range = len(rows) == 0 or rows[-1] - rows[0] == len(rows) - 1
        self.rows = rows.astype(np.uint64)

    def bytes_of(self, number: int) -> npt.NDArray[np.uint8]:
        """Return the bytes of a leaf, (n, size)."""
        column, stride, (offset, size, _) = self._table.leaves[number]
        if column not in self._items:
            rows = slice(int(self.rows[0]), int(self.rows[-1]) + 1) if self._is_range else self.rows
            items = np.ascontiguousarray(self._table.columns[column][rows])
            self._items[column] = items.view(np.uint8).reshape(len(self.rows), stride)
        return self._items[column][:, offset : offset + size]

    def values(self, number: int) -> _Words:
        """Return the values of a leaf. Signed ones are extended to 8 bytes."""
        if number not in self._values:
            _, _, (_, size, is_signed) = self._table.leaves[number]
            values = self.bytes_of(number).view(f"<{'i' if is_signed else 'u'}{size}")[:, 0]
            wide = values.astype(np.int64 if is_signed else np.uint64)
            self._values[number] = wide.view(np.uint64)
        return self._values[number]

    def residuals(self, number: int, step: int, plus: int) -> _Words:
        """Return the values without step * row and the other leaf, modulo 2**64."""
        values = self.values(number)
        if step:
            values = values - self.rows * np.uint64(step)
        return values - self.values(plus - 1) if plus else values


def _write(file: BinaryIO, tables: Mapping[str, Columns], about: Any, own: str) -> None:
    types = {
        name: {column: array.dtype for column, array in columns.items()}
        for name, columns in tables.items()
    }
    common = encode_common(about, types)
    layout_of(common)  # checks that readers accept it
    packed = [_pack(name, columns) for name, columns in tables.items()]
    header = _header(common, own.encode(), packed)
    file.write(header)
    if any(table.num_pages for table in packed):
        file.write(bytes(-len(header) % PAGE_BYTES))
    seed, number = crc32c(header[12:]), -(-len(header) // PAGE_BYTES)
    for table in packed:
        if table.num_pages:
            number = _write_pages(file, table, seed, number)


def _pack(name: str, columns: Columns) -> _Table:
    arrays = list(columns.values())
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1 or any(array.ndim != 1 for array in arrays):
        raise ValueError(f"table {name}: give columns of one length, (n,)")
    num_rows = lengths.pop() if lengths else 0
    if num_rows > _MAX_ROWS:
        raise ValueError(f"table {name}: {num_rows} rows are too many; split it")
    table = _Table(arrays, leaves_of(array.dtype for array in arrays), num_rows, [])
    if num_rows:
        _choose_packings(table)
    else:
        table.packings = [_Packing(0, 0, 0, 0)] * len(table.leaves)
    if table.row_bytes > _ROW_SPACE:
        raise ValueError(f"table {name}: a row has more than {_ROW_SPACE} bytes; use more tables")
    return table


def _choose_packings(table: _Table) -> None:
    """Choose step and plus of each leaf by a sample of rows; then measure all rows."""
    sample = _Block(table, _sample_rows(table))
    choices: list[tuple[int, int]] = []
    for _ in table.leaves:
        choices.append(_choose(table, sample, choices))
    bounds = [_Bounds(*choice) for choice in choices]
    for block in table.blocks(table.block_rows):
        for number, bound in enumerate(bounds):
            bound.add(block.residuals(number, bound.step, bound.plus))
    for (_, _, (_, size, _)), bound in zip(table.leaves, bounds, strict=True):
        table.packings.append(bound.packing(size))


def _sample_rows(table: _Table) -> npt.NDArray[np.int64]:
    """Return all rows, or as many as a block has, from the first to the last."""
    num_rows, wanted = table.num_rows, table.block_rows
    if num_rows <= wanted:
        return np.arange(num_rows)
    return np.arange(wanted) * (num_rows - 1) // (wanted - 1)


class _Bounds:
    """Bounds of a leaf's residuals, counted from the first one."""

    def __init__(self, step: int, plus: int) -> None:
        self.step, self.plus = step, plus
        self._first: np.uint64 | None = None
        self._min = self._max = 0

    def add(self, residuals: _Words) -> None:
        if self._first is None:
            self._first = residuals[0]
        signed = (residuals - self._first).view(np.int64)
        self._min = min(self._min, int(signed.min()))
        self._max = max(self._max, int(signed.max()))

    def packing(self, size: int) -> _Packing:
        assert self._first is not None
        width = ((self._max - self._min).bit_length() + 7) // 8
        if width >= size:
            return _Packing(size, 0, 0, 0)
        return _Packing(width, (int(self._first) + self._min) % 2**64, self.step, self.plus)


def _choose(table: _Table, sample: _Block, choices: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the step and the plus of the next leaf that give the smallest width."""
    number = len(choices)
    best, best_width = (0, 0), table.leaves[number][2][1]
    for step, plus in _candidates(table, sample, choices):
        bounds = _Bounds(step, plus)
        bounds.add(sample.residuals(number, step, plus))
        width = bounds.packing(9).width
        if width < best_width:
            best, best_width = (step, plus), width
        if best_width == 0:
            break
    return best


def _candidates(
    table: _Table, sample: _Block, choices: list[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Yield steps and pluses of the next leaf, the simplest first."""
    number = len(choices)
    size = table.leaves[number][2][1]
    others = [0]
    if size == 8:
        earlier = [
            i + 1 for i, (_, plus) in enumerate(choices) if table.leaves[i][2][1] == 8 and not plus
        ]
        others += earlier[: -_PLUS_REACH - 1 : -1]
    for plus in others:
        yield 0, plus
    for plus in others:
        step = _average_step(sample, sample.residuals(number, 0, plus))
        if step:
            yield step, plus


def _average_step(sample: _Block, residuals: _Words) -> int:
    """Return the average difference of neighbors, modulo 2**64."""
    num_steps = int(sample.rows[-1] - sample.rows[0])
    rise = int((residuals[-1:] - residuals[:1]).view(np.int64)[0])
    return round(rise / num_steps) % 2**64 if num_steps else 0


def _header(common: bytes, own: bytes, tables: list[_Table]) -> bytes:
    texts = _padded(common) + _padded(own)
    num_words = sum(2 + 4 * len(table.leaves) for table in tables)
    num_bytes = 40 + len(texts) + 8 * num_words
    if num_bytes > _MAX_HEADER_BYTES:
        raise ValueError(f"the texts and tables need more than {_MAX_HEADER_BYTES} bytes")
    page = -(-num_bytes // PAGE_BYTES)
    words: list[int] = []
    size = num_bytes
    for table in tables:
        words += table.words(page)
        page += table.num_pages
        size = page * PAGE_BYTES if table.num_pages else size
    lengths = (num_bytes, size, len(common), len(own), num_words, 0)
    body = struct.pack("<IQIIII", *lengths) + texts + struct.pack(f"<{num_words}Q", *words)
    return MAGIC + struct.pack("<I", crc32c(body)) + body


def _padded(text: bytes) -> bytes:
    return text + bytes(-len(text) % 8)


def _write_pages(file: BinaryIO, table: _Table, header_crc: int, number: int) -> int:
    """Write the pages of a table. Returns the number of the page after them."""
    num_pages = max(1, table.block_rows // table.rows_per_page)
    for block in table.blocks(num_pages * table.rows_per_page):
        rows = _packed_rows(table, block)
        num_pages = len(rows) // table.rows_per_page
        pages = np.zeros((num_pages, PAGE_BYTES), np.uint8)
        pages[:, : table.rows_per_page * table.row_bytes] = rows.reshape(num_pages, -1)
        for page in pages:
            seed = crc32c(number.to_bytes(8, "little"), header_crc)
            crc = crc32c(page[:_ROW_SPACE], seed)
            page[_ROW_SPACE:] = np.frombuffer(crc.to_bytes(4, "little"), np.uint8)
            number += 1
        file.write(pages.data)
    return number


def _packed_rows(table: _Table, block: _Block) -> npt.NDArray[np.uint8]:
    """Return the rows' bytes, with zeros to the end of the last page."""
    num_rows = len(block.rows)
    num_pages = -(-num_rows // table.rows_per_page)
    rows = np.zeros((num_pages * table.rows_per_page, table.row_bytes), np.uint8)
    at = 0
    for number, packing in enumerate(table.packings):
        width, end = packing.width, at + packing.width
        if width == table.leaves[number][2][1]:
            rows[:num_rows, at:end] = block.bytes_of(number)
        elif width:
            packed = block.residuals(number, packing.step, packing.plus) - np.uint64(packing.base)
            raw = packed.astype("<u8", copy=False).view(np.uint8).reshape(num_rows, 8)
            rows[:num_rows, at:end] = raw[:, :width]
        at = end
    return rows
