"""A table with a row for each image: CSV, JSON lines or Parquet. Its rules stand in docs/tables.md."""

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
from fastpack.files.image_folder import IMAGE_SUFFIXES
from fastpack.sources.column import ColumnValues, Leaf
from fastpack.sources.image_column import ImageBytesColumn, ImageColumn, ImagePathColumn
from fastpack.sources.links import links_out
from fastpack.sources.located import located, outer_key, with_slashes
from fastpack.sources.parquet import Cells
from fastpack.sources.paths import ImageFiles
from fastpack.sources.roles import Roles, find_roles
from fastpack.sources.rows import Sheet, read_sheet

# What samples call their image, label and key.
_TAKEN = ("image", "label", "key")
# From here on, a label is not the number of a class.
_MAX_CLASSES = 2**20


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
    """The images that a table names or holds, in its order, with its other columns. All rules: docs/tables.md.

    - root: what the table's paths are relative to; None is the table's folder.
    - path_column: None takes the first of file_name, path, file, filename, image, file_path, filepath, image_path; else the one
      column whose first value ends like an image's name.
    - label_column: None takes the first of label, labels, class, target, class_name, if there; "" takes none. Integers are
      taken as they are; names are numbered in sorted order and become the class names.
    - image_columns: which other columns name images of their own, or {name: "image" or "mask"}; None takes as images those
      whose values all end like an image's name and whose first file is there.
    - fields: which of the other columns to keep, and to judge, by the names of their fields; None keeps all.
    - allow_external: take files outside of `root` too, which a path or a link leads to. Otherwise such a file is a fault.

    A column `key` has the samples' keys; else these are the paths below `root`. A column `class_name` beside labels names classes.
    The `notes` of the source say what was guessed, renamed, converted or left out. Raises SourceError for a column that is not
    there or cannot be kept, and MissingFileError when none of the files is there.
    """
    check_arguments(
        root=root, path_column=path_column, label_column=label_column, allow_external=allow_external
    )
    sheet = read_sheet(path_of("path", path))
    roles = find_roles(sheet, path_column, label_column)
    folder = sheet.path.parent if root is None else path_of("root", root)
    if not folder.is_dir():
        raise MissingFileError(
            2,
            with_location(
                "root must be a folder, which the table's paths are below; check it",
                Location(folder),
            ),
        )
    making = _Making(sheet, roles, folder, allow_external=allow_external)
    making.take_images()
    making.take_labels()
    making.take_others(image_columns, fields)
    return making.source()


