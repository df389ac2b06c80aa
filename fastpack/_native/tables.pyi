from typing import Any, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

_Columns = list[npt.NDArray[Any] | None]

# common: the files' common text. tables: for each table a list of its leaves: (column, offset in an
# item, bytes, bytes of an item).
@disjoint_base
class Places:
    def __new__(cls, common: bytes, tables: list[list[tuple[int, int, int, int]]]) -> Self: ...

# A table file (fastpack/files/table_layout.py). First `open_path` or `copy_bytes`, then `bind`.
# Tables and leaves are numbers in the order of the layout.
@disjoint_base
class TablePages:
    def __init__(self) -> None: ...
    # keep: pages stay in memory once read.
    def open_path(self, path: bytes, keep: bool) -> Outcome: ...
    # Copies the file's bytes and checks all pages.
    def copy_bytes(self, data: bytes) -> Outcome: ...
    # The common text and the own text. Only before `bind`.
    def texts(self) -> tuple[bytes, bytes]: ...
    def bind(self, places: Places) -> Outcome: ...
    # The CRC-32C of the header.
    @property
    def checksum(self) -> int: ...
    @property
    def num_bytes(self) -> int: ...
    def count_rows(self, table: int) -> int: ...
    # Base and step of a leaf, modulo 2**64; None if it has packed bytes.
    def line(self, table: int, leaf: int) -> tuple[int, int] | None: ...
    # columns: an array (k,) for each column of the table; None for one that is not wanted. Raises
    # IndexError for rows that do not exist.
    def take_rows(self, table: int, rows: npt.NDArray[np.int64], columns: _Columns) -> Outcome: ...
    def read_rows(self, table: int, first: int, end: int, columns: _Columns) -> Outcome: ...

# Row i is of files[numbers[i]]. All files must have the common text of `places`.
def take_from(
    files: tuple[TablePages, ...],
    numbers: npt.NDArray[np.int64],
    places: Places,
    table: int,
    rows: npt.NDArray[np.int64],
    columns: _Columns,
) -> Outcome: ...

# Advises the OS that these rows will be read soon.
def advise(
    files: tuple[TablePages, ...],
    numbers: npt.NDArray[np.int64],
    places: Places,
    table: int,
    rows: npt.NDArray[np.int64],
) -> None: ...

# Lists of values: list i has lengths[i] rows from starts[i] on, of file numbers[i], which has
# limits[numbers[i]] rows. Returns the number of all values; -1 - i if list i is outside of its
# file. With rows and owners, (values,), fills in the row and the file of each value; the lists were
# checked by an earlier call.
def expand_lists(
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
    limits: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64] | None = None,
    owners: npt.NDArray[np.int64] | None = None,
) -> int: ...
