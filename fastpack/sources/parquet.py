"""Parquet tables: columns, and cells with images or bytes (docs/tables.md)."""

import json
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastpack.core.cached import cached_property
from fastpack.core.ragged import Ragged, Text, offsets_of
from fastpack.errors import (
    EmptySourceError,
    FastpackError,
    Location,
    MissingPackageError,
    SourceError,
    from_os_error,
    os_errors_at,
    with_location,
)
from fastpack.files.spool import Spool
from fastpack.images.headers import probe_blobs
from fastpack.sources.column import Leaf, TableColumn

_BLOCK_ROWS = 4096
_BLOCK_CELLS = 64  # cells may be images
_MAX_DEPTH = 32


@dataclass(frozen=True)
class Cells:
    """A column of n cells of bytes: {bytes, path} of Hugging Face, or binary values.

    Args:
        name: of the field.
        path: of the table.
        parts: the files of the table.
        column: name of the column in them.
        is_struct: whether cells are {bytes, path}.
    """

    name: str
    path: Path
    parts: tuple[Path, ...]
    column: str
    is_struct: bool

    @cached_property
    def names(self) -> Text:
        """The path of each image, (n,); "" if unknown."""
        if not self.is_struct:
            return Text.of([""] * self.num_rows)
        return Text.of(path or "" for block in self._blocks("path") for path in block)

    @cached_property
    def blobs(self) -> Ragged:
        """The bytes of all cells, (n,); empty if missing.

        Large ones are in a temporary file.
        """
        lengths = array("q")
        folder = Path(tempfile.gettempdir())
        with closing(Spool(folder, np.uint8)) as spool:
            for block in self._blocks("bytes"):
                lengths.extend(len(cell or b"") for cell in block)
                with os_errors_at(folder, "copy the images of the table to TMPDIR"):
                    spool.append(np.frombuffer(b"".join(filter(None, block)), np.uint8))
            return Ragged(spool.whole(), offsets_of(np.frombuffer(lengths, np.int64)))

    @property
    def num_rows(self) -> int:
        """n."""
        return sum(file.metadata.num_rows for file in _opened(self.parts))

    @cached_property
    def are_images(self) -> bool:
        """Whether all present cells begin like an image."""
        infos, _ = probe_blobs(self.blobs)
        return self.is_struct or bool((infos["format"] != 0)[self.blobs.lengths > 0].all())

    @cached_property
    def are_paths(self) -> bool:
        """Whether the cells have paths of files, and no bytes."""
        return self.is_struct and not any(any(block) for block in self._blocks("bytes"))

    def _blocks(self, member: str) -> Iterator[Sequence[Any]]:
        wanted = f"{self.column}.{member}" if self.is_struct else self.column
        with _arrow_errors(self.path):
            for file in _opened(self.parts):
                for batch in file.iter_batches(_BLOCK_CELLS, columns=[wanted], use_threads=False):
                    values = batch.column(batch.schema.names.index(self.column))
                    yield (values.field(member) if self.is_struct else values).to_pylist()


def parquet_columns(path: Path, notes: list[str]) -> list[Leaf | Cells]:
    """Return the columns of a file, or of the sorted files of a folder NAME.parquet."""
    parts = _parts(path)
    with _arrow_errors(path):
        schema = next(_opened(parts)).schema_arrow
        for part, file in zip(parts, _opened(parts), strict=True):
            if not file.schema_arrow.equals(schema):
                message = f"the columns of this file, or their types, differ from {parts[0].name}"
                raise SourceError(with_location(f"{message}; write it alike", Location(part)))
        return _columns(schema, path, parts, notes)


def _parts(path: Path) -> tuple[Path, ...]:
    if not path.is_dir():
        return (path,)
    parts = [part for part in path.iterdir() if part.suffix == ".parquet"]
    inner = [part for part in path.rglob("*.parquet") if part.parent != path]
    if inner := [part for part in inner if not _is_hidden(part, path)]:
        message = "a table's files must be in its folder itself"
        remedy = "move them there, or write the table without partitions"
        raise SourceError(with_location(f"{message}; {remedy}", Location(min(inner))))
    if not (parts := [part for part in parts if not _is_hidden(part, path)]):
        message = "no .parquet files are in this folder; check the path"
        raise EmptySourceError(with_location(message, Location(path)))
    return tuple(sorted(parts))


def _is_hidden(part: Path, path: Path) -> bool:
    return any(name[0] in "._" for name in part.relative_to(path).parts)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        message = "Parquet tables need pyarrow: pip install 'fastpack-io[parquet]'"
        raise MissingPackageError(message) from error
    return pyarrow


@contextmanager
def _arrow_errors(path: Path) -> Iterator[None]:
    """Turn errors of Arrow into FastpackErrors.

    Its data errors include OSErrors without errno.
    """
    pyarrow = _pyarrow()
    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, FastpackError):
            raise
        if isinstance(error, OSError) and error.errno is not None:
            raise from_os_error(error, "read the table", path) from error
        reason = " ".join(str(error)[:200].split())
        message = f"the table cannot be read as Parquet ({reason}); rewrite it"
        raise SourceError(with_location(message, Location(path))) from error
    finally:
        pyarrow.default_memory_pool().release_unused()  # it keeps several times the memory in use


