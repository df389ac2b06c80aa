"""TableColumn: one column of a table as it is read, and the rules that say what its values are (docs/tables.md)."""

import math
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.numerals import INTEGER, fits, is_integer, looks_like_number
from fastpack.core.ragged import Ragged, RaggedBuilder, Text, encoded, factorize, offsets_of
from fastpack.errors import FastpackError, Location, SourceError, with_location

ColumnValues = npt.NDArray[Any] | Ragged
Offsets = npt.NDArray[np.int64]

_SCALARS: dict[type, str] = {
    type(None): "missing values",
    bool: "booleans",
    int: "integers",
    float: "floats",
    str: "text",
}
_NESTED: dict[type, str] = {list: "lists", dict: "objects"}
_MAX_DEPTH = 32
_MAX_EXACT = 2**53  # all integers up to here are float64, too
# How programs write numbers.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-][0-9]+)?")
# Numbers of fewer characters without an exponent have 15 digits at most, which a float64 keeps.
_SURELY_EXACT = 16


class TableColumn:
    """Takes values some rows at a time and keeps them as text: a Python object for each would take several times the memory.

    Lists and objects become columns of their own: the items of all lists, and one for each name in the objects.

    - is_typed: the table says what is text and what is a number. Without, text that looks like a number is one.

    >>> scores = TableColumn("score", Path("t.csv"), is_typed=False)
    >>> scores.extend(["1", ""])
    >>> scores.extend(["2.5"])
    >>> [leaf.values() for leaf in scores.leaves()]
    [array([1. , nan, 2.5])]
    """

    def __init__(self, name: str, path: Path, *, is_typed: bool = True, depth: int = 0) -> None:
        self.name, self.path, self.is_typed, self._depth = name, path, is_typed, depth
        self._num_rows = 0
        self.num_missing = 0
        self.first_rows: dict[type, int] = {}  # of each type that occurs
        self._scalars = RaggedBuilder()
        self._lengths = array("q")
        self._items: TableColumn | None = None
        self._members: dict[str, TableColumn] = {}

    def __len__(self) -> int:
        return self._num_rows

    def extend(self, values: Sequence[Any]) -> None:
        """Raises SourceError for nesting without end, UnicodeEncodeError for what is not text."""
        types = set(map(type, values))
        for new in types - self.first_rows.keys():
            self.first_rows[new] = self._num_rows + next(
                row for row, value in enumerate(values) if type(value) is new
            )
        self.num_missing += values.count(None)
        self._scalars.extend(map(encoded, values if types == {str} else map(_spelled, values)))
        if list in self.first_rows:
            self._extend_items(values)
        if dict in self.first_rows:
            self._extend_members(values)
        self._num_rows += len(values)

    def _extend_items(self, values: Sequence[Any]) -> None:
        if self._items is None:
            self._items = self._below(self.name)
            self._lengths = array("q", bytes(8 * self._num_rows))
        lists = [value if type(value) is list else [] for value in values]
        self._lengths.extend(map(len, lists))
        self._items.extend(list(chain.from_iterable(lists)))

    def _extend_members(self, values: Sequence[Any]) -> None:
        objects = [value if type(value) is dict else {} for value in values]
        for name in dict.fromkeys(chain.from_iterable(objects)):
            if name not in self._members:
                self._members[name] = self._below(f"{self.name}.{name}" if self._depth else name)
                self._members[name].extend([None] * self._num_rows)
        for name, member in self._members.items():
            member.extend([each.get(name) for each in objects])

    def _below(self, name: str) -> "TableColumn":
        if self._depth == _MAX_DEPTH:
            raise SourceError(
                with_location(
                    f"column {self.name[:40]!r} is nested more than {_MAX_DEPTH} deep; write it flat",
                    Location(self.path),
                )
            )
        return TableColumn(name, self.path, is_typed=self.is_typed, depth=self._depth + 1)

    def text(self) -> Text:
        return self._scalars.finished(Text)

    def leaves(self) -> Iterator["Leaf"]:
        """The columns of numbers or text that this one comes to; what cannot be kept has a fault, which its values raise."""
        scalars = [each for each in self.first_rows if each in _SCALARS and each is not type(None)]
        kinds = [*scalars[:1], *(each for each in self.first_rows if each in _NESTED)]
        if len(kinds) > 1:
            yield Leaf(self.name, self, fault=self.mixed(kinds))
        elif kinds == [dict]:
            yield from chain.from_iterable(member.leaves() for member in self._members.values())
        elif self._items is not None:
            offsets = offsets_of(np.frombuffer(self._lengths, np.int64))
            yield from (leaf.within(offsets, self.num_missing) for leaf in self._items.leaves())
        else:
            yield Leaf(self.name, self)

    def hollow(self) -> Iterator[str]:
        """Names of the columns below this one whose objects have no members, and which come to nothing."""
        for member in [
            *self._members.values(),
            *([self._items] if self._items is not None else []),
        ]:
            if dict in member.first_rows and not member._members:
                yield member.name
            yield from member.hollow()

    def mixed(self, types: Iterable[type]) -> FastpackError:
        rows = sorted((self.first_rows[each], (_SCALARS | _NESTED)[each]) for each in types)
        found = ", ".join(f"{name} (row {row})" for row, name in rows)
        message = f"column {self.name!r} mixes {found}; write one kind, or leave the column out with fields"
        return SourceError(with_location(message, Location(self.path, record=rows[1][0])))


