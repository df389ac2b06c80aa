"""Names that lead out of a source's folder, by themselves or by links: what a folder or a table names may come from anybody."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from fastpack.errors import FastpackError
from fastpack.files.link_policy import LinkPolicy


@dataclass(frozen=True)
class _Folder:
    """Whether a folder lies in the source's, whatever links lead to it; and which names in it are links."""

    is_below: bool
    links: frozenset[str]


def links_out(paths: Iterable[str], root: str) -> dict[int, FastpackError]:
    """An error for each file that lies outside `root`, once all links are followed. A folder below `root` is listed once, and only
    links in it are followed; nothing outside is listed or opened. What becomes a link later is not noticed."""
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
        return _Folder(True, frozenset())  # whoever reads from it will say what is wrong
