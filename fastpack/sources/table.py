"""A table with a row for each image: CSV, JSON lines or Parquet, as Hugging Face's imagefolder has it."""

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from fastpack.errors import EmptySourceError, MissingPackageError, Place, SourceError, at, from_os_error
from fastpack.filenames import FileNames
from fastpack.ragged import Text
from fastpack.sources.column import TableColumn
from fastpack.sources.paths import Paths, relative_key

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_PATH_COLUMNS = ("file_name", "path", "file", "filename", "image")
_LABEL_COLUMNS = ("label", "labels", "class", "target")
# Rows that are there as Python objects at one time.
_BLOCK_ROWS = 4096
# Finds in names, joined by NULs, a part that is empty, "." or "..": all others are the path below the folder as they stand.
_IS_ODD = re.compile(r"(?:\A|[/\0])\.{0,2}(?:[/\0]|\Z)")


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
    folder = Path(root) if root is not None else path.parent
    if label_column == path_column:
        raise SourceError(at(f"column {label_column!r} cannot be both the names and the labels; name another", where))
    files, keys = _located(columns.pop(path_column).text(), folder)
    labels, class_names = columns.pop(label_column).labels() if label_column else (None, ())
    extra = {name: columns.pop(name).typed() for name in list(columns) if name not in ("image", "label", "key")}
    bounds = None if allow_external else folder
    return Paths(files, labels, keys=keys, class_names=class_names, columns=extra, root=bounds)


def _first_of(wanted: Sequence[str], columns: Mapping[str, Any]) -> str | None:
    return next((name for name in wanted if name in columns), None)


class _Root:
    """The folder that a table's names are below."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.above = os.fspath(folder / "_")[:-1]
        self._absolute = os.path.join(os.path.abspath(folder), "")

    def located(self, name: str) -> tuple[str, str]:
        """The file's path and its key, as pathlib and os.path have them, which take ten times as long: they are asked for few."""
        if not _IS_ODD.search(name):
            return self.above + name, name
        parts = [part for part in name.split("/") if part not in ("", ".")]
        below = "/".join(parts)
        if parts and ".." not in parts:
            if name[0] != "/":
                return self.above + below, below
            if name[1] != "/" and f"/{below}".startswith(self._absolute):
                return f"/{below}", f"/{below}".removeprefix(self._absolute)
        path = self._folder / name
        key = relative_key(path, self._folder)
        return os.fspath(path), name if key.split("/")[0] == ".." else key


def _located(names: Text, folder: Path) -> tuple[FileNames, Text]:
    """The files that a table names, and their keys: one text for both, where paths are the folder and the key. Mostly it is the names'."""
    root = _Root(folder)
    if not any(_IS_ODD.search("\0".join(block)) for block in names.blocks()):
        return FileNames(names, root.above), names
    keys = Text.of(root.located(name)[1] for name in names)
    if all(path == root.above + key for path, key in map(root.located, names)):
        return FileNames(keys, root.above), keys
    return FileNames(root.located(name)[0] for name in names), keys


def _read_columns(path: Path) -> dict[str, TableColumn]:
    try:
        if path.suffix.lower() == ".parquet":
            columns = _parquet_columns(path)
        else:
            with open(path, encoding="utf-8-sig", newline="") as file:
                columns = _json_columns(file, path) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_columns(file, path)
    except OSError as error:
        raise from_os_error(error, "read the table", path) from error
    except csv.Error as error:
        raise SourceError(at(f"the table cannot be read ({error}); save it again", Place(path))) from error
    except UnicodeDecodeError as error:
        raise SourceError(at(f"the table is not UTF-8 ({error.reason}); save it as UTF-8", Place(path, offset=error.start))) from error
    except UnicodeEncodeError as error:
        message = f"{error.object!r} is neither text nor a file's name: {error.reason}; correct it"
        raise SourceError(at(message, Place(path))) from error
    if not any(map(len, columns.values())):
        raise EmptySourceError(at("the table has no rows", Place(path)))
    return columns


def _columns(names: Sequence[str], rows: Iterable[Sequence[Any]], path: Path) -> dict[str, TableColumn]:
    """Of rows with a value for each name."""
    columns = [TableColumn(name, path) for name in names]
    rows = iter(rows)
    while block := list(islice(rows, _BLOCK_ROWS)):
        for column, values in zip(columns, zip(*block, strict=True), strict=True):
            column.extend(values)
    return dict(zip(names, columns, strict=True))


def _csv_columns(file: Any, path: Path) -> dict[str, TableColumn]:
    rows = filter(None, csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True))
    names = next(rows, [])
    return _columns(names, _full_rows(rows, len(names), path), path)


def _full_rows(rows: Iterable[list[str]], num_names: int, path: Path) -> Iterator[list[str]]:
    for number, row in enumerate(rows):
        if len(row) != num_names:
            raise SourceError(at("the row has not as many values as the header has names", Place(path, record=number)))
        yield row


def _json_columns(file: Any, path: Path) -> dict[str, TableColumn]:
    rows = _json_rows(file, path)
    first = next(rows, {})
    return _columns(list(first), (list(map(row.__getitem__, first)) for row in chain([first] if first else [], rows)), path)


def _json_rows(file: Any, path: Path) -> Iterator[dict[str, Any]]:
    names: Any = None
    for number, line in enumerate(file):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SourceError(at(f"the line is not JSON ({error})", Place(path, record=number))) from error
        if isinstance(row, dict) and names is None:
            names = row.keys()
        if not isinstance(row, dict) or row.keys() != names:
            raise SourceError(at("each line must be an object with the names of the first", Place(path, record=number)))
        yield row


def _parquet_columns(path: Path) -> dict[str, TableColumn]:
    try:
        from pyarrow import ArrowInvalid, default_memory_pool, parquet
    except ImportError as error:
        raise MissingPackageError("Parquet tables need pyarrow: pip install 'fastpack-io[parquet]'") from error
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            columns = [TableColumn(name, path) for name in names]
            for batch in file.iter_batches(_BLOCK_ROWS, use_threads=False):  # each thread keeps memory of its own
                for column, values in zip(columns, batch.columns, strict=True):
                    column.extend(values.to_pylist())
        default_memory_pool().release_unused()  # it keeps several times what it ever gave
    except ArrowInvalid as error:
        raise SourceError(at(f"the table is not Parquet ({error})", Place(path))) from error
    return dict(zip(names, columns, strict=True))
