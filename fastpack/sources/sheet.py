"""Sheet: a table as columns. Reads CSV and JSON lines (docs/tables.md)."""

import csv
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

from fastpack.errors import (
    EmptySourceError,
    Location,
    SourceError,
    UnreadableFileError,
    os_errors_at,
    with_location,
)
from fastpack.files.image_tree import IMAGE_SUFFIXES
from fastpack.sources.column import Leaf, TableColumn

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
# Rows that exist as Python objects at one time.
_BLOCK_ROWS = 4096
# Characters of a cell. The default of the module `csv`, 131,072, is too low for polygons.
_MAX_CELL = 2**31 - 1
_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
_PANDAS_INDEX = "__index_level_0__"
_MAX_SHOWN = 20  # names of columns in a message


def is_table(path: str | Path) -> bool:
    """Return True for the name of a table.

    Args:
        path: of a file, or of a folder NAME.parquet, as Spark writes it.

    Returns:
        True if `from_table` reads files of this suffix.

    Raises:
        TypeError: `path` is not a path.

    Example:
        >>> is_table("train.csv"), is_table("train.h5")
        (True, False)
    """
    suffix = Path(path).suffix.lower()
    return suffix in TABLE_SUFFIXES and (suffix == ".parquet" or not os.path.isdir(path))


