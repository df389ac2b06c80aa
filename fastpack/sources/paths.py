"""A list of image files, with labels and other columns: what the other sources come down to."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.order import hash_rows
from fastpack.batch import Batch
from fastpack.errors import (
    DuplicateKeyError,
    EmptySourceError,
    FastpackError,
    Place,
    SourceError,
)
from fastpack.escapes import escaped_bytes, escaped_names
from fastpack.filenames import FileNames
from fastpack.headers import probe_blobs, raise_probe_status
from fastpack.memory import Memory
from fastpack.ragged import Ragged, Text, digest, offsets_of
from fastpack.schema import Field, Schema
from fastpack.sources.links import links_out

ColumnValues = npt.NDArray[Any] | Text
# Batches of as many threads are read into memory that is there already.
_MAX_BLOCKS = 32


class Paths:
    """A Source over image files.

    - paths: the files, in the order of the samples. A file may come more than once.
    - labels: an integer for each, or None for no labels.
    - keys: a name for each, unique among different files; None takes none, True takes the paths as they are.
    - class_names: names[label].
    - root: refuse files that lie outside it once links are followed, without looking at them; None takes them wherever they are.
    - columns: further values for each file: field name -> array (n,) of integers or floats, or Text.
    - faults: files that are known to be bad and are not looked at: sample -> what is wrong.
    - notes: what was guessed about the files or left out of them, a sentence each.

    Raises EmptySourceError or SourceError (lengths differ). A file that is not there, is no file or has the key of another is
    among the `faults`, and reading it raises what stands there; one that is empty or no image is found when it is read.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        labels: Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
        *,
        keys: Sequence[str] | bool | None = None,
        class_names: Sequence[str] = (),
        columns: Mapping[str, ColumnValues] | None = None,
        root: str | os.PathLike[str] | None = None,
        faults: Mapping[int, FastpackError] = MappingProxyType({}),
        notes: Sequence[str] = (),
    ) -> None:
        self._files = paths if isinstance(paths, FileNames) else FileNames(paths)
        if not len(self._files):
            raise EmptySourceError("there are no images to pack; check the path and the names' endings")
        self._columns: dict[str, ColumnValues] = {}
        if labels is not None:
            self._columns["label"] = _label_column(labels)
        if keys is not None and keys is not False:
            self._columns["key"] = escaped_names(self._files.as_text() if keys is True else _text_of("keys", keys))
        self._columns |= columns or {}
        for name, column in self._columns.items():
            if len(column) != len(self):
                raise SourceError(f"there are {len(self)} images but {len(column)} values of {name!r}; give one for each")
        self._class_names = tuple(escaped_bytes(_text_of("class_names", class_names)))
        self.notes = tuple(notes)
        self._memory = Memory(max_blocks=_MAX_BLOCKS)
        refused = {**(links_out(self._files, os.fspath(root)) if root is not None else {}), **faults}
        self._sizes, times, not_files = self._files.look(refused)
        self._times = digest(times)
        duplicates = _duplicates(self._columns["key"], self._files) if "key" in self._columns else {}
        self._faults = duplicates | not_files | refused

    @property
    def schema(self) -> Schema:
        fields = (Field("image", "image"), *(_field_of(name, column) for name, column in self._columns.items()))
        return Schema(fields, self._class_names)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        return self._sizes

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
        digests = {
            "names of the files": self._files.digest(),
            "sizes of the files": digest(self._sizes),
            "times of the files": self._times,
        }
        return digests | {f"column {name}": digest(column) for name, column in self._columns.items()}

    def __len__(self) -> int:
        return len(self._files)

    def place(self, row: int) -> Place:
        return Place(self._files[row])

    def __repr__(self) -> str:
        return f"Paths({len(self)} images, {', '.join(self._columns) or 'no columns'})"

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Image files whole, and their columns: read by the thread that asks, so ask from several.

        Raises what reading a file meets, with its path.
        """
        if self._faults and (bad := next((row for row in rows.tolist() if row in self._faults), None)) is not None:
            raise self._faults[bad]
        offsets = offsets_of(self._sizes[rows])
        values = self._memory.empty((int(offsets[-1]),), np.uint8)
        images = self._files.read(rows, values, offsets)
        self._refuse_unreadable(images, rows)
        fields = {name: column.take(rows) if isinstance(column, Ragged) else column[rows] for name, column in self._columns.items()}
        return Batch({"image": images, **fields}, len(rows))

    def _refuse_unreadable(self, images: Ragged, rows: npt.NDArray[np.int64]) -> None:
        _, statuses = probe_blobs(images)
        if statuses.any():
            row = int(np.flatnonzero(statuses)[0])
            raise_probe_status(int(statuses[row]), int(images.lengths[row]), self.place(int(rows[row])))


def _text_of(name: str, rows: Sequence[str]) -> Text:
    try:
        return rows if isinstance(rows, Text) else Text.of(rows)
    except UnicodeEncodeError as error:
        raise SourceError(f"{name} hold {error.object!r}, which is no text: {error.reason}; correct it") from error


def _label_column(labels: Sequence[int] | npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    column = np.asarray(labels)
    if column.ndim != 1 or (len(column) and column.dtype.kind not in "iub"):
        raise SourceError(f"labels must be one integer for each image, not {column.dtype} {column.shape}; map names to numbers first")
    return column.astype(np.int64, copy=False)


def _field_of(name: str, column: ColumnValues) -> Field:
    if isinstance(column, Text):
        return Field(name, "text")
    if column.ndim == 1 and column.dtype.kind in "iub":
        return Field(name, "int", dtype="int64")
    if column.ndim == 1 and column.dtype.kind == "f":
        return Field(name, "float", dtype="float32")
    raise SourceError(f"column {name!r} must be integers, floats or text, one for each image, not {column.dtype} {column.shape}")


def _duplicates(keys: ColumnValues, paths: FileNames) -> dict[int, FastpackError]:
    """An error for each file whose key an earlier one has."""
    assert isinstance(keys, Text)
    if paths.is_made_of(keys):  # so equal keys are one file
        return {}
    hashes = np.empty(len(keys), np.uint64)
    hash_rows(keys.values, keys.offsets, 0, hashes)
    ordered = np.sort(hashes)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    seen: dict[str, str] = {}
    faults: dict[int, FastpackError] = {}
    for row in np.flatnonzero(np.isin(hashes, repeated)).tolist():  # all others have a key of their own
        key, path = keys[row], paths[row]
        if seen.setdefault(key, path) != path:
            message = f"two files have the key {key!r}: {seen[key]} and {path}; give each a name of its own"
            faults[row] = DuplicateKeyError(message)
    return faults


def relative_key(path: str | Path, root: str | Path) -> str:
    """A file's path below the root, with forward slashes."""
    return os.path.relpath(path, root).replace(os.sep, "/")
