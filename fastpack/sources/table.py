"""A table with a row for each image: CSV, JSON lines or Parquet, as Hugging Face's imagefolder has it."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastpack.errors import EmptySourceError, MissingPackageError, Place, SourceError, at, from_os_error
from fastpack.filenames import FileNames
from fastpack.ragged import Text
from fastpack.sources.paths import ColumnValues, Paths, relative_key

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_PATH_COLUMNS = ("file_name", "path", "file", "filename", "image")
_LABEL_COLUMNS = ("label", "labels", "class", "target")


def table(
    path: str | Path,
    *,
    root: str | Path | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    allow_external: bool = False,
) -> Paths:
    """The images that a table names, in its order, with its other columns.

    - root: what the table's paths are relative to; None is the table's folder.
    - path_column: None takes the first of file_name, path, file, filename, image.
    - label_column: None takes the first of label, labels, class, target, if there. Integers are taken
      as they are; names are numbered in sorted order and become the class names.
    - allow_external: take files outside of `root` too, which a path or a link leads to.

    Every other column becomes a field: integers, floats or text. The key is the path below `root`, or, of one that leads out
    of it, the path as the table has it. Such a file is a fault and is not looked at, unless `allow_external` is asked for.
    Raises SourceError when a column is missing.
    """
    path = Path(path)
    columns = _read_columns(path)
    where = Place(path)
    path_column = path_column or _first_of(_PATH_COLUMNS, columns)
    if path_column is None or path_column not in columns:
        raise SourceError(at(f"no column of file names among {', '.join(columns) or 'none'}; name it with path_column", where))
    label_column = label_column or _first_of(_LABEL_COLUMNS, columns)
    if label_column is not None and label_column not in columns:
        raise SourceError(at(f"no column {label_column!r} among {', '.join(columns)}", where))
    names = [str(name) for name in columns.pop(path_column)]
    labels, class_names = _labels(columns.pop(label_column), label_column, where) if label_column else (None, ())
    folder = Path(root) if root is not None else path.parent
    extra = {name: _typed(values, name, where) for name, values in columns.items() if name not in ("image", "label", "key")}
    return Paths(
        FileNames(folder / name for name in names),
        labels,
        keys=Text.of(_key(name, folder) for name in names),
        class_names=class_names,
        columns=extra,
        root=None if allow_external else folder,
    )


def _first_of(wanted: Sequence[str], columns: Mapping[str, Any]) -> str | None:
    return next((name for name in wanted if name in columns), None)


def _key(name: str, root: Path) -> str:
    key = relative_key(root / name, root)
    return name if key.split("/")[0] == ".." else key


def _read_columns(path: Path) -> dict[str, list[Any]]:
    try:
        if path.suffix.lower() == ".parquet":
            return _read_parquet(path)
        with open(path, encoding="utf-8-sig", newline="") as file:
            columns = _json_columns(file, path) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_columns(file, path)
    except OSError as error:
        raise from_os_error(error, "read the table", path) from error
    except csv.Error as error:
        raise SourceError(at(f"the table cannot be read ({error}); save it again", Place(path))) from error
    except UnicodeDecodeError as error:
        raise SourceError(at(f"the table is not UTF-8 ({error.reason}); save it as UTF-8", Place(path, offset=error.start))) from error
    if not any(columns.values()):
        raise EmptySourceError(at("the table has no rows", Place(path)))
    return columns


def _csv_columns(file: Any, path: Path) -> dict[str, list[Any]]:
    rows = filter(None, csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True))
    names = next(rows, [])
    columns: list[list[Any]] = [[] for _ in names]
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise SourceError(at("the row has not as many values as the header has names", Place(path, record=number)))
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return dict(zip(names, columns, strict=True))


def _json_columns(file: Any, path: Path) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for number, line in enumerate(file):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SourceError(at(f"the line is not JSON ({error})", Place(path, record=number))) from error
        if isinstance(row, dict) and not columns:
            columns = {name: [] for name in row}
        if not isinstance(row, dict) or row.keys() != columns.keys():
            raise SourceError(at("each line must be an object with the names of the first", Place(path, record=number)))
        for name, value in row.items():
            columns[name].append(value)
    return columns


def _read_parquet(path: Path) -> dict[str, list[Any]]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError as error:
        raise MissingPackageError("Parquet tables need pyarrow: pip install 'fastpack-io[parquet]'") from error
    try:
        columns: dict[str, list[Any]] = parquet.read_table(path).to_pydict()
    except ArrowInvalid as error:
        raise SourceError(at(f"the table is not Parquet ({error})", Place(path))) from error
    return columns


def _labels(values: list[Any], name: str, where: Place) -> tuple[list[int], tuple[str, ...]]:
    numbers = [_as_int(value) for value in values]
    if None not in numbers:
        return [number for number in numbers if number is not None], ()
    if any(value is None or isinstance(value, float) for value in values):
        raise SourceError(at(f"column {name!r} must hold integers or names in every row", where))
    class_names = sorted({str(value) for value in values})
    label_of = {class_name: label for label, class_name in enumerate(class_names)}
    return [label_of[str(value)] for value in values], tuple(class_names)


def _as_int(value: Any) -> int | None:
    try:
        return int(value) if not isinstance(value, float) else None
    except (TypeError, ValueError):
        return None


def _as_float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _typed(values: list[Any], name: str, where: Place) -> ColumnValues:
    """Integers if all are, else floats if all are, else text. A missing value is NaN among numbers, "" in text."""
    integers = [_as_int(value) for value in values]
    if None not in integers:
        return np.array(integers, np.int64)
    floats = [math.nan if value in (None, "") else _as_float(value) for value in values]
    if None not in floats and any(value not in (None, "") for value in values):
        return np.array(floats, np.float32)
    if any(isinstance(value, (list, dict)) for value in values):
        raise SourceError(at(f"column {name!r} holds lists or objects; a column has one number or text for each image", where))
    return Text.of("" if value is None else str(value) for value in values)
