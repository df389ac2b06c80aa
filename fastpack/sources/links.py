"""Links that lead out of a source's folder: what a folder or a table names may come from anybody."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from fastpack.errors import FastpackError, Place, SourceError, at


@dataclass(frozen=True)
class _Folder:
    """Whether a folder lies in the source's, whatever links lead to it; and which names in it are links."""

    is_below: bool
    links: frozenset[str]


def links_out(paths: Iterable[str], root: str) -> dict[int, FastpackError]:
    """An error for each file that lies outside `root`, once all links are followed. A folder is listed once, and only links in it
    are followed. What becomes a link later is not noticed."""
    real_root = os.path.realpath(root)
    folders: dict[str, _Folder] = {}
    faults: dict[int, FastpackError] = {}
    for row, path in enumerate(paths):
        above, _, name = path.rpartition(os.sep)
        if (folder := folders.get(above)) is None:
            folder = folders[above] = _look(above, real_root)
        if not folder.is_below or (name in folder.links and not _is_below(path, real_root)):
            message = f"a link leads out of {root}; pack the files themselves, or ask for allow_external"
            faults[row] = SourceError(at(message, Place(path)))
    return faults


def _look(folder: str, real_root: str) -> _Folder:
    if not _is_below(folder, real_root):
        return _Folder(False, frozenset())
    try:
        with os.scandir(folder or os.curdir) as entries:
            return _Folder(True, frozenset(entry.name for entry in entries if entry.is_symlink()))
    except OSError:
        return _Folder(True, frozenset())  # whoever reads from it will say what is wrong


def _is_below(path: str, real_root: str) -> bool:
    real = os.path.realpath(path)
    return real == real_root or real.startswith(os.path.join(real_root, ""))
