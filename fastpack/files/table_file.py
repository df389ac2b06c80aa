"""Table files: the one form of saved indexes and manifests.

`save_tables` writes one, `TableFile` reads rows of it. table_layout.py describes the bytes. A file
may be of any size: opening reads its header alone, and rows cost their pages. Files that are
damaged, truncated or overwritten raise FormatError, with the remedy to delete them.
"""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from fastpack._native import tables as native
from fastpack._native.tables import TablePages
from fastpack.core.dtypes import Rows
from fastpack.errors import (
    FormatError,
    Location,
    Outcome,
    Status,
    from_os_error,
    os_errors_at,
    outcome_error,
    with_location,
)
from fastpack.files.scratch import Scratch
from fastpack.files.table_layout import Layout, layout_of
from fastpack.files.write_tables import MAGIC, Columns, save_tables, table_bytes

__all__ = [
    "Columns",
    "Layout",
    "TableFile",
    "advise",
    "is_table_file",
    "save_tables",
    "table_bytes",
    "take_from",
]

_REMEDY = "delete it, and it is built again"
_SYSTEM = (Status.IO_ERROR, Status.NO_MEMORY)


class TableFile(TablePages):
    """An open table file; any number of threads and forked children may read it.

    The descriptor is closed when the last reference is gone.
    """

    __slots__ = ("layout", "name", "noun", "own", "path")

    layout: Layout
    own: str
    path: Path | None
    name: str
    noun: str

    @classmethod
    def open(cls, path: Path, noun: str = "table file", *, keep: bool = False) -> "TableFile":
        """Open a file and check its header.

        Args:
            path: of the file.
            noun: what messages call the file.
            keep: keep each page in memory once it was read.
        """
        file = cls()
        file.path, file.name, file.noun = path, os.fspath(path), noun
        outcome = file.open_path(os.fsencode(path), keep)
        if outcome is not None:
            if outcome[0] == Status.IO_ERROR:
                error_number = outcome[1]
                error = OSError(error_number, os.strerror(error_number))
                raise from_os_error(error, "read", path)
            file._raise(outcome)
        return file._bound()

    @classmethod
    def of_bytes(cls, data: bytes, name: str = "the table in memory") -> "TableFile":
        """Copy a file's bytes, and check its header and its pages."""
        file = cls()
        file.path, file.name, file.noun = None, name, "table file"
        outcome = file.copy_bytes(data)
        if outcome is not None:
            file._raise(outcome)
        return file._bound()

    @classmethod
    def of_held(cls, held: bytes | Scratch) -> "TableFile":
        """Open a file in memory, or a scratch file."""
        return cls.open(held.path) if isinstance(held, Scratch) else cls.of_bytes(held)

    def num_rows(self, table: str) -> int:
        """Return the number of rows of a table."""
        return self.count_rows(self.layout.numbers[table])

    def is_counting(self, table: str, column: str) -> bool:
        """Return True if the header alone shows that each value is the number of its row."""
        dtype, line = self._line(table, column)
        num_rows = self.num_rows(table)
        if line is None or num_rows - 1 > np.iinfo(dtype).max:
            return line is not None and num_rows == 0
        base, step = line
        bits = 2 ** (8 * dtype.itemsize)
        return num_rows == 0 or (base % bits == 0 and (num_rows == 1 or step % bits == 1))

    def constant(self, table: str, column: str) -> int | None:
        """Return the value of all rows, if the header alone shows that they are equal."""
        dtype, line = self._line(table, column)
        num_rows = self.num_rows(table)
        if line is None or num_rows == 0 or (line[1] % 2 ** (8 * dtype.itemsize) and num_rows > 1):
            return None
        return int(np.array([line[0]], np.uint64).astype(dtype)[0])

    def take(
        self, table: str, rows: Rows, columns: Collection[str] | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """Return rows by number, each column as a new array (k,).

        Args:
            table: name of the table.
            rows: (k,) of [0, rows of the table), in any order.
            columns: names of the columns to return; None for all.
        """
        rows = np.ascontiguousarray(rows, np.int64)
        out = _outputs(self.layout, table, len(rows), columns)
        outcome = self.take_rows(self.layout.numbers[table], rows, out)
        if outcome is not None:
            self._raise(outcome)
        return _named(self.layout, table, out)

    def read(
        self,
        table: str,
        first: int = 0,
        end: int | None = None,
        columns: Collection[str] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Return rows [first, end), each column as a new array; None is the last row's end."""
        number = self.layout.numbers[table]
        num_rows = self.count_rows(number)
        end = num_rows if end is None else end
        if not 0 <= first <= end <= num_rows:
            raise IndexError(f"rows {first} to {end} do not lie in [0, {num_rows})")
        out = _outputs(self.layout, table, end - first, columns)
        outcome = self.read_rows(number, first, end, out)
        if outcome is not None:
            self._raise(outcome)
        return _named(self.layout, table, out)

    def _bound(self) -> "TableFile":
        common, own = self.texts()
        try:
            self.layout = layout_of(common)
            self.own = own.decode()
        except FormatError as error:
            raise FormatError(self._message(str(error))) from error
        except UnicodeDecodeError as error:
            raise FormatError(self._message("its own text is not UTF-8")) from error
        outcome = self.bind(self.layout.places)
        if outcome is not None:
            self._raise(outcome)
        return self

    def _line(self, table: str, column: str) -> tuple[np.dtype[Any], tuple[int, int] | None]:
        """Return a column's type; and base and step, if it is of integers without packed bytes."""
        dtype = self.layout.tables[table][column]
        if dtype.kind not in "iu" or not dtype.isnative:
            return dtype, None
        leaf = self.layout.first_leaves[table][column]
        return dtype, self.line(self.layout.numbers[table], leaf)

    def _message(self, message: str, offset: int | None = None) -> str:
        damage = f"the {self.noun} is damaged ({message}); {_REMEDY}"
        return with_location(damage, Location(self.name, offset=offset))

    def _raise(self, outcome: Outcome) -> NoReturn:
        assert outcome is not None
        status, _, _, offset, message = outcome
        if status in _SYSTEM:
            raise outcome_error(outcome, Location(self.name, offset=offset))
        raise FormatError(self._message(message, offset))


def take_from(
    files: Sequence[TableFile],
    numbers: npt.NDArray[Any],
    table: str,
    rows: Rows,
    columns: Collection[str] | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """Return rows of files of one layout, each column as a new array (k,).

    Neighbors in the same page read it once, so sorted rows are cheap.

    Args:
        files: at least one file.
        numbers: (k,) the file of each row.
        table: name of the table.
        rows: (k,) the number of each row in its file.
        columns: names of the columns to return; None for all.
    """
    numbers = np.ascontiguousarray(numbers, np.int64)
    rows = np.ascontiguousarray(rows, np.int64)
    files = tuple(files)
    layout = files[0].layout
    out = _outputs(layout, table, len(rows), columns)
    number = layout.numbers[table]
    outcome = native.take_from(files, numbers, layout.places, number, rows, out)
    if outcome is not None:
        files[int(numbers[outcome[2]])]._raise(outcome)
    return _named(layout, table, out)


def advise(files: Sequence[TableFile], numbers: npt.NDArray[Any], table: str, rows: Rows) -> None:
    """Advise the OS that these rows will be read soon. Arguments are those of `take_from`."""
    numbers = np.ascontiguousarray(numbers, np.int64)
    rows = np.ascontiguousarray(rows, np.int64)
    layout = files[0].layout
    native.advise(tuple(files), numbers, layout.places, layout.numbers[table], rows)


def is_table_file(path: Path) -> bool:
    """Return True for a table file. Other kinds of files are not opened: a pipe would wait."""
    if not path.is_file():
        return False
    with os_errors_at(path, "read"), open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _outputs(
    layout: Layout, table: str, num_rows: int, columns: Collection[str] | None
) -> list[npt.NDArray[Any] | None]:
    types = layout.tables[table]
    return [
        np.empty(num_rows, dtype) if columns is None or name in columns else None
        for name, dtype in types.items()
    ]


def _named(
    layout: Layout, table: str, out: list[npt.NDArray[Any] | None]
) -> dict[str, npt.NDArray[Any]]:
    named = zip(layout.tables[table], out, strict=True)
    return {name: array for name, array in named if array is not None}
