"""Spools: named columns of numbers and text on disk that grow batch by batch."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastpack.core.ragged import Ragged, Text
from fastpack.files.spool import Spool, release
from fastpack.formats.index.arrays import Column

_PART_ROWS = 2**14


def parts(column: Column) -> Iterator[Any]:
    """Yield a column in parts of 16,384 rows, and release the memory of each after it."""
    for start in range(0, len(column), _PART_ROWS):
        yield column[start : start + _PART_ROWS]
        for array in (column.values, column.offsets) if isinstance(column, Ragged) else (column,):
            release(array)


class RowsSpool:
    """A Ragged, or a Text, that grows.

    - like: rows that define the type of its values: numbers, records, texts or lists.
    """

    def __init__(self, folder: Path, like: Ragged) -> None:
        self._kind: type[Ragged] = Text if isinstance(like, Text) else Ragged
        self._values, self._offsets = spool_for(like.values, folder), Spool(folder, np.int64)
        self._offsets.append([0])

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def append(self, rows: Ragged) -> None:
        self._offsets.append(rows.offsets[1:] + len(self._values))
        self._values.append(rows.values)

    def whole(self) -> Ragged:
        rows = self._kind(self._values.whole(), self._offsets.whole())
        release(rows.offsets)
        return rows

    def close(self) -> None:
        self._values.close()
        self._offsets.close()


def spool_for(values: Any, folder: Path) -> "Spool | RowsSpool":
    """Return an empty spool for more values like these."""
    return RowsSpool(folder, values) if isinstance(values, Ragged) else Spool(folder, values.dtype)


class Spools:
    """Columns by name, each of numbers (or records) of one dtype, Text, or a Ragged of these.

    >>> spools = Spools(Path(getfixture("tmp_path")))
    >>> spools.append({"label": np.array([3, 4]), "key": Text.of(["a", "b"])})
    >>> spools.append({"label": np.array([5]), "key": Text.of(["c"])})
    >>> whole = spools.whole()
    >>> whole["label"].tolist(), list(whole["key"])
    ([3, 4, 5], ['a', 'b', 'c'])
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spools: dict[str, Spool | RowsSpool] = {}

    def append(self, columns: Mapping[str, Any]) -> None:
        """Append values (n,) of each column; the first ones define its dtype."""
        for name, values in columns.items():
            if (spool := self._spools.get(name)) is None:
                spool = self._spools[name] = spool_for(values, self._folder)
            spool.append(values)

    def whole(self) -> dict[str, Any]:
        """Return all columns, as `Spool.whole` does."""
        return {name: spool.whole() for name, spool in self._spools.items()}

    def close(self) -> None:
        for spool in self._spools.values():
            spool.close()