class _Making:
    """A source in the making: column after column of a sheet is taken into it."""

    def __init__(self, sheet: Sheet, roles: Roles, folder: Path, *, allow_external: bool) -> None:
        self._sheet, self._roles, self._folder = sheet, roles, folder
        self._bounds = None if allow_external else folder
        self._notes = [*sheet.notes, *roles.notes]
        self._where = Location(sheet.path)
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
            self._images, keys = (
                ImageBytesColumn(cells.blobs, self._sheet.path),
                self._cell_keys(cells),
            )
        else:
            self._names = with_slashes(
                self._sheet.leaves[name].text("the paths of images"), self._folder, self._notes
            )
            files, keys = located(self._names, self._folder, self._notes)
            self._images = ImagePathColumn(files, self._bounds, self._unnamed(self._names, name))
            self._refuse_all_missing(self._images)
        self._keys = (
            keys if self._roles.key is None else self._own_keys(self._sheet.leaves[self._roles.key])
        )

    def _cell_keys(self, cells: Cells) -> Text:
        """The names that stand beside the images, where these tell them apart; else the numbers of the rows."""
        names = list(cells.names)
        if all(names) and len(set(names)) == len(names):
            return Text.of(map(outer_key, names))
        self._notes.append(
            f"the images of column {cells.name!r} have no names of their own; their keys are the numbers of their rows"
        )
        return Text.of(f"{row:08d}" for row in range(len(names)))

    def _own_keys(self, leaf: Leaf) -> Text:
        leaf.refuse_missing(
            "has no key; give it one, or rename the column to have the paths as keys"
        )
        return leaf.text("the keys")

    def _unnamed(self, names: Text, column: str) -> dict[int, FastpackError]:
        message = f"column {column!r}: the row names no image; leave the row out"
        rows = np.flatnonzero(names.lengths == 0).tolist()
        return {
            row: SourceError(with_location(message, Location(self._sheet.path, record=row)))
            for row in rows
        }

    def _refuse_all_missing(self, images: ImagePathColumn) -> None:
        """One error for a wrong folder, and not one for each file."""
        faults = images.faults.values()
        if len(faults) < len(images) or not all(
            isinstance(fault, MissingFileError) for fault in faults
        ):
            return
        first = self._names[0]
        if "://" in first:
            raise SourceError(
                with_location(
                    f"the images are given by URLs, such as {first[:80]!r}; download them, and name the files",
                    self._where,
                )
            )
        here = (
            "; below the current folder it is: use root='.'"
            if os.path.lexists(first) and not os.path.isabs(first)
            else ""
        )
        message = f"none of the {len(images):,} images is there: paths are taken below {self._folder}; give another root or path_column{here}"
        raise MissingFileError(2, with_location(message, images.location(0)))

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
        """The column class_name names what label numbers. Where the labels are text themselves, they stay as a column."""
        labels, names = self._columns["label"], named.text("the names of classes")
        if (
            not isinstance(labels, np.ndarray)
            or labels.dtype.kind != "i"
            or not 0 <= labels.min() <= labels.max() < _MAX_CLASSES
        ):
            self._notes.append(
                f"column {named.name!r} is kept as 'class_name_column', since the labels are not numbers of classes"
            )
            self._columns["class_name_column"] = names
            return
        found = self._names_by_label(labels, names)
        if self._class_names and not leaf.class_names and tuple(self._class_names) != tuple(found):
            self._notes.append(
                f"classes are called as in {named.name!r}; the text of {leaf.name!r} is kept as 'label_column'"
            )
            self._columns["label_column"] = leaf.column.text()
        self._class_names = found

    def _names_by_label(self, labels: npt.NDArray[np.int64], names: Text) -> list[str]:
        found, first_rows = [""] * (int(labels.max()) + 1), dict[int, int]()
        for row, (label, name) in enumerate(zip(labels.tolist(), names, strict=True)):
            if found[label] != name and first_rows.setdefault(label, row) != row:
                message = f"the class {label} is called {found[label]!r} in row {first_rows[label]} and {name!r} here; give it one name"
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
                self._blobs[self._called(name)] = self._held(column, (kinds or {}).get(name))
            elif name in kinds if kinds is not None else self._names_images(column):
                self._blobs[self._called(name)] = (
                    (kinds or {}).get(name, "image"),
                    self._files(column),
                )
            else:
                self._columns[self._called(name)] = column.values(self._notes)

    def _kinds(
        self, given: Sequence[str] | Mapping[str, Kind], others: Mapping[str, Leaf | Cells]
    ) -> dict[str, Kind]:
        names: Mapping[str, Kind] | None = given if isinstance(given, Mapping) else None
        kinds: dict[str, Kind] = (
            dict.fromkeys(checks.texts("image_columns", given), "image")
            if names is None
            else dict(names)
        )
        for name, kind in kinds.items():
            if name not in others:
                raise SourceError(
                    with_location(
                        f"no column {name!r} for image_columns among {self._sheet.names}; correct the name",
                        self._where,
                    )
                )
            if not isinstance(kind, str) or kind not in ("image", "mask"):
                raise OptionError(
                    f"a column of image files is of the kind image or mask, not {kind!r}"
                )
        return kinds

    def _others(self, fields: Sequence[str] | None) -> Mapping[str, Leaf | Cells]:
        every: dict[str, Leaf | Cells] = {**self._sheet.leaves, **self._sheet.cells}
        found = {name: column for name, column in every.items() if name not in self._roles.names}
        if fields is None:
            return found
        fields = checks.texts("fields", fields)
        known = {*map(_field_name, found), *self._columns, *_TAKEN}
        if unknown := [name for name in fields if name not in known]:
            raise SchemaError(
                with_location(
                    f"there is no column {unknown[0]!r}; the columns are {self._sheet.names}",
                    self._where,
                )
            )
        return {name: column for name, column in found.items() if _field_name(name) in fields}

    def _called(self, name: str) -> str:
        """The field that a column becomes. Raises SourceError when another column is that."""
        field = _field_name(name)
        if field != name:
            self._notes.append(
                f"column {name!r} is kept as {field!r}, since {name!r} is what samples call something else"
            )
        if field in self._columns or field in self._blobs:
            raise SourceError(
                with_location(
                    f"two columns would be called {field!r}; rename one of them", self._where
                )
            )
        return field

    def _names_images(self, column: Leaf) -> bool:
        """Whether all values end like an image's name, and the first file is there."""
        if (
            column.fault
            or column.offsets
            or not {str} <= column.column.first_rows.keys() <= {str, type(None)}
        ):
            return False
        names = column.column.text()
        if names == self._names:
            return False
        if (
            stray := next(
                (
                    row
                    for row, name in enumerate(names)
                    if not name.lower().endswith(IMAGE_SUFFIXES)
                ),
                None,
            )
        ) is not None:
            self._note_stray(column, names, stray)
            return False
        if not self._is_there(names[0]):
            self._notes.append(
                f"column {column.name!r} is kept as text, though it reads like images: its first file is not there"
            )
            return False
        about = f"column {column.name!r} names images, which are packed as the field {_field_name(column.name)!r}"
        self._notes.append(
            f"{about}; name it in image_columns as a mask, if its pixels are class numbers"
        )
        return True

    def _is_there(self, name: str) -> bool:
        """Whether a value is the path of a file that may be taken."""
        path = str(located(Text.of([name]), self._folder, [])[0][0])
        return (
            self._bounds is None or not links_out([path], os.fspath(self._bounds))
        ) and os.path.isfile(path)

    def _note_stray(self, column: Leaf, names: Text, stray: int) -> None:
        """A column of images but for some rows, which it is not taken for."""
        likely = next((name for name in names if name.lower().endswith(IMAGE_SUFFIXES)), "")
        if not likely or not self._is_there(likely):
            return
        found = repr(names[stray][:40]) if names[stray] else "nothing"
        message = f"column {column.name!r} is kept as text: it names images, but row {stray} holds {found}"
        self._notes.append(
            f"{message}; name it in image_columns to have images, of which such rows have none"
        )

    def _files(self, column: Leaf) -> ImagePathColumn:
        names = with_slashes(column.text("the paths of images"), self._folder, self._notes)
        return ImagePathColumn(
            located(names, self._folder, self._notes)[0],
            self._bounds,
            self._unnamed(names, column.name),
        )

    def _held(self, cells: Cells, kind: Kind | None) -> tuple[Kind, ImageBytesColumn]:
        if kind is None:
            kind = "image" if cells.are_images else "bytes"
            field = _field_name(cells.name)
            self._notes.append(
                f"column {cells.name!r} holds bytes, packed as the field {field!r} of the kind {kind!r}; image_columns decides"
            )
        return kind, ImageBytesColumn(cells.blobs, self._sheet.path, are_images=kind != "bytes")


def _field_name(name: str) -> str:
    """A column must not be taken for the image, label or key of the samples."""
    return f"{name}_column" if name in _TAKEN else name
