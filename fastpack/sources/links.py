"""Paths of an untrusted table that lead out of its folder."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from fastpack.errors import FastpackError
from fastpack.files.link_policy import LinkPolicy


@dataclass(frozen=True)
class _Folder:
    """A folder: whether it is below the root, links followed, and its links."""

    is_below: bool
    links: frozenset[str]


def links_out(paths: Iterable[str], root: str) -> dict[int, FastpackError]:
    """Return an error for each file outside of `root`, links followed, by row.

    A folder below `root` is listed once, and only links in it are followed. Nothing outside is
    listed or opened. Links that are made later are not noticed.
    """
    link_policy = LinkPolicy(root)
    folders: dict[str, _Folder] = {}
    faults: dict[int, FastpackError] = {}
    for row, path in enumerate(paths):
        above, _, name = path.rpartition(os.sep)
        if (folder := folders.get(above)) is None:
            folder = folders[above] = _look(above, link_policy)
        if not folder.is_below or (name in folder.links and not link_policy.allows(path)):
            faults[row] = link_policy.refusal(path)
    return faults


def _look(folder: str, link_policy: LinkPolicy) -> _Folder:
    if not link_policy.allows(folder):
        return _Folder(False, frozenset())
    try:
        with os.scandir(folder or os.curdir) as entries:
            return _Folder(True, frozenset(entry.name for entry in entries if entry.is_symlink()))
    except OSError:
        return _Folder(True, frozenset())  # reading a file from it raises the error
