"""A list of image files, with labels and other columns: what the other sources come down to."""

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
    """A Source over image files.

    - paths: the files, in the order of the samples. A file may come more than once. Or Images, which have a root and faults
      of their own.
    - labels: an integer for each, or None for no labels.
    - keys: a name for each, unique among different files; None takes none, True takes the paths as they are.
    - class_names: names[label].
    - root: refuse files that lie outside it once links are followed, without looking at them; None takes them wherever they are.
    - columns: further values for each file: field name -> integers, floats or text (n,), or a Ragged of lists of these.
    - blobs: further files or bytes for each: field name -> (kind, Images).
    - faults: files that are known to be bad and are not looked at: sample -> what is wrong.
    - notes: what was guessed about the files or left out of them, a sentence each.

    Raises EmptySourceError or SourceError (lengths differ). A file that is not there, is no file or has the key of another is
    among the `faults`, and reading it raises what stands there; one that is empty or no image is found when it is read.
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
        self._images: ImagePathColumn | ImageBytesColumn
        self._images = (
            paths
            if isinstance(paths, (ImagePathColumn, ImageBytesColumn))
            else ImagePathColumn(_files(paths), root, faults)
        )
        if not len(self._images):
            raise EmptySourceError(
                "there are no images to pack; check the path and the names' endings"
            )
        self._columns: dict[str, ColumnValues] = {}
        if labels is not None:
            self._columns["label"] = _label_column(labels)
        if keys is not None and keys is not False:
            self._columns["key"] = escaped_names(_key_column(keys, self._images))
        self._columns |= {name: _column(name, values) for name, values in _named(columns or {})}
        self._blobs: dict[str, tuple[Kind, ImageColumn]] = {
            "image": ("image", self._images),
            **(blobs or {}),
        }
        for name, values in [
            *self._columns.items(),
            *((name, encoded) for name, (_, encoded) in self._blobs.items()),
        ]:
            if len(values) != len(self):
                raise SourceError(
                    f"there are {len(self)} images but {len(values)} values of {name!r}; give one for each"
                )
        self._class_names, self.notes = (
            tuple(escaped_bytes(_text_of("class_names", class_names))),
            tuple(notes),
        )
        self._faults = (
            _duplicates(self._columns["key"], self._images) if "key" in self._columns else {}
        )
        for _, encoded in reversed(self._blobs.values()):
            self._faults |= encoded.faults

    @property
    def schema(self) -> Schema:
        blobs = (Field(name, kind) for name, (kind, _) in self._blobs.items())
        fields = (*blobs, *(_field_of(name, column) for name, column in self._columns.items()))
        return Schema(fields, self._class_names)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        return self._images.sizes

    @property
    def sizes_beside(self) -> npt.NDArray[np.int64] | int:
        """Bytes of each sample's further blobs together."""
        return sum(encoded.sizes for _, encoded in list(self._blobs.values())[1:])

    @property
    def faults(self) -> Mapping[int, FastpackError]:
        """What is known to be wrong before anything is read, by sample."""
        return MappingProxyType(self._faults)

    @property
    def columns(self) -> Mapping[str, ColumnValues]:
        """All columns of all samples, in memory; no image is read."""
        return MappingProxyType(self._columns)

    def fingerprints(self) -> dict[str, str]:
        """What changes when another list of files is packed, or a file of it has changed: its name -> a checksum."""
        digests = dict(self._images.fingerprints())
        for name, (_, encoded) in list(self._blobs.items())[1:]:
            digests |= {f"{what}, {name}": value for what, value in encoded.fingerprints().items()}
        return digests | {
            f"column {name}": digest(column) for name, column in self._columns.items()
        }

    def __len__(self) -> int:
        return len(self._images)

    def location(self, row: int) -> Location:
        return self._images.location(row)

    def __repr__(self) -> str:
        return f"ImageFiles({len(self)} images, {', '.join([*list(self._blobs)[1:], *self._columns]) or 'no columns'})"

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Image files whole, and their columns: read by the thread that asks, so ask from several.

        Raises what reading a file meets, with its path.
        """
        if (
            self._faults
            and (bad := next((row for row in rows.tolist() if row in self._faults), None))
            is not None
        ):
            raise self._faults[bad]
        blobs = {name: encoded.read(rows) for name, (_, encoded) in self._blobs.items()}
        fields = {
            name: column.take(rows) if isinstance(column, Ragged) else column[rows]
            for name, column in self._columns.items()
        }
        return Batch({**blobs, **fields}, len(rows))


def _files(paths: Any) -> FileNames:
    """Raises SourceError for what is not a sequence of paths."""
    if isinstance(paths, FileNames):
        return paths
    if isinstance(paths, (Set, Mapping)):
        raise SourceError(
            f"paths must be in the order of the labels, which a {type(paths).__name__} has not; give a list"
        )
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise SourceError(
            f"paths must be a sequence of paths, not the one path {paths!r}; for a folder use fastpack.from_folder"
        )
    try:
        return FileNames(paths)
    except TypeError as error:
        found = (
            next((each for each in paths if not isinstance(each, (str, os.PathLike))), None)
            if np.iterable(paths)
            else paths
        )
        message = f"images are given by the paths of their files, not as {type(found).__name__}"
        raise SourceError(
            f"{message}; write them to files first, with fastpack.encode(array, 'png') say"
        ) from error


def _key_column(keys: Sequence[str] | bool, images: ImagePathColumn | ImageBytesColumn) -> Text:
    if keys is not True:
        return _text_of("keys", keys)
    if not isinstance(images, ImagePathColumn):
        raise SourceError("images that a table holds have no paths to be their keys; give the keys")
    return images.files.as_text()


def _text_of(name: str, rows: Any) -> Text:
    if isinstance(rows, str):
        raise SourceError(f"{name} must be a list, such as [{rows!r}]")
    try:
        return rows if isinstance(rows, Text) else Text.of(rows)
    except (AttributeError, TypeError) as error:
        raise SourceError(f"{name} must be text, one for each; map numbers with str") from error
    except UnicodeEncodeError as error:
        raise SourceError(
            f"{name} hold {error.object!r}, which is no text: {error.reason}; correct it"
        ) from error


def _label_column(labels: Any) -> npt.NDArray[np.int64]:
    column = labels if isinstance(labels, np.ndarray) else _array("label", labels)
    if column.ndim != 1 or (len(column) and column.dtype.kind not in "iub"):
        raise SourceError(
            f"labels must be one integer for each image, not {column.dtype} {column.shape}; map names to numbers first"
        )
    return _integers("label", column)


def _named(columns: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(columns, Mapping) or not all(isinstance(name, str) for name in columns):
        raise SourceError(
            "columns must be a mapping of names to values, such as {'score': [0.5, 1.5]}"
        )
    return columns.items()


def _column(name: str, values: Any) -> ColumnValues:
    """As the source gives it: int64, float32, float64, Text or a Ragged."""
    if isinstance(values, Ragged):
        return values
    column = values if isinstance(values, np.ndarray) else _array(name, values)
    if column.ndim == 1 and column.dtype.kind == "U":
        return Text.of(column.tolist())
    if column.ndim == 1 and column.dtype.kind in "iub":
        return _integers(name, column)
    if column.ndim == 1 and column.dtype.kind == "f" and column.dtype.itemsize <= 8:
        return column.astype(np.float64 if column.dtype.itemsize == 8 else np.float32, copy=False)
    message = f"column {name!r} must be integers, floats or text, one for each image, not {column.dtype} {column.shape}"
    raise SourceError(f"{message}; give lists as a Ragged")


def _array(name: str, values: Any) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        message = f"{name!r} must be one value for each image, not lists of differing length"
        raise SourceError(f"{message}; give those as a fastpack.core.Ragged in columns") from error


def _integers(name: str, column: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if column.dtype.kind == "u" and len(column) and column.max() >= 2**63:
        raise SourceError(
            f"{name!r} holds {column.max()}, which does not fit into 64 bits with a sign; give it as text"
        )
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
    """An error for each file whose key an earlier one has."""
    assert isinstance(keys, Text)
    if isinstance(images, ImagePathColumn) and images.files.is_made_of(
        keys
    ):  # so equal keys are one file
        return {}
    hashes = np.empty(len(keys), np.uint64)
    hash_rows(keys.values, keys.offsets, 0, hashes)
    ordered = np.sort(hashes)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    seen: dict[str, str] = {}
    faults: dict[int, FastpackError] = {}
    for row in np.flatnonzero(
        np.isin(hashes, repeated)
    ).tolist():  # all others have a key of their own
        key, path = keys[row], str(images.location(row))
        if seen.setdefault(key, path) != path:
            message = f"two files have the key {key!r}: {seen[key]} and {path}; give each a name of its own, in a column `key` say"
            faults[row] = DuplicateKeyError(message)
    return faults
