"""TableColumn: a column of a table as text.

Leaf: its values, by the rules of docs/tables.md.
"""

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
_MAX_EXACT = 2**53  # a float64 has all integers up to here
# Numbers as programs write them.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-][0-9]+)?")
# Shorter numbers without an exponent have at most 15 digits, which a float64 keeps.
_SURELY_EXACT = 16


class TableColumn:
    """A column that grows by blocks of rows. Values are kept as text.

    A Python object for each would take several times the memory. The items of lists are a column
    of their own, and so are the members of objects, by name.

    Args:
        name: of the column.
        path: of the table.
        is_typed: the table distinguishes text and numbers. Without, text like a number is one.
        depth: number of lists and objects around the values.

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
        self.first_rows: dict[type, int] = {}  # type -> the first row that has it
        self._scalars = RaggedBuilder()
        self._lengths = array("q")
        self._items: TableColumn | None = None
        self._members: dict[str, TableColumn] = {}

    def __len__(self) -> int:
        return self._num_rows

    def extend(self, values: Sequence[Any]) -> None:
        """Append values. Raises SourceError (deep nesting) or UnicodeEncodeError."""
        types = set(map(type, values))
        for new in types - self.first_rows.keys():
            first = next(row for row, value in enumerate(values) if type(value) is new)
            self.first_rows[new] = self._num_rows + first
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
            message = f"column {self.name[:40]!r} is nested more than {_MAX_DEPTH} deep"
            raise SourceError(with_location(f"{message}; write it flat", Location(self.path)))
        return TableColumn(name, self.path, is_typed=self.is_typed, depth=self._depth + 1)

    def text(self) -> Text:
        """Return the values as they are spelled."""
        return self._scalars.finished(Text)

    def leaves(self) -> Iterator["Leaf"]:
        """Return the columns of numbers or text in this one.

        One of mixed types has a fault.
        """
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

    def empty_objects(self) -> Iterator[str]:
        """Return the names of inner columns whose objects have no members, and so no leaf."""
        items = [] if self._items is None else [self._items]
        for inner in [*self._members.values(), *items]:
            if dict in inner.first_rows and not inner._members:
                yield inner.name
            yield from inner.empty_objects()

    def mixed(self, types: Iterable[type]) -> FastpackError:
        """Return the error of a column with values of these types."""
        rows = sorted((self.first_rows[each], (_SCALARS | _NESTED)[each]) for each in types)
        found = ", ".join(f"{name} (row {row})" for row, name in rows)
        remedy = "write one kind, or leave the column out with fields"
        message = f"column {self.name!r} mixes {found}; {remedy}"
        return SourceError(with_location(message, Location(self.path, record=rows[1][0])))


@dataclass(frozen=True)
class Leaf:
    """A column of n scalars, or of lists of them.

    Args:
        name: of the field.
        column: the scalars.
        offsets: of the rows of lists, the outermost first. Lists of lists are kept flat.
        num_missing: missing lists, which are kept as empty ones.
        fault: the error that its values raise.
        class_names: names of its integers in the table's metadata.
    """

    name: str
    column: TableColumn
    offsets: tuple[Offsets, ...] = ()
    num_missing: int = 0
    fault: FastpackError | None = None
    class_names: tuple[str, ...] = ()

    def within(self, offsets: Offsets, num_missing: int) -> "Leaf":
        """Return the leaf as the items of lists with these offsets."""
        return replace(self, offsets=(offsets, *self.offsets), num_missing=num_missing)

    @property
    def location(self) -> Location:
        """The table."""
        return Location(self.column.path)

    def values(self, notes: list[str] | None = None) -> ColumnValues:
        """Return the values (n,): integers, float64, Text, or a Ragged of these.

        Adds a sentence on each conversion to `notes`. Raises SourceError.
        """
        if self.fault is not None:
            raise self.fault
        notes = [] if notes is None else notes
        values = _values_of(self.column, notes)
        if not self.offsets:
            return values
        if self.num_missing:
            count = f"{self.num_missing:,}"
            notes.append(f"column {self.name!r}: {count} missing lists are kept as empty ones")
        *outer, inner = self.offsets
        rows = Ragged(values, inner)
        for offsets in reversed(outer):
            self._refuse_uneven(rows, notes)
            rows = Ragged(values, rows.offsets[offsets])
        return rows

    def _refuse_uneven(self, rows: Ragged, notes: list[str]) -> None:
        """Refuse lists of lists of different lengths: they are kept flat, without lengths."""
        lengths = np.unique(rows.lengths)
        if len(lengths) > 1:
            found = f"lists of lists of {lengths[0]} to {lengths[-1]} values"
            message = f"column {self.name!r} holds {found}, which must be of one length"
            remedy = "pad them, or leave the column out with fields"
            raise SourceError(with_location(f"{message}; {remedy}", self.location))
        count = f"{lengths[0]} values" if len(lengths) else "values"
        notes.append(f"column {self.name!r}: its lists of {count} are kept one after another, flat")

    def text(self, role: str) -> Text:
        """Return values that must be text or integers, as they are spelled."""
        if self.fault is not None:
            raise self.fault
        if self.offsets or not self.column.first_rows.keys() <= {str, int, type(None)}:
            message = f"column {self.name!r} cannot be {role}, since it does not hold text"
            raise SourceError(with_location(f"{message}; name another", self.location))
        return self.column.text()

    def labels(self, notes: list[str]) -> tuple[ColumnValues, Sequence[str]]:
        """Return the labels, and the class names.

        Text labels are numbered in sorted order.
        """
        if self.fault is None and not self.offsets:
            remedy = "give it one, leave the row out, or name another column with label_column"
            self.refuse_missing(f"has no label; {remedy}")
        values = self.values(notes)
        if isinstance(values, Ragged) and not isinstance(values, Text):
            labels, names = self._numbered(values.values, notes)
            return Ragged(labels, values.offsets), names
        if isinstance(values, np.ndarray):
            values = self._whole(values, notes)
        return self._numbered(values, notes)

    def _numbered(self, values: Any, notes: list[str]) -> tuple[npt.NDArray[Any], Sequence[str]]:
        """Return labels without lists, and their class names."""
        if isinstance(values, Text):
            labels, names = factorize(values)
            self._refuse_alike(names)
            return labels, names
        return values, self._names_of(values, notes)

    def _names_of(self, labels: npt.NDArray[Any], notes: list[str]) -> Sequence[str]:
        """Return the class names in the table's metadata, if they cover all labels."""
        if not self.class_names or not len(labels):
            return ()
        if labels.dtype.kind != "i" or labels.max() >= len(self.class_names):
            found = f"the table names {len(self.class_names)} classes, and labels are larger"
            notes.append(f"column {self.name!r}: {found}; these names are left out")
            return ()
        notes.append(f"column {self.name!r}: class names are those of the table's metadata")
        return self.class_names

    def _refuse_alike(self, names: Sequence[str]) -> None:
        """Refuse names that differ only in outer spaces: they are one name."""
        seen: dict[str, str] = {}
        for name in names:
            if (other := seen.setdefault(name.strip(), name)) != name:
                row = next(i for i, text in enumerate(self.column.text()) if text == name)
                message = f"column {self.name!r} holds {name!r} here and {other!r} elsewhere"
                here = Location(self.column.path, record=row)
                raise SourceError(with_location(f"{message}; spell the class in one way", here))

    def _whole(self, values: npt.NDArray[Any], notes: list[str]) -> npt.NDArray[Any]:
        """Return whole floats as integers: pandas writes 1.0 if one integer was missing."""
        if values.dtype.kind != "f":
            return values
        name = f"column {self.name!r}"
        if (np.abs(values) <= _MAX_EXACT).all() and (values == np.trunc(values)).all():
            notes.append(f"{name}: its floats are whole and are kept as integer labels")
            return values.astype(np.int64)
        notes.append(f"{name} holds floats: the labels are numbers to predict, not classes")
        return values

    def refuse_missing(self, why: str) -> None:
        """Raise SourceError for the first row without a value."""
        texts = self.column.text()
        are_floats = float in self.column.first_rows
        if texts.lengths.all() and not are_floats:
            return
        if found := _first(texts, lambda text: not text or (are_floats and text == "nan")):
            here = Location(self.column.path, record=found[0])
            raise SourceError(with_location(f"column {self.name!r}: the row {why}", here))


