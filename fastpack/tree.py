"""The image files below a folder, and the classes that its folders are: torchvision's ImageFolder convention."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastpack.errors import FastpackError, Place, SourceError, UnreadableFileError, at, from_os_error
from fastpack.pool import num_cores, share
from fastpack.ragged import Text, numbered

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class _Folder:
    """`bounds`: the folder, without links in its path, that links must not lead out of; None lets them. `prefix`: the path below the
    root, ending in a slash; `above`: the folders that we came through, by device and inode."""

    path: str
    bounds: str | None = None
    prefix: str = ""
    is_link: bool = False
    above: frozenset[tuple[int, int]] = frozenset()

    def listed(self) -> "_Listed":
        try:
            self._refuse_links_out()
            facts = os.stat(self.path)
            here = facts.st_dev, facts.st_ino
            if here in self.above:
                raise UnreadableFileError(at("a link leads back to a folder above it; remove the link", Place(self.path)))
            with os.scandir(self.path) as entries:
                return self._sorted_out(entries, self.above | {here})
        except FastpackError:
            raise
        except OSError as error:
            raise from_os_error(error, "list the folder", error.filename or self.path) from error

    def listed_or_fault(self) -> "_Listed":
        """What is wrong with the root is wrong with all; with a folder in it, only with that."""
        try:
            return self.listed()
        except FastpackError as fault:
            if not self.prefix:
                raise
            return _Listed(fault=fault)

    def _sorted_out(self, entries: Iterable[os.DirEntry[str]], above: frozenset[tuple[int, int]]) -> "_Listed":
        names, folders = list[str](), list[_Folder]()
        for entry in entries:
            name = entry.name
            if name[0] == ".":
                continue
            if _is_folder(entry):
                names.append(name + "/")
                folders.append(replace(self, path=entry.path, prefix=f"{self.prefix}{name}/", is_link=entry.is_symlink(), above=above))
            elif name.lower().endswith(IMAGE_SUFFIXES):
                names.append(name)
        return _Listed(self._runs(sorted(names)), folders)

    def _runs(self, names: Iterable[str]) -> list["_Run"]:
        """Of the files among sorted names; those of folders end with a slash."""
        runs = []
        for is_folder, some in groupby(names, lambda name: name[-1] == "/"):
            if not is_folder:
                first, *others = some
                runs.append(_Run(self.prefix + first, self.prefix, "/".join([first, *others])))
        return runs

    def _refuse_links_out(self) -> None:
        if self.is_link and self.bounds is not None and not is_below(self.path, self.bounds):
            message = f"this link leads out of {self.bounds}; pack the files themselves, or ask for allow_external"
            raise SourceError(at(message, Place(self.path)))


@dataclass(frozen=True, order=True)
class _Run:
    """Files of one folder that follow one another in the order of all: no folder's name stands between theirs, which are joined by
    slashes. `first`: the path below the root of the first; runs are sorted by it, and then their files are."""

    first: str
    prefix: str
    names: str

    def files(self) -> Iterator[str]:
        return (self.prefix + name for name in self.names.split("/"))


@dataclass(frozen=True)
class _Listed:
    """Image files in a folder, and the folders in it; or why it was not looked into."""

    runs: list[_Run] = field(default_factory=list)
    folders: list[_Folder] = field(default_factory=list)
    fault: FastpackError | None = None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """A link that leads nowhere, or round, is none: whoever reads it as a file will say what is wrong with it."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_below(path: str, real_root: str) -> bool:
    """Whether a path leads to a place below a folder, or to the folder, once all links in it are followed."""
    real = os.path.realpath(path)
    return real == real_root or real.startswith(os.path.join(real_root, ""))


def image_files(root: Path) -> Text:
    """Their paths below `root`, with forward slashes, in sorted order. Hidden ones and files of other endings are passed
    over. Raises MissingFileError or UnreadableFileError."""
    files, faults = image_files_and_faults(root, allow_external=True)
    if faults:
        raise faults[min(faults)]
    return files


def image_files_and_faults(root: Path, *, allow_external: bool = False) -> tuple[Text, dict[int, FastpackError]]:
    """The image files below `root`, and among them, each with a slash behind its name, the folders that cannot be looked
    into; what is wrong with these, by their place in the list.

    - allow_external: look into folders outside of `root` that links lead to.
    """
    runs: list[_Run] = []
    faults: dict[str, FastpackError] = {}
    folders = [_Folder(os.fspath(root), None if allow_external else os.path.realpath(root))]
    while folders:
        inner: list[_Folder] = []
        for folder, found in zip(folders, _listed(folders), strict=True):
            runs += found.runs
            inner += found.folders
            if found.fault is not None:
                faults[folder.prefix] = found.fault
                runs.append(_Run(folder.prefix, folder.prefix, ""))
        folders = inner
    runs.sort()
    files = Text.of(file for run in runs for file in run.files())
    return files, {row: faults[file] for row, file in enumerate(files) if file in faults} if faults else {}


def _listed(folders: Sequence[_Folder]) -> list[_Listed]:
    """Several at once, since a disk that is asked for one after the other is slow."""
    left = deque(enumerate(folders))
    found: dict[int, _Listed] = {}

    def work() -> None:
        with suppress(IndexError):  # none is left
            while True:
                number, folder = left.popleft()
                found[number] = folder.listed_or_fault()

    share(work, min(len(folders), num_cores()))
    return [found[number] for number in range(len(folders))]


def has_image_files(root: Path) -> bool:
    folders = [_Folder(os.fspath(root))]
    while folders:
        found = folders.pop().listed()
        if found.runs:
            return True
        folders += found.folders
    return False


def classes_of(files: Sequence[str]) -> tuple[npt.NDArray[np.int64] | None, list[str]]:
    """Labels and class names: each folder directly below the root is a class, in sorted order. None when there are files
    directly in the root, which have no class, so that nothing here is sorted into classes.

    >>> classes_of(["cat/1.jpg", "dog/a/2.jpg"]), classes_of(["1.jpg"])
    ((array([0, 1]), ['cat', 'dog']), (None, []))
    """
    if not all("/" in file for file in files):
        return None, []
    return numbered(file.partition("/")[0] for file in files)
