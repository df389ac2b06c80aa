"""from_table: a table with a row for each image (docs/tables.md)."""

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.core.ragged import Text
from fastpack.core.schema import Kind
from fastpack.errors import (
    FastpackError,
    Location,
    MissingFileError,
    OptionError,
    SchemaError,
    SourceError,
    with_location,
)
from fastpack.files.arguments import check_arguments
from fastpack.files.file_names import path_of
from fastpack.files.image_tree import IMAGE_SUFFIXES
from fastpack.sources.column import ColumnValues, Leaf
from fastpack.sources.image_column import ImageBytesColumn, ImageColumn, ImagePathColumn
from fastpack.sources.image_files import ImageFiles
from fastpack.sources.links import links_out
from fastpack.sources.parquet import Cells
from fastpack.sources.roles import Roles, find_roles
from fastpack.sources.sheet import Sheet, read_sheet
from fastpack.sources.table_paths import located, outer_key, with_slashes

_TAKEN_NAMES = ("image", "label", "key")  # fields of a sample
_MAX_CLASSES = 2**20  # larger labels are not numbers of classes


def from_table(
    path: str | Path,
    *,
    root: str | Path | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    image_columns: Sequence[str] | Mapping[str, Kind] | None = None,
    fields: Sequence[str] | None = None,
    allow_external: bool = False,
) -> ImageFiles:
    """Read a table with a row for each image. docs/tables.md has all rules.

    Images are files that the table names, or cells of a Parquet table. A column `key` has the
    samples' keys; without, these are the paths below `root`. A column `class_name` beside labels
    names the classes. `notes` has all guesses, renamed columns, conversions and omissions.

    Args:
        path: a .csv, .tsv, .jsonl, .ndjson or .parquet file, or a folder NAME.parquet.
        root: the folder of the table's paths; None for the table's own.
        path_column: the column with images or their paths. None takes the first of file_name, path,
            file, filename, image, file_path, filepath, image_path; else the only column whose first
            value ends like an image's name.
        label_column: the column with labels. None takes the first of label, labels, class, target,
            class_name; "" means no labels. Integers stay as they are. Text is numbered in sorted
            order, and becomes the class names.
        image_columns: other columns with images, or {name: "image" or "mask"}. None takes those
            whose values all end like an image's name, if the first file exists.
        fields: which of the other columns to keep, by the names of their fields; None for all.
        allow_external: allow files outside of `root`. Without, each is a fault.

    Returns:
        A Source with the fields image, label, key, and one for each other column.

    Raises:
        SourceError: a column is missing or cannot be kept.
        EmptySourceError: the table has no rows.
        MissingFileError: the table, `root` or all images are missing.
        UnreadableFileError: the table cannot be read.

    Example:
        >>> folder = Path(getfixture("tmp_path"))
        >>> _ = (folder / "1.jpg").write_bytes(b"...")
        >>> _ = (folder / "table.csv").write_text("path,label,score\\n1.jpg,cat,0.5\\n")
        >>> source = from_table(folder / "table.csv")
        >>> source, source.schema.class_names, source.columns["score"]
        (ImageFiles(1 image, key, label, score), ('cat',), array([0.5]))
    """
    check_arguments(
        root=root, path_column=path_column, label_column=label_column, allow_external=allow_external
    )
    sheet = read_sheet(path_of("path", path))
    roles = find_roles(sheet, path_column, label_column)
    folder = sheet.path.parent if root is None else _existing_folder(root)
    builder = _SourceBuilder(sheet, roles, folder, allow_external=allow_external)
    builder.take_images()
    builder.take_labels()
    builder.take_others(image_columns, fields)
    return builder.source()


def _existing_folder(root: str | Path) -> Path:
    folder = path_of("root", root)
    if not folder.is_dir():
        message = "root must be the folder of the table's paths; check it"
        raise MissingFileError(errno.ENOENT, with_location(message, Location(folder)))
    return folder