@dataclass(frozen=True)
class Leaf:
    """A column of scalars, or of lists of them.

    - offsets: of the rows of lists, the outermost first. Lists of lists are kept flat.
    - num_missing: lists that are missing, which are empty.
    - fault: why it cannot be kept.
    - class_names: what the table says that its integers count.
    """

    name: str
    column: TableColumn
    offsets: tuple[Offsets, ...] = ()
    num_missing: int = 0
    fault: FastpackError | None = None
    class_names: tuple[str, ...] = ()

    def within(self, offsets: Offsets, num_missing: int) -> "Leaf":
        return replace(self, offsets=(offsets, *self.offsets), num_missing=num_missing)

    @property
    def where(self) -> Location:
        return Location(self.column.path)

    def values(self, notes: list[str] | None = None) -> ColumnValues:
        """(n,) integers, float64 or Text, or a Ragged of these. Adds what was converted to `notes`. Raises SourceError."""
        if self.fault is not None:
            raise self.fault
        notes = [] if notes is None else notes
        values = _judged(self.column, notes)
        if not self.offsets:
            return values
        if self.num_missing:
            notes.append(
                f"column {self.name!r}: {self.num_missing:,} missing lists are kept as empty ones"
            )
        *outer, inner = self.offsets
        rows = Ragged(values, inner)
        for offsets in reversed(outer):
            self._refuse_uneven(rows, notes)
            rows = Ragged(values, rows.offsets[offsets])
        return rows

    def _refuse_uneven(self, rows: Ragged, notes: list[str]) -> None:
        """Lists in lists are kept flat: which only lists of one length can be read back from."""
        lengths = np.unique(rows.lengths)
        if len(lengths) > 1:
            message = f"column {self.name!r} holds lists of lists of {lengths[0]} to {lengths[-1]} values, which must be of one length"
            raise SourceError(
                with_location(
                    f"{message}; pad them, or leave the column out with fields", self.where
                )
            )
        notes.append(
            f"column {self.name!r}: its lists of {'' if not len(lengths) else lengths[0]} values are kept one after the other, flat"
        )

    def text(self, role: str) -> Text:
        """The values of a column that must be text or integers, as they are spelt. Raises SourceError."""
        if self.fault is not None:
            raise self.fault
        if self.offsets or not self.column.first_rows.keys() <= {str, int, type(None)}:
            raise SourceError(
                with_location(
                    f"column {self.name!r} cannot be {role}, since it does not hold text; name another",
                    self.where,
                )
            )
        return self.column.text()

    def labels(self, notes: list[str]) -> tuple[ColumnValues, Sequence[str]]:
        """Labels, and the names of the classes where they are text: these are numbered in sorted order."""
        if self.fault is None and not self.offsets:
            self.refuse_missing(
                "has no label; give it one, leave the row out, or name another column with label_column"
            )
        values = self.values(notes)
        is_list = isinstance(values, Ragged) and not isinstance(values, Text)
        flat: Any = values.values if is_list else values  # type: ignore[union-attr]
        names: Sequence[str]
        if isinstance(flat, Text):
            labels, names = factorize(flat)
            self._refuse_alike(names)
        else:
            labels = flat if is_list else self._whole(flat, notes)
            names = self._names_of(labels, notes)
        return (Ragged(labels, values.offsets) if is_list else labels), names  # type: ignore[union-attr]

    def _names_of(self, labels: npt.NDArray[Any], notes: list[str]) -> Sequence[str]:
        """The names of the classes that integers count, where the table has some."""
        if not self.class_names or not len(labels):
            return ()
        if labels.dtype.kind != "i" or labels.max() >= len(self.class_names):
            notes.append(
                f"column {self.name!r}: the table names {len(self.class_names)} classes, and labels are larger; these are left out"
            )
            return ()
        notes.append(f"column {self.name!r}: classes are called as the table's metadata say")
        return self.class_names

    def _refuse_alike(self, names: Sequence[str]) -> None:
        """Names that only spaces around them tell apart are one name, misspelt."""
        seen: dict[str, str] = {}
        for name in names:
            if (other := seen.setdefault(name.strip(), name)) != name:
                row = next(i for i, text in enumerate(self.column.text()) if text == name)
                message = f"column {self.name!r} holds {name!r} here and {other!r} elsewhere; spell the class in one way"
                raise SourceError(with_location(message, Location(self.column.path, record=row)))

    def _whole(self, values: npt.NDArray[Any], notes: list[str]) -> npt.NDArray[Any]:
        """pandas writes integers as 1.0 once one of them was missing."""
        if values.dtype.kind != "f":
            return values
        if (np.abs(values) <= _MAX_EXACT).all() and (values == np.trunc(values)).all():
            notes.append(
                f"column {self.name!r}: its floats are whole and are kept as integer labels"
            )
            return values.astype(np.int64)
        notes.append(
            f"column {self.name!r} holds floats: the labels are numbers to predict, not classes"
        )
        return values

    def refuse_missing(self, why: str) -> None:
        """Raises SourceError for the first row without a value."""
        texts = self.column.text()
        are_floats = float in self.column.first_rows
        if texts.lengths.all() and not are_floats:
            return
        if found := _first(texts, lambda text: not text or (are_floats and text == "nan")):
            raise SourceError(
                with_location(
                    f"column {self.name!r}: the row {why}",
                    Location(self.column.path, record=found[0]),
                )
            )


