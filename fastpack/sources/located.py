"""Which files and keys the paths in a table mean."""

import os
import re
from pathlib import Path

import numpy as np

from fastpack.core.ragged import Text
from fastpack.files.file_names import FileNames

# Finds in names, joined by NULs, a part that is empty, "." or "..": all others are the path below the folder as they stand.
_IS_ODD = re.compile(r"(?:\A|[/\0])\.{0,2}(?:[/\0]|\Z)")


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
        return os.fspath(path), outer_key(name) if leads_out(path, self._folder) else relative_key(
            path, self._folder
        )


def located(names: Text, folder: Path, notes: list[str]) -> tuple[FileNames, Text]:
    """The files that a table names, and their keys: one text for both, where paths are the folder and the key. Mostly it is the names'."""
    root = _Root(folder)
    if not any(_IS_ODD.search("\0".join(block)) for block in names.blocks()):
        return FileNames(names, root.above), names
    keys = Text.of(root.located(name)[1] for name in names)
    if all(path == root.above + key for path, key in map(root.located, names)):
        return FileNames(keys, root.above), keys
    files = FileNames(root.located(name)[0] for name in names)
    if outer := next((name for name in names if leads_out(folder / name, folder)), None):
        notes.append(
            f"paths lead out of {folder}; their keys have no leading / or ../: {outer_key(outer)!r} is the key of {outer!r}"
        )
    return files, keys


def with_slashes(names: Text, folder: Path, notes: list[str]) -> Text:
    """The same names; those of Windows with slashes, where the first of them is a file with and none without."""
    if not (names.values == ord("\\")).any():
        return names
    first = next(name for name in names if "\\" in name)
    turned = first.replace("\\", "/")
    if (
        leads_out(folder / turned, folder)
        or os.path.lexists(folder / first)
        or not os.path.lexists(folder / turned)
    ):
        return names
    notes.append(f"paths have backslashes, which are read as slashes: {turned!r}")
    return Text(
        np.where(names.values == ord("\\"), ord("/"), names.values).astype(np.uint8), names.offsets
    )


def leads_out(path: Path, folder: Path) -> bool:
    """By its name; whatever links there are."""
    return relative_key(path, folder).split("/")[0] == ".."


def outer_key(name: str) -> str:
    """The key of a path that leads out of the table's folder: as tar has it, without what leads out.

    >>> outer_key("/data/a/1.jpg"), outer_key("../b/./1.jpg"), outer_key("c/../../1.jpg")
    ('data/a/1.jpg', 'b/1.jpg', '1.jpg')
    """
    return (
        "/".join(part for part in os.path.normpath(name).split("/") if part not in ("", ".."))
        or name
    )


def relative_key(path: str | Path, root: str | Path) -> str:
    """A file's path below the root, with forward slashes."""
    return os.path.relpath(path, root).replace(os.sep, "/")
