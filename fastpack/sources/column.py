"""TableColumn: one column of a table as it is read: text in one piece of memory, and what all of its values can be."""

import math
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.errors import Place, SourceError, at
from fastpack.ragged import Growing, Text, encoded, numbered
from fastpack.sources.paths import ColumnValues

_BOOLEANS = {"True": "1", "False": "0"}


class TableColumn:
    """Takes values some rows at a time, and keeps them as text: a Python object for each would take several times the memory. What they
    are is only known at the end: a column of numbers may turn to names in its last row.

    >>> scores = TableColumn("score", Path("t.csv"))
    >>> scores.extend(["1", ""])
    >>> scores.extend([2.5])
    >>> scores.typed()
    array([1. , nan, 2.5], dtype=float32)
    """

    def __init__(self, name: str, path: Path) -> None:
        self._name, self._path, self._num_rows = name, path, 0
        self._growing = Growing()
        self._types: set[type] = set()
        self._are_integers = self._are_floats = True

    def __len__(self) -> int:
        return self._num_rows

    def extend(self, values: Sequence[Any]) -> None:
        types = set(map(type, values))
        texts = values if types == {str} else list(map(_text_of, values))
        if bool in types:
            numbers: Sequence[str] = [_BOOLEANS[text] if type(value) is bool else text for value, text in zip(values, texts, strict=True)]
        else:
            numbers = texts
        self._types |= types
        self._are_integers = self._are_integers and _all_are(int, numbers)
        self._are_floats = self._are_floats and (self._are_integers or _all_are(_float, numbers))
        self._growing.extend(map(encoded, texts))
        self._num_rows += len(values)

    def text(self) -> Text:
        return self._growing.finished(Text)

    def typed(self) -> ColumnValues:
        """Integers if all are, else floats if all are, else text. A missing value is NaN among numbers, "" in text."""
        text = self.text()
        if self._are_integers:
            return self._integers(text)
        if self._are_floats and len(text.values):
            return np.fromiter(map(_float, self._numbers(text)), np.float32, len(text))
        if not self._types.isdisjoint((list, dict)):
            message = f"column {self._name!r} holds lists or objects; a column has one number or text for each image"
            raise SourceError(at(message, Place(self._path)))
        return text

    def labels(self) -> tuple[npt.NDArray[np.int64], Sequence[str]]:
        """Integers as they are; else the number of each name in sorted order, and the names."""
        if self._are_integers:
            return self._integers(self.text()), ()
        if not self._types.isdisjoint((NoneType, float, Decimal)):
            raise SourceError(at(f"column {self._name!r} must hold integers or names in every row", Place(self._path)))
        return numbered(self.text())

    def _integers(self, text: Text) -> npt.NDArray[np.int64]:
        try:
            return np.fromiter(map(int, self._numbers(text)), np.int64, len(text))
        except OverflowError as error:
            row = next(row for row, number in enumerate(self._numbers(text)) if not -(2**63) <= int(number) < 2**63)
            message = f"column {self._name!r} holds {text[row]}, which does not fit into 64 bits; correct it"
            raise SourceError(at(message, Place(self._path, record=row))) from error

    def _numbers(self, text: Text) -> Iterable[str]:
        """Where all can be numbers, only booleans are spelt like this."""
        return (_BOOLEANS.get(each, each) for each in text) if bool in self._types else text


def _text_of(value: Any) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _float(text: str) -> float:
    return float(text) if text else math.nan


def _all_are(kind: Callable[[str], Any], texts: Iterable[str]) -> bool:
    try:
        for text in texts:
            kind(text)
    except ValueError:
        return False
    return True
