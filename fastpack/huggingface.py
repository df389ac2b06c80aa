"""Hugging Face datasets: conversion in both directions, with unmodified image files."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Field, Kind, Schema
from fastpack.errors import (
    EmptySourceError,
    Location,
    MissingPackageError,
    SchemaError,
    SourceError,
    os_errors_at,
    with_location,
)
from fastpack.images.batch import Batch
from fastpack.images.headers import probe_blobs, raise_probe_status
from fastpack.reading.reader import Reader
from fastpack.sources.table_paths import relative_key

try:
    import datasets
    import pyarrow as pa
    from pyarrow import compute
except ImportError as error:
    raise MissingPackageError(
        "fastpack.huggingface needs datasets: pip install 'fastpack-io[huggingface]'"
    ) from error

# Image sizes are read this many rows at a time, so that a large dataset needs little memory.
_SIZED_ROWS = 1024
_MAX_ARRAY_DIMS = 5


def to_datasets(reader: Reader, *, cache_dir: str | Path | None = None) -> "datasets.Dataset":
    """Convert to a datasets.Dataset: images become an Image column, class names a ClassLabel.

    Args:
        reader: from `fastpack.open`.
        cache_dir: a folder for the Arrow file with the unmodified image bytes. None is the folder
            of `datasets`.

    Returns:
        A datasets.Dataset with one row for each sample.

    Raises:
        SchemaError: Arrow has no column type for a field.

    Example:
        >>> import fastpack
        >>> reader = fastpack.open(getfixture("digits"))
        >>> to_datasets(reader, cache_dir=getfixture("tmp_path"))[3]["label"]
        3
    """
    features = datasets.Features(
        {field.name: _feature_of(field, reader.schema) for field in reader.schema.fields}
    )
    encoded = reader.with_options(decode=False, on_error="raise")
    cache = None if cache_dir is None else str(cache_dir)
    return datasets.Dataset.from_generator(
        _rows, features=features, cache_dir=cache, gen_kwargs={"reader": encoded}
    )


def _rows(reader: Reader) -> Any:
    images = [field.name for field in reader.schema.fields if field.is_image_file]
    for sample in reader:
        for name in images:
            sample[name] = {"bytes": sample[name], "path": sample.get("key")}
        yield {
            name: list(value) if isinstance(value, Text) else value
            for name, value in sample.items()
        }


def _feature_of(field: Field, schema: Schema) -> Any:
    if field.is_image_file:
        return datasets.Image()
    if field.kind == "pixels":
        if not 2 <= len(field.shape) <= _MAX_ARRAY_DIMS or None in field.shape:
            raise SchemaError(
                f"datasets has no column for {field.name!r}, pixels of the shape {field.shape}; "
                "leave it out with fields=..."
            )
        array = getattr(datasets, f"Array{len(field.shape)}D")
        return array(field.shape, np.dtype(field.dtype).name)
    if field.name == "label" and schema.class_names and field.shape == ():
        return datasets.ClassLabel(names=list(schema.class_names))
    types = {"bytes": "binary", "text": "string", "int": "int64", "float": field.dtype or "float32"}
    value = datasets.Value(types[field.kind])
    return value if field.shape == () else datasets.Sequence(value)


class Source:
    """A source over a datasets.Dataset, for `fastpack.pack`. Image files are not modified.

    Without a column `key`, the images' paths are the keys, relative to `root`, if they are unique.

    Args:
        dataset: with at least one Image column. Its images are not decoded.
        fields: the columns to pack, such as ["image", "label"]. A mapping renames them:
            {"image": "img", "label": "fine_label"}. None packs all. A ClassLabel named `label`
            gives the class names.
        root: the folder that named image files must be in, as `imagefolder` names them. None
            refuses named files: a downloaded dataset could name any file.

    Raises:
        EmptySourceError: the dataset has no rows.
        SourceError: a column is missing or has an unsupported type, or an image is missing or
            outside `root`.

    Example:
        >>> import fastpack
        >>> folder = getfixture("tmp_path")
        >>> dataset = to_datasets(fastpack.open(getfixture("digits")), cache_dir=folder)
        >>> fastpack.pack(Source(dataset), folder / "again.tfrecord").num_samples
        10
    """

    def __init__(
        self,
        dataset: "datasets.Dataset",
        *,
        fields: Mapping[str, str] | Sequence[str] | None = None,
        root: str | Path | None = None,
    ) -> None:
        if not isinstance(dataset, datasets.Dataset):
            raise SourceError(
                f"give one split that is a datasets.Dataset, not {type(dataset).__name__}; "
                "streams have no random access"
            )
        if len(dataset) == 0:
            raise EmptySourceError("the dataset has no rows; there is nothing to pack")
        columns = dataset.column_names if fields is None else fields
        if not isinstance(columns, Mapping):
            columns = {name: name for name in columns}
        self._columns = dict(columns)
        missing = sorted(set(self._columns.values()) - set(dataset.column_names))
        if missing:
            known = ", ".join(dataset.column_names)
            raise SourceError(f"there is no column {missing[0]!r}; the columns are {known}")
        self._dataset = dataset.with_format("arrow", columns=list(self._columns.values()))
        fields_found = [
            _field_of(name, dataset.features[column]) for name, column in self._columns.items()
        ]
        encoded = [field.name for field in fields_found if field.kind == "image"]
        if not encoded:
            raise SourceError(
                f"no column of images among {', '.join(self._columns.values())}; "
                "cast one: cast_column(name, Image())"
            )
        self._files = _Files(root)
        self._sizes, self._paths = self._measure(self._columns[encoded[0]])
        self._keys = None if "key" in self._columns else self._files.keys(self._paths)
        if self._keys is not None:
            fields_found.append(Field("key", "text"))
        label = dataset.features.get(self._columns.get("label", ""))
        names = tuple(label.names) if isinstance(label, datasets.ClassLabel) else ()
        self._schema = Schema(tuple(fields_found), names)

    @property
    def schema(self) -> Schema:
        """The fields of a sample, and the class names."""
        return self._schema

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each row's first image, (n,)."""
        return self._sizes

    def __len__(self) -> int:
        return len(self._dataset)

    def __repr__(self) -> str:
        return f"Source({len(self)} rows of {', '.join(self._columns)})"

    def location(self, row: int) -> Location:
        """Return the row and the path of its image, for messages."""
        return Location(record=row, key=self._paths[row])

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Return columns of some rows; images as stored bytes, or those of the named files."""
        table = self._dataset[rows.tolist()]
        fields: dict[str, Any] = {}
        for field in self._schema.fields:
            if field.name in self._columns:
                column = table.column(self._columns[field.name])
                fields[field.name] = self._values(field, column, rows)
            else:
                assert self._keys is not None
                fields[field.name] = Text.of(self._keys[row] for row in rows)
        return Batch(fields, len(rows))

    def _measure(self, column: str) -> tuple[npt.NDArray[np.int64], list[str | None]]:
        """Return the bytes of each row's image, and the path that the dataset has for it."""
        sizes, paths = [], []
        for first in range(0, len(self), _SIZED_ROWS):
            images = self._dataset[first : first + _SIZED_ROWS].column(column).combine_chunks()
            stored = compute.struct_field(images, "bytes")
            named = compute.struct_field(images, "path").to_pylist()
            lengths = compute.binary_length(stored).to_pylist()
            rows = range(first, first + len(named))
            sizes += [
                self._files.size(path, row) if size is None else size
                for size, path, row in zip(lengths, named, rows, strict=True)
            ]
            paths += named
        return np.array(sizes, np.int64), paths

    def _values(self, field: Field, column: Any, rows: npt.NDArray[np.int64]) -> Any:
        values = column.combine_chunks()
        if field.is_image_file:
            return self._images(values, rows)
        if field.kind == "float":
            return values.cast(pa.float32()).fill_null(float("nan")).to_numpy(zero_copy_only=False)
        if field.kind == "int":
            if values.null_count:
                row = int(rows[values.is_null().to_pylist().index(True)])
                message = f"{field.name!r} has no value; fill it in, or leave it out: fields=..."
                raise SourceError(with_location(message, self.location(row)))
            return values.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return Text.of("" if value is None else value for value in values.to_pylist())

    def _images(self, images: Any, rows: npt.NDArray[np.int64]) -> Ragged:
        stored = compute.struct_field(images, "bytes")
        named = compute.struct_field(images, "path").to_pylist()
        if stored.null_count == 0:
            blobs = _ragged(stored)
        else:
            blobs = Ragged.of_bytes(self._files.fill(stored.to_pylist(), named, rows))
        _, statuses = probe_blobs(blobs)
        for i in np.flatnonzero(statuses):
            raise_probe_status(int(statuses[i]), blobs.bytes(int(i)), self.location(int(rows[i])))
        return blobs