@dataclass(frozen=True)
class Sheet:
    """A table as it was read.

    Args:
        path: of the table.
        leaves: its columns by name, in order. Their values are not converted yet.
        cells: columns of bytes, by name. Only Parquet has them.
        notes: renamed columns and omissions.
    """

    path: Path
    leaves: dict[str, Leaf]
    cells: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> str:
        """The first 20 names, for messages."""
        names = [*self.leaves, *self.cells]
        if not names:
            return "none"
        more = len(names) - _MAX_SHOWN
        return ", ".join(names[:_MAX_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def read_sheet(path: Path) -> Sheet:
    """Read a table. Raises SourceError, EmptySourceError or UnreadableFileError."""
    notes = list[str]()
    with os_errors_at(path, "read the table"), _format_errors(path):
        _refuse_pipes(path)
        found = list(_read(path, notes))
    if not any(len(each.column) for each in found):
        message = "the table has no rows; a header alone names no images"
        raise EmptySourceError(with_location(message, Location(path)))
    named = {each.name: each for each in _named(found, path, notes)}
    leaves = {name: each for name, each in named.items() if isinstance(each, Leaf)}
    cells = {name: each for name, each in named.items() if name not in leaves}
    return Sheet(path, leaves, cells, notes)


@contextmanager
def _format_errors(path: Path) -> Iterator[None]:
    """Turn errors of the CSV parser and of text encodings into SourceErrors."""
    try:
        yield
    except csv.Error as error:
        message = f"the table cannot be read as CSV ({error})"
        remedy = "correct it, or save it as JSONL or Parquet"
        raise SourceError(with_location(f"{message}; {remedy}", Location(path))) from error
    except UnicodeDecodeError as error:
        message = f"the table is not UTF-8 ({error.reason}); save it as UTF-8"
        raise SourceError(with_location(message, Location(path, offset=error.start))) from error
    except UnicodeEncodeError as error:
        message = f"{error.object[:80]!r} is not valid text, nor a file name: {error.reason}"
        raise SourceError(with_location(f"{message}; correct it", Location(path))) from error


def _refuse_pipes(path: Path) -> None:
    """Refuse pipes, which would block, and devices, which may be endless."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not (stat.S_ISDIR(mode) and is_table(path)):
        message = "a table must be a regular file; save its rows to one"
        raise UnreadableFileError(with_location(message, Location(path)))


def _read(path: Path, notes: list[str]) -> Iterable[Any]:
    if path.suffix.lower() == ".parquet":
        from fastpack.sources.parquet import parquet_columns  # late, for import time

        return parquet_columns(path, notes)
    with open(path, encoding="utf-8-sig", newline="") as file:
        read = _json_leaves if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_leaves
        return list(read(file, path, notes))


def _named(columns: Sequence[Any], path: Path, notes: list[str]) -> Iterator[Any]:
    """Return the columns with unique, nonempty names.

    A column without a name is left out.
    """
    seen = set[str]()
    for number, column in enumerate(columns):
        name = column.name.strip()
        if not name or name == _PANDAS_INDEX:
            is_pandas = number == 0 or name
            pandas = "; pandas writes its index so, unless index=False" if is_pandas else ""
            notes.append(f"column {number} has no name and is left out{pandas}")
            continue
        if name != column.name:
            notes.append(f"column {column.name!r} is called {name!r}, without the spaces")
        _refuse_name(name, seen, path)
        yield column if name == column.name else replace(column, name=name)


def _refuse_name(name: str, seen: set[str], path: Path) -> None:
    if name in seen:
        message = f"two columns are called {name[:80]!r}; rename one of them"
        raise SourceError(with_location(message, Location(path)))
    if "\0" in name or not name.isprintable():
        message = f"the column name {name[:80]!r} has characters that are not text; rename it"
        raise SourceError(with_location(message, Location(path)))
    seen.add(name)


# CSV


def _csv_leaves(file: IO[str], path: Path, notes: list[str]) -> Iterator[Leaf]:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    header = file.readline()
    delimiter = _delimiter(header, path, notes)
    spaced = any(name.startswith(" ") for name in header.split(delimiter))
    if spaced:
        notes.append("spaces after a delimiter are left out, in the header and in all rows")
    file.seek(0)
    rows = filter(None, csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=spaced))
    names = next(rows, [])
    images = (name for name in names if name.strip().lower().endswith(IMAGE_SUFFIXES))
    if image := next(images, None):
        message = f"the first row must be a header, and it holds {image!r}"
        remedy = "add a row of column names, such as path,label"
        raise SourceError(with_location(f"{message}; {remedy}", Location(path)))
    columns = [TableColumn(name, path, is_typed=False) for name in names]
    full = _full_rows(rows, len(names), path)
    while block := list(islice(full, _BLOCK_ROWS)):
        for column, values in zip(columns, zip(*block, strict=True), strict=True):
            column.extend(values)
    return (Leaf(column.name, column) for column in columns)


def _delimiter(header: str, path: Path, notes: list[str]) -> str:
    """Return the usual delimiter of the ending, or else the header's most frequent."""
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    likely = max(_DELIMITERS, key=header.count)
    if usual in header or not header.count(likely):
        return usual
    notes.append(f"columns are separated by {_DELIMITERS[likely]}, as in the header")
    return likely


def _full_rows(rows: Iterable[list[str]], num_names: int, path: Path) -> Iterator[list[str]]:
    for number, row in enumerate(rows):
        if len(row) != num_names:
            message = f"the row has {len(row)} values and the header {num_names} names"
            here = Location(path, record=number)
            raise SourceError(with_location(f"{message}; correct the row", here))
        yield row


# JSON lines


def _json_leaves(file: IO[str], path: Path, notes: list[str]) -> Iterator[Leaf]:
    root = TableColumn("", path)
    rows = _json_rows(file, path)
    while block := list(islice(rows, _BLOCK_ROWS)):
        root.extend(block)
    empty = root.empty_objects()
    notes.extend(f"column {name!r} holds only empty objects and is left out" for name in empty)
    return root.leaves() if len(root) else iter(())


def _json_rows(file: IO[str], path: Path) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=_finite)
    for number, line in enumerate(file):
        if not (text := line.strip()):
            continue
        here = Location(path, record=number)
        try:
            row = decoder.decode(text)
        except (ValueError, RecursionError) as error:
            message = f"line {number + 1} is not valid JSON ({error})"
            text = with_location(f"{message}; write one object in each line", here)
            raise SourceError(text) from error
        if not isinstance(row, dict):
            message = f"line {number + 1} is not an object"
            remedy = "write {...} in each line, with a name for each value"
            raise SourceError(with_location(f"{message}; {remedy}", here))
        yield row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has one name twice")
    return found


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"{text[:40]} does not fit into a float64")
    return number
