"""Roles: a table's columns of images, labels, keys, classes (docs/tables.md)."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastpack.errors import Location, SourceError, with_location
from fastpack.files.image_tree import IMAGE_SUFFIXES
from fastpack.sources.column import Leaf
from fastpack.sources.sheet import Sheet

_PATH_NAMES = (
    "file_name",
    "path",
    "file",
    "filename",
    "image",
    "file_path",
    "filepath",
    "image_path",
)
_LABEL_NAMES = ("label", "labels", "class", "target", "class_name")


@dataclass(frozen=True)
class Roles:
    """Names of columns; None if no column has the role.

    Args:
        path: the column with images or their paths.
        label: the column with labels.
        key: the column with keys.
        class_name: the column with class names.
        notes: guesses.
    """

    path: str
    label: str | None
    key: str | None
    class_name: str | None
    notes: tuple[str, ...]

    @property
    def names(self) -> set[str]:
        """The columns that have a role."""
        roles = self.path, self.label, self.key, self.class_name
        return {name for name in roles if name is not None}


def find_roles(sheet: Sheet, path: str | None, label: str | None) -> Roles:
    """Find the columns: those that the user names, or those with usual names.

    Raises SourceError.

    Args:
        sheet: the table.
        path: the column with images; None for a usual name.
        label: the column with labels; None for a usual name, "" for no labels.
    """
    notes = list[str]()
    found = _named(sheet, path, "path_column") if path else _path_column(sheet, notes)
    others = [name for name in sheet.leaves if name != found]
    if label is None:
        labels = _label_column(others, notes)
    else:
        labels = _named(sheet, label, "label_column") if label else None
    if labels == found:
        message = f"column {labels!r} cannot be both the names and the labels; name another"
        raise SourceError(with_location(message, Location(sheet.path)))
    free = [name for name in others if name != labels]
    keys = _usual(("key",), free, notes, "the keys")
    classes = None
    if labels is not None:
        classes = _usual(("class_name",), free, notes, "the names of classes")
    return Roles(found, labels, keys, classes, tuple(notes))


def _named(sheet: Sheet, name: str, argument: str) -> str:
    known = {*sheet.leaves, *(sheet.cells if argument == "path_column" else ())}
    if not isinstance(name, str) or name not in known:
        message = f"no column {name!r} for {argument} among {sheet.names}; correct the name"
        raise SourceError(with_location(message, Location(sheet.path)))
    return name


def _usual(wanted: Sequence[str], among: Sequence[str], notes: list[str], role: str) -> str | None:
    """Return the first of the usual names, in any case, with "_", "-" or spaces."""
    spelled = {name: name.casefold().replace(" ", "_").replace("-", "_") for name in among}
    found = sorted(
        (wanted.index(usual), name != usual, name)
        for name, usual in spelled.items()
        if usual in wanted
    )
    if not found:
        return None
    first, *others = [name for _, _, name in found]
    if first not in wanted:
        notes.append(f"column {first!r} holds {role}")
    if others := [name for name in others if spelled[name] != "class_name"]:
        rest = ", ".join(map(repr, others))
        notes.append(f"column {first!r} holds {role}; {rest} stays a separate column")
    return first


def _path_column(sheet: Sheet, notes: list[str]) -> str:
    if found := _usual(_PATH_NAMES, [*sheet.leaves, *sheet.cells], notes, "the images"):
        return found
    likely = [*(name for name, leaf in sheet.leaves.items() if _names_an_image(leaf)), *sheet.cells]
    if len(likely) != 1:
        names = f"no column of file names ({', '.join(_PATH_NAMES)}) among {sheet.names}"
        seem = f"; {', '.join(map(repr, likely[:9]))} look like some" if likely else ""
        message = f"{names}{seem}; name it with path_column"
        raise SourceError(with_location(message, Location(sheet.path)))
    notes.append(f"column {likely[0]!r} holds the images, by its first value")
    return likely[0]


def _names_an_image(leaf: Leaf) -> bool:
    if leaf.fault or leaf.offsets or not leaf.column.first_rows.keys() <= {str, type(None)}:
        return False
    return str(leaf.column.text()[0]).lower().endswith(IMAGE_SUFFIXES)


def _label_column(others: Sequence[str], notes: list[str]) -> str | None:
    found = _usual(_LABEL_NAMES, others, notes, "the labels")
    if found is None and others:
        why = f"no column is called {', '.join(_LABEL_NAMES)}"
        notes.append(f"the samples have no labels: {why}; name one with label_column")
    return found