class _Files:
    """The image files that a dataset names. They must be below the root."""

    def __init__(self, root: str | Path | None) -> None:
        self._root = None if root is None else Path(root).resolve()

    def size(self, name: str | None, row: int) -> int:
        path = self._find(name, row)
        with os_errors_at(path, "read the image"):
            return path.stat().st_size

    def fill(
        self, images: list[bytes | None], names: list[str | None], rows: npt.NDArray[np.int64]
    ) -> Iterator[bytes]:
        """Yield the images, those that are None from their files."""
        for image, name, row in zip(images, names, rows.tolist(), strict=True):
            yield self._bytes(name, row) if image is None else image

    def _bytes(self, name: str | None, row: int) -> bytes:
        path = self._find(name, row)
        with os_errors_at(path, "read the image"):
            return path.read_bytes()

    def _find(self, name: str | None, row: int) -> Path:
        if not name:
            message = "the image is missing: there are no bytes and no path; leave the row out"
            raise SourceError(with_location(message, Location(record=row)))
        if self._root is None:
            message = "the dataset only names its images; give their folder with root=..."
            raise SourceError(with_location(message, Location(name, row)))
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root):
            message = f"the image is not in {self._root}; give another root, or leave the row out"
            raise SourceError(with_location(message, Location(name, row)))
        return path

    def keys(self, names: list[str | None]) -> list[str] | None:
        """Return paths relative to the root, if inside it; None if some are missing or equal."""
        keys = [self._key(name) for name in names if name]
        return keys if len(set(keys)) == len(names) else None

    def _key(self, name: str) -> str:
        if self._root is None or not Path(name).is_absolute():
            return name
        path = Path(name).resolve()
        return relative_key(path, self._root) if path.is_relative_to(self._root) else name