def _spelled(value: Any) -> str:
    if value is None or type(value) in _NESTED:
        return ""
    return str(int(value)) if type(value) is bool else str(value)


# The values of a column


def _values_of(column: TableColumn, notes: list[str]) -> ColumnValues:
    types = column.first_rows.keys() - {type(None)}
    text, name = column.text(), f"column {column.name!r}"
    if not text.lengths.any():
        notes.append(f"{name} has no values; it is kept as empty text")
        return text
    if not column.is_typed:
        return _guessed(column, text, notes)
    if types == {str}:
        if column.num_missing:
            notes.append(f"{name}: {column.num_missing:,} missing values are kept as empty text")
        return text
    if str in types:
        raise column.mixed(types)
    if types == {bool}:
        notes.append(f"{name}: true and false are kept as 1 and 0")
    if float in types or column.num_missing:
        return _floats(column, text, notes)
    return _integers(column, text)


def _integers(column: TableColumn, text: Text) -> npt.NDArray[np.int64]:
    try:
        return np.fromiter(map(int, text), np.int64, len(text))
    except OverflowError as error:
        row, number = _first(text, lambda number: not fits(number)) or (0, "")
        message = f"column {column.name!r} holds {number}, which does not fit into 64 bits"
        here = Location(column.path, record=row)
        raise SourceError(with_location(f"{message}; write it as text", here)) from error