def _opened(parts: Sequence[Path]) -> Iterator[Any]:
    for part in parts:
        with _pyarrow().parquet.ParquetFile(part) as file:
            yield file


def _columns(
    schema: Any, path: Path, parts: tuple[Path, ...], notes: list[str]
) -> list[Leaf | Cells]:
    found: dict[int, list[Leaf | Cells]] = {}
    columns: dict[str, tuple[int, TableColumn, Any]] = {}
    for number, (name, of) in enumerate(zip(schema.names, schema.types, strict=True)):
        if schema.names.count(name) > 1:
            message = f"two columns are called {name[:80]!r}; rename one of them"
            raise SourceError(with_location(message, Location(path)))
        cells = Cells(name, path, parts, name, _is_image(of))
        if _is_binary(of) or (cells.is_struct and not cells.are_paths):
            found[number] = [cells]
            continue
        try:
            column = TableColumn(name, path, is_typed=not _pyarrow().types.is_decimal(of), depth=1)
            columns[name] = number, column, _plain(of, name, notes)
        except SourceError as error:
            fault = SourceError(with_location(str(error), Location(path)))
            found[number] = [Leaf(name, column, fault=fault)]
    _read_columns(columns, parts)
    classes = _class_names(schema)
    for number, column, _ in columns.values():
        found[number] = [
            replace(leaf, class_names=classes.get(leaf.name, ())) for leaf in column.leaves()
        ]
    return [each for number in sorted(found) for each in found[number]]


def _class_names(schema: Any) -> dict[str, tuple[str, ...]]:
    """Return the names of columns that Hugging Face's library wrote as class labels."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        # Lists of labels have the names in their feature.
        labels = {name: of.get("feature", of) for name, of in features.items()}
        return {
            name: tuple(map(str, of["names"]))
            for name, of in labels.items()
            if of.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _read_columns(
    columns: dict[str, tuple[int, TableColumn, Any]], parts: tuple[Path, ...]
) -> None:
    for file in _opened(parts):
        # Each thread of Arrow would keep memory of its own.
        for batch in file.iter_batches(_BLOCK_ROWS, columns=list(columns), use_threads=False):
            for name, values in zip(batch.schema.names, batch.columns, strict=True):
                if name in columns:
                    _, column, plain = columns[name]
                    column.extend(_listed(values, plain))


def _listed(values: Any, plain: Any) -> list[Any]:
    """Return Python's values; the paths of images that are files."""
    if _is_image(values.type):
        values = values.field("path")
    listed: list[Any] = (values if values.type == plain else values.cast(plain)).to_pylist()
    return listed


# Types


def _is_binary(of: Any) -> bool:
    types = _pyarrow().types
    return bool(
        types.is_binary(of)
        or types.is_large_binary(of)
        or types.is_fixed_size_binary(of)
        or types.is_binary_view(of)
    )


def _is_image(of: Any) -> bool:
    """Return True for Hugging Face's Image: the bytes of a file, or its path."""
    types = _pyarrow().types
    return (
        types.is_struct(of)
        and {each.name for each in of} == {"bytes", "path"}
        and _is_binary(of.field("bytes").type)
    )


def _plain(of: Any, name: str, notes: list[str], depth: int = 0) -> Any:
    """Return the type that values are read as: text for times and decimals.

    Raises SourceError for other types.
    """
    pyarrow = _pyarrow()
    types = pyarrow.types
    if depth > _MAX_DEPTH:
        raise SourceError(f"column {name!r} is nested more than {_MAX_DEPTH} deep; write it flat")
    if types.is_dictionary(of):
        return _plain(of.value_type, name, notes, depth)
    if _is_image(of) and depth == 0:
        return pyarrow.string()
    if types.is_list(of) or types.is_large_list(of) or types.is_fixed_size_list(of):
        return pyarrow.list_(_plain(of.value_type, name, notes, depth + 1))
    if types.is_struct(of):
        return pyarrow.struct(
            [(each.name, _plain(each.type, f"{name}.{each.name}", notes, depth + 1)) for each in of]
        )
    if types.is_temporal(of) and not types.is_duration(of) and not types.is_interval(of):
        notes.append(f"column {name!r} holds {of}, which is kept as text")
        return pyarrow.string()
    if types.is_decimal(of):
        if depth:
            notes.append(f"column {name!r} holds {of}, which is kept as text")
        return pyarrow.string()
    if types.is_floating(of):
        return pyarrow.float64()
    if types.is_integer(of) or types.is_boolean(of) or types.is_null(of):
        return of
    if types.is_string(of) or types.is_large_string(of) or types.is_string_view(of):
        return pyarrow.string()
    remedy = "write it as numbers or text, or leave it out with fields"
    raise SourceError(f"column {name!r} holds {of}, which cannot be kept; {remedy}")
