"""Reads tables as columns: CSV and JSON lines here, Parquet in parquet.py; then the rules that all share (docs/tables.md)."""

import csv
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

from fastpack.errors import (
    EmptySourceError,
    Location,
    MissingFileError,
    SourceError,
    UnreadableFileError,
    from_os_error,
    with_location,
)
from fastpack.files.image_folder import IMAGE_SUFFIXES
from fastpack.sources.column import Leaf, TableColumn

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
# Rows that are there as Python objects at one time.
_BLOCK_ROWS = 4096
# Characters of a cell. The module `csv` takes 131,072 unasked, fewer than a polygon or a text may have.
_MAX_CELL = 2**31 - 1
_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def is_table(path: str | Path) -> bool:
    """Whether it is called like one; of folders, only NAME.parquet is, as Spark writes them."""
    suffix = Path(path).suffix.lower()
    return suffix in TABLE_SUFFIXES and (suffix == ".parquet" or not os.path.isdir(path))


@dataclass(frozen=True)
class Sheet:
    """A table as it was read.

    - leaves: its columns, by name, in order; none of their values has been judged yet.
    - cells: the columns of bytes, which Parquet can hold.
    - notes: what was renamed or left out.
    """

    path: Path
    leaves: dict[str, Leaf]
    cells: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> str:
        """For messages, in which 5,000 would hide what is wrong."""
        shown = [*self.leaves, *self.cells]
        return (
            ", ".join(shown[:20]) + (f" and {len(shown) - 20:,} more" if len(shown) > 20 else "")
            if shown
            else "none"
        )


def read_sheet(path: Path) -> Sheet:
    """Raises SourceError, EmptySourceError, MissingFileError or UnreadableFileError."""
    try:
        _refuse_pipes(path)
        found = list(_read(path, notes := list[str]()))
    except OSError as error:
        raise (
            error
            if isinstance(error, (MissingFileError, UnreadableFileError))
            else from_os_error(error, "read the table", path)
        ) from error
    except csv.Error as error:
        message = (
            f"the table cannot be read as CSV ({error}); correct it, or save it as JSONL or Parquet"
        )
        raise SourceError(with_location(message, Location(path))) from error
    except UnicodeDecodeError as error:
        raise SourceError(
            with_location(
                f"the table is not UTF-8 ({error.reason}); save it as UTF-8",
                Location(path, offset=error.start),
            )
        ) from error
    except UnicodeEncodeError as error:
        message = (
            f"{error.object[:80]!r} is neither text nor a file's name: {error.reason}; correct it"
        )
        raise SourceError(with_location(message, Location(path))) from error
    if not any(len(each.column) for each in found):
        raise EmptySourceError(
            with_location("the table has no rows; a header alone names no images", Location(path))
        )
    named = {each.name: each for each in _named(found, path, notes)}
    leaves = {name: each for name, each in named.items() if isinstance(each, Leaf)}
    return Sheet(
        path, leaves, {name: each for name, each in named.items() if name not in leaves}, notes
    )


def _refuse_pipes(path: Path) -> None:
    """A pipe would block for ever, and a device may have no end."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not (stat.S_ISDIR(mode) and is_table(path)):
        raise UnreadableFileError(
            with_location("a table must be a regular file; save its rows to one", Location(path))
        )


def _read(path: Path, notes: list[str]) -> Iterable[Any]:
    if path.suffix.lower() == ".parquet":
        from fastpack.sources.parquet import parquet_columns  # late, as pyarrow is

        return parquet_columns(path, notes)
    with open(path, encoding="utf-8-sig", newline="") as file:
        read = _json_leaves if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_leaves
        return list(read(file, path, notes))


def _named(columns: Sequence[Any], path: Path, notes: list[str]) -> Iterator[Any]:
    """The columns by the names that they will have: no two alike, none of them empty."""
    seen = set[str]()
    for number, column in enumerate(columns):
        name = column.name.strip()
        if (
            not name or name == "__index_level_0__"
        ):  # of pandas, which has the index of its rows there
            pandas = (
                "; pandas writes its index so, unless index=False" if not number or name else ""
            )
            notes.append(f"column {number} has no name and is left out{pandas}")
            continue
        if name != column.name:
            notes.append(f"column {column.name!r} is called {name!r}, without the spaces")
        _refuse_name(name, seen, path)
        yield column if name == column.name else replace(column, name=name)


def _refuse_name(name: str, seen: set[str], path: Path) -> None:
    if name in seen:
        raise SourceError(
            with_location(
                f"two columns are called {name[:80]!r}; rename one of them", Location(path)
            )
        )
    if "\0" in name or not name.isprintable():
        raise SourceError(
            with_location(
                f"the column name {name[:80]!r} holds characters that are not text; rename it",
                Location(path),
            )
        )
    seen.add(name)


# CSV


def _csv_leaves(file: IO[str], path: Path, notes: list[str]) -> Iterator[Leaf]:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    header = file.readline()
    delimiter = _delimiter(header, path, notes)
    spaced = any(name.startswith(" ") for name in header.split(delimiter))
    if spaced:
        notes.append("spaces that follow a delimiter are left out, in the header and in all rows")
    file.seek(0)
    rows = filter(None, csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=spaced))
    names = next(rows, [])
    if found := next(
        (name for name in names if name.strip().lower().endswith(IMAGE_SUFFIXES)), None
    ):
        message = f"the first row must be a header, and it holds {found!r}; add a row of column names, such as path,label"
        raise SourceError(with_location(message, Location(path)))
    columns = [TableColumn(name, path, is_typed=False) for name in names]
    full = _full_rows(rows, len(names), path)
    while block := list(islice(full, _BLOCK_ROWS)):
        for column, values in zip(columns, zip(*block, strict=True), strict=True):
            column.extend(values)
    return (Leaf(column.name, column) for column in columns)


def _delimiter(header: str, path: Path, notes: list[str]) -> str:
    """That of the file's ending; where the header has none of these, the one that it has most of."""
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    likely = max(_DELIMITERS, key=header.count)
    if usual in header or not header.count(likely):
        return usual
    notes.append(f"columns are separated by {_DELIMITERS[likely]}, as the header is")
    return likely


def _full_rows(rows: Iterable[list[str]], num_names: int, path: Path) -> Iterator[list[str]]:
    for number, row in enumerate(rows):
        if len(row) != num_names:
            message = f"the row has {len(row)} values and the header {num_names} names: not as many values as names; correct the row"
            raise SourceError(with_location(message, Location(path, record=number)))
        yield row


# JSON lines


def _json_leaves(file: IO[str], path: Path, notes: list[str]) -> Iterator[Leaf]:
    root = TableColumn("", path)
    rows = _json_rows(file, path)
    while block := list(islice(rows, _BLOCK_ROWS)):
        root.extend(block)
    notes.extend(
        f"column {name!r} holds only empty objects and is left out" for name in root.hollow()
    )
    return root.leaves() if len(root) else iter(())


def _json_rows(file: IO[str], path: Path) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=_finite)
    for number, line in enumerate(file):
        if not (text := line.strip()):
            continue
        try:
            row = decoder.decode(text)
        except (ValueError, RecursionError) as error:
            message = f"line {number + 1} is not JSON that can be read ({error}); write one object in each line"
            raise SourceError(with_location(message, Location(path, record=number))) from error
        if not isinstance(row, dict):
            message = f"line {number + 1} is not an object; write {{...}} in each line, with a name for each value"
            raise SourceError(with_location(message, Location(path, record=number)))
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
