"""Columns of a Reader: read by rows, so that they may be larger than memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged
from fastpack.errors import OptionError
from fastpack.formats.index.arrays import Column
from fastpack.reading.evaluation import BLOCK_ROWS
from fastpack.reading.expression import Lazy

# Reads rows of a column by name.
Take = Callable[[str, Rows], Column]


class LazyColumn(Lazy):
    """A column of n samples that is read when needed. Immutable.

    An index reads the rows it selects: an array, a Text or a Ragged. Elementwise expressions, such
    as `column >= 7`, are computed when needed, in blocks. Methods and functions of arrays, such as
    `column.tolist()` and `np.unique(column)`, load all n values first.

    Example:
        >>> import fastpack
        >>> label = fastpack.open(getfixture("digits")).columns["label"]
        >>> label[-1], label[[0, 5]].tolist(), (label >= 7)[6:].tolist()
        (np.int64(9), [0, 5], [False, True, True, True])
    """

    def __init__(self, name: str, num_rows: int, take: Take) -> None:
        super().__init__(num_rows)
        self._name, self._take = name, take
        self._empty: Column | None = None

    def prototype(self) -> Column:
        """Return no rows: an empty array, Text or Ragged, which shows the type."""
        if self._empty is None:
            self._empty = self._take(self._name, np.zeros(0, np.int64))
        return self._empty

    def computed(self, rows: Rows, operands: Sequence[Any]) -> Column:
        """Read the values at `rows`."""
        return self._take(self._name, rows)


class Columns(Mapping[str, LazyColumn]):
    """The columns of a dataset by name. Reads nothing itself.

    Args:
        names: the names of the columns.
        num_rows: the number of samples.
        take: take(name, rows) reads these rows of a column: an array (k,), a Text or a Ragged. No
            rows give an empty one, which shows the type.

    Example:
        >>> columns = Columns(["label"], 10**9, lambda name, rows: rows % 1000)
        >>> columns["label"][-1], columns["label"]
        (np.int64(999), LazyColumn(1000000000 x int64: 0, 1, 2, ..., 997, 998, 999))
    """

    def __init__(self, names: Sequence[str], num_rows: int, take: Take) -> None:
        self._columns = {name: LazyColumn(name, num_rows, take) for name in names}
        self._num_rows = num_rows

    def __getitem__(self, name: str) -> LazyColumn:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __repr__(self) -> str:
        return f"Columns({', '.join(self._columns)} of {self._num_rows} samples)"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "Columns cannot be pickled; pickle the Reader, or the values: "
            "{name: column.whole() for name, column in columns.items()}"
        )


def masks_of(result: Any, num_rows: int) -> Iterator[npt.NDArray[np.bool_]]:
    """Return blocks of booleans, `num_rows` in all, of what `keep` of Reader.filter returned.

    Raises OptionError for another dtype or shape.

    >>> [mask.tolist() for mask in masks_of([True, False], 2)]
    [[True, False]]
    """
    is_array = isinstance(result, Lazy) and not isinstance(result.prototype(), Ragged)
    mask = result if is_array else np.asarray(result)
    if mask.shape != (num_rows,) or mask.dtype != np.bool_:
        raise OptionError(
            f"keep must return a boolean for each of {num_rows} samples, "
            f"not {mask.dtype} {mask.shape}"
        )
    if isinstance(mask, Lazy):
        return mask.pieces()
    return (mask[first : first + BLOCK_ROWS] for first in range(0, num_rows, BLOCK_ROWS))