class _SourceBuilder:
    """Builds a source from a sheet: images and keys, labels, then other columns."""

    def __init__(self, sheet: Sheet, roles: Roles, folder: Path, *, allow_external: bool) -> None:
        self._sheet, self._roles, self._folder = sheet, roles, folder
        self._bounds = None if allow_external else folder
        self._notes = [*sheet.notes, *roles.notes]
        self._location = Location(sheet.path)
        self._images: ImagePathColumn | ImageBytesColumn
        self._names, self._keys = Text.of(()), Text.of(())
        self._class_names: Sequence[str] = ()
        self._columns: dict[str, ColumnValues] = {}
        self._blobs: dict[str, tuple[Kind, ImageColumn]] = {}

    def source(self) -> ImageFiles:
        return ImageFiles(
            self._images,
            keys=self._keys,
            class_names=self._class_names,
            columns=self._columns,
            blobs=self._blobs,
            notes=[*dict.fromkeys(self._notes)],
        )

    # Images and keys

    def take_images(self) -> None:
        name = self._roles.path
        if name in self._sheet.cells:
            cells: Cells = self._sheet.cells[name]
            self._images = ImageBytesColumn(cells.blobs, self._sheet.path)
            keys = self._cell_keys(cells)
        else:
            names = self._sheet.leaves[name].text("the paths of images")
            self._names = with_slashes(names, self._folder, self._notes)
            files, keys = located(self._names, self._folder, self._notes)
            self._images = ImagePathColumn(files, self._bounds, self._unnamed(self._names, name))
            self._refuse_all_missing(self._images)
        key = self._roles.key
        self._keys = keys if key is None else self._key_column(self._sheet.leaves[key])

    def _cell_keys(self, cells: Cells) -> Text:
        """Return the names beside the images if unique, else the numbers of the rows."""
        names = list(cells.names)
        if all(names) and len(set(names)) == len(names):
            return Text.of(map(outer_key, names))
        lack = f"the images of column {cells.name!r} have no unique names"
        self._notes.append(f"{lack}; their keys are the numbers of their rows")
        return Text.of(f"{row:08d}" for row in range(len(names)))

    def _key_column(self, leaf: Leaf) -> Text:
        remedy = "give it one, or rename the column to have the paths as keys"
        leaf.refuse_missing(f"has no key; {remedy}")
        return leaf.text("the keys")

    def _unnamed(self, names: Text, column: str) -> dict[int, FastpackError]:
        message = f"column {column!r}: the row names no image; leave the row out"
        rows = np.flatnonzero(names.lengths == 0).tolist()
        return {
            row: SourceError(with_location(message, Location(self._sheet.path, record=row)))
            for row in rows
        }

    def _refuse_all_missing(self, images: ImagePathColumn) -> None:
        """Raise one error for a wrong folder, not one for each file."""
        faults = images.faults.values()
        if len(faults) < len(images):
            return
        if not all(isinstance(fault, MissingFileError) for fault in faults):
            return
        first = self._names[0]
        if "://" in first:
            message = f"the images are given by URLs, such as {first[:80]!r}"
            remedy = "download them, and name the files"
            raise SourceError(with_location(f"{message}; {remedy}", self._location))
        is_here = os.path.lexists(first) and not os.path.isabs(first)
        here = "; the first exists below the current folder: use root='.'" if is_here else ""
        message = f"all {len(images):,} images are missing: paths are relative to {self._folder}"
        text = f"{message}; give another root or path_column{here}"
        raise MissingFileError(errno.ENOENT, with_location(text, images.location(0)))

    # Labels

    def take_labels(self) -> None:
        if self._roles.label is None:
            return
        leaf = self._sheet.leaves[self._roles.label]
        labels, self._class_names = leaf.labels(self._notes)
        self._columns["label"] = labels
        if self._roles.class_name is not None:
            self._take_class_names(self._sheet.leaves[self._roles.class_name], leaf)

    def _take_class_names(self, named: Leaf, leaf: Leaf) -> None:
        """Name the classes by the column class_name. Text labels are kept as a column too."""
        labels, names = self._columns["label"], named.text("the names of classes")
        if (
            not isinstance(labels, np.ndarray)
            or labels.dtype.kind != "i"
            or not 0 <= labels.min() <= labels.max() < _MAX_CLASSES
        ):
            why = "since the labels are not numbers of classes"
            self._notes.append(f"column {named.name!r} is kept as 'class_name_column', {why}")
            self._columns["class_name_column"] = names
            return
        found = self._names_by_label(labels, names)
        if self._class_names and not leaf.class_names and tuple(self._class_names) != tuple(found):
            kept = f"the text of {leaf.name!r} is kept as 'label_column'"
            self._notes.append(f"class names are those of {named.name!r}; {kept}")
            self._columns["label_column"] = leaf.column.text()
        self._class_names = found

    def _names_by_label(self, labels: npt.NDArray[np.int64], names: Text) -> list[str]:
        found, first_rows = [""] * (int(labels.max()) + 1), dict[int, int]()
        for row, (label, name) in enumerate(zip(labels.tolist(), names, strict=True)):
            if found[label] != name and first_rows.setdefault(label, row) != row:
                other = f"{found[label]!r} in row {first_rows[label]}"
                message = f"the class {label} is called {other} and {name!r} here; give it one name"
                raise SourceError(with_location(message, Location(self._sheet.path, record=row)))
            found[label] = name
            first_rows.setdefault(label, row)
        return found

    # All other columns

    def take_others(
        self, image_columns: Sequence[str] | Mapping[str, Kind] | None, fields: Sequence[str] | None
    ) -> None:
        others = self._others(fields)
        kinds = None if image_columns is None else self._kinds(image_columns, others)
        for name, column in others.items():
            if isinstance(column, Cells):
                self._blobs[self._field(name)] = self._cells(column, (kinds or {}).get(name))
            elif name in kinds if kinds is not None else self._names_images(column):
                kind: Kind = (kinds or {}).get(name, "image")
                self._blobs[self._field(name)] = kind, self._files(column)
            else:
                self._columns[self._field(name)] = column.values(self._notes)

    def _kinds(
        self, given: Sequence[str] | Mapping[str, Kind], others: Mapping[str, Leaf | Cells]
    ) -> dict[str, Kind]:
        kinds: dict[str, Kind] = (
            dict(given)
            if isinstance(given, Mapping)
            else dict.fromkeys(checks.texts("image_columns", given), "image")
        )
        for name, kind in kinds.items():
            if name not in others:
                message = f"no column {name!r} for image_columns among {self._sheet.names}"
                raise SourceError(with_location(f"{message}; correct the name", self._location))
            if not isinstance(kind, str) or kind not in ("image", "mask"):
                message = "a column of image files has the kind image or mask"
                raise OptionError(f"{message}, not {kind!r}")
        return kinds

    def _others(self, fields: Sequence[str] | None) -> Mapping[str, Leaf | Cells]:
        every: dict[str, Leaf | Cells] = {**self._sheet.leaves, **self._sheet.cells}
        found = {name: column for name, column in every.items() if name not in self._roles.names}
        if fields is None:
            return found
        fields = checks.texts("fields", fields)
        known = {*map(_field_name, found), *self._columns, *_TAKEN_NAMES}
        if unknown := [name for name in fields if name not in known]:
            message = f"there is no column {unknown[0]!r}; the columns are {self._sheet.names}"
            raise SchemaError(with_location(message, self._location))
        return {name: column for name, column in found.items() if _field_name(name) in fields}

    def _field(self, name: str) -> str:
        """Return the field of a column. Raises SourceError if another column has it."""
        field = _field_name(name)
        if field != name:
            why = f"since {name!r} is another field of samples"
            self._notes.append(f"column {name!r} is kept as {field!r}, {why}")
        if field in self._columns or field in self._blobs:
            message = f"two columns would be called {field!r}; rename one of them"
            raise SourceError(with_location(message, self._location))
        return field

    def _names_images(self, column: Leaf) -> bool:
        """Return True if all values end like an image's name, and the first file exists."""
        types = column.column.first_rows.keys()
        if column.fault or column.offsets or not {str} <= types <= {str, type(None)}:
            return False
        names = column.column.text()
        if names == self._names:
            return False
        rows = enumerate(names)
        stray = next((row for row, name in rows if not _is_image_name(name)), None)
        if stray is not None:
            self._note_stray(column, names, stray)
            return False
        if not self._is_file(names[0]):
            why = "though it reads like images: its first file is missing"
            self._notes.append(f"column {column.name!r} is kept as text, {why}")
            return False
        field = f"column {column.name!r} names images, packed as field {_field_name(column.name)!r}"
        remedy = "name it in image_columns as a mask, if its pixels are class numbers"
        self._notes.append(f"{field}; {remedy}")
        return True

    def _is_file(self, name: str) -> bool:
        """Return True if a value is the path of a file that may be read."""
        path = str(located(Text.of([name]), self._folder, [])[0][0])
        if self._bounds is not None and links_out([path], os.fspath(self._bounds)):
            return False
        return os.path.isfile(path)

    def _note_stray(self, column: Leaf, names: Text, stray: int) -> None:
        """Note that a column is not taken as images, since a row is not an image's name."""
        likely = next(filter(_is_image_name, names), "")
        if not likely or not self._is_file(likely):
            return
        found = repr(names[stray][:40]) if names[stray] else "nothing"
        kept = f"column {column.name!r} is kept as text: it names images, but row {stray} holds"
        remedy = "name it in image_columns to have images, without those of such rows"
        self._notes.append(f"{kept} {found}; {remedy}")

    def _files(self, column: Leaf) -> ImagePathColumn:
        names = with_slashes(column.text("the paths of images"), self._folder, self._notes)
        files, _ = located(names, self._folder, self._notes)
        return ImagePathColumn(files, self._bounds, self._unnamed(names, column.name))

    def _cells(self, cells: Cells, kind: Kind | None) -> tuple[Kind, ImageBytesColumn]:
        if kind is None:
            kind = "image" if cells.are_images else "bytes"
            field = f"packed as field {_field_name(cells.name)!r} of kind {kind!r}"
            self._notes.append(f"column {cells.name!r} holds bytes, {field}; image_columns decides")
        return kind, ImageBytesColumn(cells.blobs, self._sheet.path, are_images=kind != "bytes")


def _is_image_name(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _field_name(name: str) -> str:
    """Return the field of a column. It must not be the samples' image, label or key."""
    return f"{name}_column" if name in _TAKEN_NAMES else name
