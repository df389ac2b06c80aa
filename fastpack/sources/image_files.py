"""ImageFiles: a list of images with labels and other columns.

Folders and tables become one too.
"""

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.order import hash_rows
from fastpack.core.ragged import Ragged, Text, digest
from fastpack.core.schema import Field, Kind, Schema
from fastpack.errors import (
    DuplicateKeyError,
    EmptySourceError,
    FastpackError,
    Location,
    SourceError,
)
from fastpack.files.escapes import escaped_bytes, escaped_names
from fastpack.files.file_names import FileNames
from fastpack.images.batch import Batch
from fastpack.sources.column import ColumnValues
from fastpack.sources.image_column import ImageBytesColumn, ImageColumn, ImagePathColumn


class ImageFiles:
    """A Source over n image files.

    A file that is missing, is not a regular file, or has the key of another is among `faults`, and
    reading it raises its fault. Empty files and other formats are found when they are read.

    Args:
        paths: the files, in the order of the samples; a file may be listed more than once. Or an
            image column, which has its own root and faults.
        labels: an integer for each file, (n,); None for no labels.
        keys: a name for each file, (n,), unique among different files. None for no keys; True for
            the paths as they are.
        class_names: names of the classes, by label.
        columns: further values: field name -> integers, floats or text (n,), or a Ragged of lists.
        blobs: further files or bytes: field name -> (kind, image column of n).
        root: refuse files outside of this folder, once links are followed. None allows all.
        faults: known errors by sample. These files are not opened.
        notes: guesses and omissions, a sentence each.

    Raises:
        EmptySourceError: there are no images.
        SourceError: lengths differ, or a value has the wrong type.

    Example:
        >>> source = ImageFiles(["a.png", "b.png"], [0, 1], class_names=["cat", "dog"])
        >>> source
        ImageFiles(2 images, label)
        >>> len(source.faults), source.schema.class_names  # the files do not exist
        (2, ('cat', 'dog'))
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]] | ImagePathColumn | ImageBytesColumn,
        labels: Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
        *,
        keys: Sequence[str] | bool | None = None,
        class_names: Sequence[str] = (),
        columns: Mapping[str, ColumnValues] | None = None,
        blobs: Mapping[str, tuple[Kind, ImageColumn]] | None = None,
        root: str | os.PathLike[str] | None = None,
        faults: Mapping[int, FastpackError] = MappingProxyType({}),
        notes: Sequence[str] = (),
    ) -> None:
        is_column = isinstance(paths, (ImagePathColumn, ImageBytesColumn))
        images = paths if is_column else ImagePathColumn(_files(paths), root, faults)
        self._images: ImagePathColumn | ImageBytesColumn = images  # type: ignore[assignment]
        if not len(self._images):
            message = "there are no images to pack; check the path and the names' endings"
            raise EmptySourceError(message)
        self._columns: dict[str, ColumnValues] = {}
        if labels is not None:
            self._columns["label"] = _label_column(labels)
        if keys is not None and keys is not False:
            self._columns["key"] = escaped_names(_key_column(keys, self._images))
        self._columns |= {name: _column(name, values) for name, values in _named(columns or {})}
        self._blobs: dict[str, tuple[Kind, ImageColumn]] = {"image": ("image", self._images)}
        self._blobs |= blobs or {}
        self._refuse_lengths()
        self._class_names = tuple(escaped_bytes(_text_of("class_names", class_names)))
        self.notes = tuple(notes)
        self._faults: dict[int, FastpackError] = {}
        if "key" in self._columns:
            self._faults |= _duplicates(self._columns["key"], self._images)
        for _, column in reversed(self._blobs.values()):
            self._faults |= column.faults

    def _refuse_lengths(self) -> None:
        blobs = {name: column for name, (_, column) in self._blobs.items()}
        for name, values in {**self._columns, **blobs}.items():
            if len(values) != len(self):
                message = f"there are {len(self)} images but {len(values)} values of {name!r}"
                raise SourceError(f"{message}; give one for each")

    @property
    def schema(self) -> Schema:
        """The fields of a sample, and the class names."""
        blobs = (Field(name, kind) for name, (kind, _) in self._blobs.items())
        fields = (*blobs, *(_field_of(name, column) for name, column in self._columns.items()))
        return Schema(fields, self._class_names)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each image file, (n,)."""
        return self._images.sizes

    @property
    def sizes_beside(self) -> npt.NDArray[np.int64] | int:
        """Bytes of each sample's further blobs together, (n,); 0 without such blobs."""
        return sum(column.sizes for _, column in list(self._blobs.values())[1:])

    @property
    def faults(self) -> Mapping[int, FastpackError]:
        """Errors that are known before anything is read, by sample."""
        return MappingProxyType(self._faults)

    @property
    def columns(self) -> Mapping[str, ColumnValues]:
        """All columns of all samples, in memory; no image is read."""
        return MappingProxyType(self._columns)

    def fingerprints(self) -> dict[str, str]:
        """Return checksums that change if the list of files or one of the files changes."""
        digests = dict(self._images.fingerprints())
        for name, (_, column) in list(self._blobs.items())[1:]:
            digests |= {f"{what}, {name}": value for what, value in column.fingerprints().items()}
        columns = self._columns.items()
        return digests | {f"column {name}": digest(values) for name, values in columns}

    def __len__(self) -> int:
        return len(self._images)

    def location(self, row: int) -> Location:
        """Return the path of a sample's image, or its row in the table."""
        return self._images.location(row)

    def __repr__(self) -> str:
        names = ", ".join([*list(self._blobs)[1:], *self._columns])
        images = "1 image" if len(self) == 1 else f"{len(self)} images"
        return f"ImageFiles({images}, {names or 'no columns'})"

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Read whole files, (k,), and their columns, in the calling thread.

        Raises the error of the first file that cannot be read, with its path.
        """
        if self._faults:
            bad = next((row for row in rows.tolist() if row in self._faults), None)
            if bad is not None:
                raise self._faults[bad]
        blobs = {name: column.read(rows) for name, (_, column) in self._blobs.items()}
        fields = {
            name: column.take(rows) if isinstance(column, Ragged) else column[rows]
            for name, column in self._columns.items()
        }
        return Batch({**blobs, **fields}, len(rows))


def _files(paths: Any) -> FileNames:
    """Return the names of a sequence of paths. Raises SourceError for other types."""
    if isinstance(paths, FileNames):
        return paths
    if isinstance(paths, (Set, Mapping)):
        message = f"paths must be in the order of the labels; a {type(paths).__name__} has no order"
        raise SourceError(f"{message}; give a list")
    if isinstance(paths, (str, bytes, os.PathLike)):
        message = f"paths must be a sequence of paths, not the one path {paths!r}"
        raise SourceError(f"{message}; for a folder use fastpack.from_folder")
    try:
        return FileNames(paths)
    except TypeError as error:
        items = paths if np.iterable(paths) else [paths]
        wrong = next((item for item in items if not isinstance(item, (str, os.PathLike))), None)
        message = f"images are given by the paths of their files, not as {type(wrong).__name__}"
        remedy = "write them to files first, for example with fastpack.encode(array, 'png')"
        raise SourceError(f"{message}; {remedy}") from error


def _key_column(keys: Sequence[str] | bool, images: ImagePathColumn | ImageBytesColumn) -> Text:
    if keys is not True:
        return _text_of("keys", keys)
    if not isinstance(images, ImagePathColumn):
        raise SourceError("images in the cells of a table have no paths; give the keys")
    return images.files.as_text()


def _text_of(name: str, rows: Any) -> Text:
    if isinstance(rows, str):
        raise SourceError(f"{name} must be a list, such as [{rows!r}]")
    try:
        return rows if isinstance(rows, Text) else Text.of(rows)
    except (AttributeError, TypeError) as error:
        raise SourceError(f"{name} must be text, one for each; map numbers with str") from error
    except UnicodeEncodeError as error:
        message = f"{name} hold {error.object!r}, which is not valid text: {error.reason}"
        raise SourceError(f"{message}; correct it") from error


def _label_column(labels: Any) -> npt.NDArray[np.int64]:
    column = labels if isinstance(labels, np.ndarray) else _array("label", labels)
    if column.ndim != 1 or (len(column) and column.dtype.kind not in "iub"):
        message = f"labels must be one integer for each image, not {column.dtype} {column.shape}"
        raise SourceError(f"{message}; map names to numbers first")
    return _integers("label", column)


def _named(columns: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(columns, Mapping) or not all(isinstance(name, str) for name in columns):
        message = "columns must be a mapping of names to values, such as {'score': [0.5, 1.5]}"
        raise SourceError(message)
    return columns.items()


def _column(name: str, values: Any) -> ColumnValues:
    """Return values as int64, float32, float64, Text or a Ragged."""
    if isinstance(values, Ragged):
        return values
    column = values if isinstance(values, np.ndarray) else _array(name, values)
    if column.ndim == 1 and column.dtype.kind == "U":
        return Text.of(column.tolist())
    if column.ndim == 1 and column.dtype.kind in "iub":
        return _integers(name, column)
    if column.ndim == 1 and column.dtype.kind == "f" and column.dtype.itemsize <= 8:
        return column.astype(np.float64 if column.dtype.itemsize == 8 else np.float32, copy=False)
    found = f"{column.dtype} {column.shape}"
    message = f"column {name!r} must be integers, floats or text, one for each image, not {found}"
    raise SourceError(f"{message}; give lists as a Ragged")


def _array(name: str, values: Any) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        message = f"{name!r} must be one value for each image, not lists of differing length"
        raise SourceError(f"{message}; give those as a fastpack.core.Ragged in columns") from error


def _integers(name: str, column: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if column.dtype.kind == "u" and len(column) and column.max() >= 2**63:
        message = f"{name!r} holds {column.max()}, which does not fit into 64 bits with a sign"
        raise SourceError(f"{message}; give it as text")
    return column.astype(np.int64, copy=False)


def _field_of(name: str, column: ColumnValues) -> Field:
    is_ragged = isinstance(column, Ragged) and not isinstance(column, Text)
    flat: Any = column.values if is_ragged else column  # type: ignore[union-attr]
    shape = (None,) if is_ragged else ()
    if isinstance(flat, Text):
        return Field(name, "text", shape)
    return Field(name, "float" if flat.dtype.kind == "f" else "int", shape, flat.dtype.name)


def _duplicates(
    keys: ColumnValues, images: ImagePathColumn | ImageBytesColumn
) -> dict[int, FastpackError]:
    """Return an error for each file whose key an earlier, different file has."""
    assert isinstance(keys, Text)
    if isinstance(images, ImagePathColumn) and images.files.is_made_of(keys):
        return {}  # equal keys are the same file
    hashes = np.empty(len(keys), np.uint64)
    hash_rows(keys.values, keys.offsets, 0, hashes)
    ordered = np.sort(hashes)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    seen: dict[str, str] = {}
    faults: dict[int, FastpackError] = {}
    for row in np.flatnonzero(np.isin(hashes, repeated)).tolist():
        key, path = keys[row], str(images.location(row))
        if seen.setdefault(key, path) != path:
            message = f"two files have the key {key!r}: {seen[key]} and {path}"
            remedy = "give each its own name, for example in a column `key`"
            faults[row] = DuplicateKeyError(f"{message}; {remedy}")
    return faults
