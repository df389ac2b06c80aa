"""Files and keys of the paths in a table."""

import os
import re
from pathlib import Path

import numpy as np

from fastpack.core.ragged import Text
from fastpack.files.file_names import FileNames

# Finds an empty part, "." or ".." in names joined by NULs. Other names are paths below the folder.
_IS_ODD = re.compile(r"(?:\A|[/\0])\.{0,2}(?:[/\0]|\Z)")


class _Root:
    """The folder of a table's paths."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.above = os.fspath(folder / "_")[:-1]
        self._absolute = os.path.join(os.path.abspath(folder), "")

    def located(self, name: str) -> tuple[str, str]:
        """Return a file's path and key, as pathlib would. pathlib takes ten times as long."""
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
        if leads_out(path, self._folder):
            return os.fspath(path), outer_key(name)
        return os.fspath(path), relative_key(path, self._folder)


def located(names: Text, folder: Path, notes: list[str]) -> tuple[FileNames, Text]:
    """Return the files of a table's paths, and their keys.

    Both share a text if each path is the folder and the key. Mostly that text is `names`.
    """
    root = _Root(folder)
    if not any(_IS_ODD.search("\0".join(block)) for block in names.blocks()):
        return FileNames(names, root.above), names
    keys = Text.of(root.located(name)[1] for name in names)
    if all(path == root.above + key for path, key in map(root.located, names)):
        return FileNames(keys, root.above), keys
    files = FileNames(root.located(name)[0] for name in names)
    if outer := next((name for name in names if leads_out(folder / name, folder)), None):
        note = f"paths lead out of {folder}; their keys have no leading / or ../"
        notes.append(f"{note}: {outer_key(outer)!r} is the key of {outer!r}")
    return files, keys


def with_slashes(names: Text, folder: Path, notes: list[str]) -> Text:
    """Replace backslashes by slashes if only so the first such name is a file."""
    is_backslash = names.values == ord("\\")
    if not is_backslash.any():
        return names
    first = next(name for name in names if "\\" in name)
    with_slash = first.replace("\\", "/")
    if (
        leads_out(folder / with_slash, folder)
        or os.path.lexists(folder / first)
        or not os.path.lexists(folder / with_slash)
    ):
        return names
    notes.append(f"paths have backslashes, which are read as slashes: {with_slash!r}")
    return Text(np.where(is_backslash, ord("/"), names.values).astype(np.uint8), names.offsets)


def leads_out(path: Path, folder: Path) -> bool:
    """Return True if a path leads out of the folder by its name. Links do not count."""
    return relative_key(path, folder).split("/")[0] == ".."


def outer_key(name: str) -> str:
    """Return the key of a path outside of the table's folder.

    >>> outer_key("/data/a/1.jpg"), outer_key("../b/./1.jpg"), outer_key("c/../../1.jpg")
    ('data/a/1.jpg', 'b/1.jpg', '1.jpg')
    """
    parts = os.path.normpath(name).split("/")
    return "/".join(part for part in parts if part not in ("", "..")) or name


def relative_key(path: str | Path, root: str | Path) -> str:
    """Return a file's path below the root, with forward slashes."""
    return os.path.relpath(path, root).replace(os.sep, "/")