def _floats(column: TableColumn, text: Text, notes: list[str]) -> npt.NDArray[np.float64]:
    """Return floats, NaN for missing values.

    Integers beside these must be exact floats too.
    """
    if int in column.first_rows and (found := _first(text, _is_large_integer)):
        row, number = found
        why = "missing values" if column.num_missing else "floats"
        message = f"column {column.name!r} holds {number} beside {why}"
        remedy = "write the column as text, or leave it out with fields"
        text_of = f"{message}, and a float64 cannot hold both exactly; {remedy}"
        raise SourceError(with_location(text_of, Location(column.path, record=row)))
    _note_missing(column, text, notes)
    return _as_floats(text)


def _is_large_integer(cell: str) -> bool:
    return INTEGER.fullmatch(cell) is not None and abs(int(cell)) > _MAX_EXACT


def _guessed(column: TableColumn, text: Text, notes: list[str]) -> ColumnValues:
    kept = f"column {column.name!r} is kept as text"
    if found := _first(text, lambda cell: cell and not is_number(cell)):
        row, cell = found
        if looks_like_number(cell):
            why = f"{cell[:40]!r} in row {row} is not a plain number (docs/tables.md)"
            notes.append(f"{kept}, since {why}")
        return text
    are_integers = all(map(is_integer, filter(None, text)))
    if are_integers and text.lengths.all():
        return np.fromiter(map(int, text), np.int64, len(text))
    if found := _first(text, lambda cell: cell and not _is_exact(cell)):
        notes.append(f"{kept}, since no float64 is exactly {found[1]} (row {found[0]})")
        return text
    _note_missing(column, text, notes)
    return _as_floats(text)


def _as_floats(text: Text) -> npt.NDArray[np.float64]:
    return np.fromiter((float(cell) if cell else math.nan for cell in text), np.float64, len(text))


def _note_missing(column: TableColumn, text: Text, notes: list[str]) -> None:
    if num_missing := int(np.count_nonzero(text.lengths == 0)):
        kept = f"{num_missing:,} missing values are kept as NaN, and its numbers as floats"
        notes.append(f"column {column.name!r}: {kept}")


def _first(text: Text, is_wanted: Callable[[str], Any]) -> tuple[int, str] | None:
    return next(((row, cell) for row, cell in enumerate(text) if is_wanted(cell)), None)


def is_number(cell: str) -> bool:
    """Return True for a number as programs write it that is exact in 64 bits.

    >>> [is_number(cell) for cell in ("7", "0.50", "1e-05", "007", "1_0", "+1", "1e5", "nan")]
    [True, True, True, False, False, False, False, False]
    >>> is_number("0.1234567890123456789")
    False
    """
    return is_integer(cell) or (_NUMBER.fullmatch(cell) is not None and _is_exact(cell))


def _is_exact(cell: str) -> bool:
    """Return True if the shortest spelling of the nearest float64 is the same number."""
    if len(cell) < _SURELY_EXACT and "e" not in cell.lower():
        return True
    number = float(cell)
    return math.isfinite(number) and Decimal(repr(number)) == Decimal(cell)