def _field_of(name: str, feature: Any) -> Field:
    if isinstance(feature, datasets.Image):
        return Field(name, "image")
    kind: Kind | None = None
    if isinstance(feature, datasets.ClassLabel):
        kind = "int"
    elif isinstance(feature, datasets.Value):
        kind = _kind_of(feature.dtype)
    if kind is None:
        raise SourceError(
            f"column {name!r} is {feature}, which a field cannot be; "
            "choose the other columns with fields=..."
        )
    return Field(name, kind, dtype={"int": "int64", "float": "float32"}.get(kind, ""))


def _kind_of(dtype: str) -> Kind | None:
    if dtype.startswith(("int", "uint", "bool")) and dtype != "uint64":
        return "int"
    if dtype.startswith("float"):
        return "float"
    return "text" if dtype in ("string", "large_string") else None


def _ragged(values: Any) -> Ragged:
    """Return Arrow's binary array as a Ragged of the same memory."""
    wide = values.cast(pa.large_binary())
    _, ends, memory = wide.buffers()
    offsets = np.frombuffer(ends, np.int64, count=len(wide) + 1, offset=8 * wide.offset)
    numbers = np.frombuffer(memory, np.uint8) if memory is not None else np.zeros(0, np.uint8)
    return Ragged(numbers[offsets[0] : offsets[-1]], offsets - offsets[0])