def _spelled(value: Any) -> str:
    if value is None or type(value) in _NESTED:
        return ""
    return str(int(value)) if type(value) is bool else str(value)


# What the values of a column are.


def _judged(column: TableColumn, notes: list[str]) -> ColumnValues:
    types = column.first_rows.keys() - {type(None)}
    text = column.text()
    if not text.lengths.any():
        notes.append(f"column {column.name!r} has no values; it is kept as empty text")
        return text
    if not column.is_typed:
        return _guessed(column, text, notes)
    if types == {str}:
        if column.num_missing:
            notes.append(
                f"column {column.name!r}: {column.num_missing:,} missing values are kept as empty text"
            )
        return text
    if str in types:
        raise column.mixed(types)
    if types == {bool}:
        notes.append(f"column {column.name!r}: true and false are kept as 1 and 0")
    if float in types or column.num_missing:
        return _floats(column, text, notes)
    return _integers(column, text)


def _integers(column: TableColumn, text: Text) -> npt.NDArray[np.int64]:
    try:
        return np.fromiter(map(int, text), np.int64, len(text))
    except OverflowError as error:
        row, number = _first(text, lambda number: not fits(number)) or (0, "")
        message = f"column {column.name!r} holds {number}, which does not fit into 64 bits; write it as text"
        raise SourceError(with_location(message, Location(column.path, record=row))) from error


def _floats(column: TableColumn, text: Text, notes: list[str]) -> npt.NDArray[np.float64]:
    """NaN where a value is missing. Integers among floats, or among missing values, must be floats, too."""
    if int in column.first_rows and (
        found := _first(
            text, lambda number: INTEGER.fullmatch(number) and abs(int(number)) > _MAX_EXACT
        )
    ):
        row, number = found
        why = "missing values" if column.num_missing else "floats"
        message = f"column {column.name!r} holds {number} beside {why}, and a float64 cannot hold both exactly"
        raise SourceError(
            with_location(
                f"{message}; write the column as text, or leave it out with fields",
                Location(column.path, record=row),
            )
        )
    _note_missing(column, text, notes)
    return _as_floats(text)


def _guessed(column: TableColumn, text: Text, notes: list[str]) -> ColumnValues:
    if found := _first(text, lambda cell: cell and not is_number(cell)):
        row, cell = found
        if looks_like_number(cell):
            notes.append(
                f"column {column.name!r} is kept as text, since {cell[:40]!r} in row {row} is not a plain number (docs/tables.md)"
            )
        return text
    are_integers = all(map(is_integer, filter(None, text)))
    if are_integers and text.lengths.all():
        return np.fromiter(map(int, text), np.int64, len(text))
    if found := _first(text, lambda cell: cell and not _is_exact(cell)):
        notes.append(
            f"column {column.name!r} is kept as text, since no float64 is exactly {found[1]} (row {found[0]})"
        )
        return text
    _note_missing(column, text, notes)
    return _as_floats(text)


def _as_floats(text: Text) -> npt.NDArray[np.float64]:
    return np.fromiter((float(cell) if cell else math.nan for cell in text), np.float64, len(text))


def _note_missing(column: TableColumn, text: Text, notes: list[str]) -> None:
    if num_missing := int(np.count_nonzero(text.lengths == 0)):
        notes.append(
            f"column {column.name!r}: {num_missing:,} missing values are kept as NaN, and its numbers as floats"
        )


def _first(text: Text, is_wanted: Callable[[str], Any]) -> tuple[int, str] | None:
    return next(((row, cell) for row, cell in enumerate(text) if is_wanted(cell)), None)


def is_number(cell: str) -> bool:
    """Whether text is spelt as programs write numbers, and is a 64-bit one exactly.

    >>> [is_number(cell) for cell in ("7", "0.50", "1e-05", "007", "1_0", "+1", "1e5", "nan", "0.1234567890123456789")]
    [True, True, True, False, False, False, False, False, False]
    """
    return is_integer(cell) or (_NUMBER.fullmatch(cell) is not None and _is_exact(cell))


def _is_exact(cell: str) -> bool:
    """Whether the shortest spelling of the nearest float64 is the same number."""
    if len(cell) < _SURELY_EXACT and "e" not in cell.lower():
        return True
    number = float(cell)
    return math.isfinite(number) and Decimal(repr(number)) == Decimal(cell)
