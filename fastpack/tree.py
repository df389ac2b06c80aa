"""The image files below a folder, and the classes that its folders are: torchvision's ImageFolder convention."""

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from fastpack.errors import FastpackError, Place, UnreadableFileError, at, from_os_error
from fastpack.pool import num_cores, share

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class _Folder:
    """`prefix`: the path below the root, ending in a slash; `above`: the folders that we came through, by device and inode."""

    path: str
    prefix: str = ""
    above: frozenset[tuple[int, int]] = frozenset()

    def listed(self) -> tuple[list[str], list["_Folder"]]:
        """Image files and folders in here, by their path below the root."""
        try:
            facts = os.stat(self.path)
            here = facts.st_dev, facts.st_ino
            if here in self.above:
                raise UnreadableFileError(at("a link leads back to a folder above it; remove the link", Place(self.path)))
            files, folders = [], []
            with os.scandir(self.path) as entries:
                for entry in entries:
                    name = entry.name
                    if name[0] == ".":
                        continue
                    if entry.is_dir():
                        folders.append(_Folder(entry.path, f"{self.prefix}{name}/", self.above | {here}))
                    elif name.lower().endswith(IMAGE_SUFFIXES):
                        files.append(self.prefix + name)
            return files, folders
        except FastpackError:
            raise
        except OSError as error:
            raise from_os_error(error, "list the folder", error.filename or self.path) from error


def image_files(root: Path) -> list[str]:
    """Their paths below `root`, with forward slashes, in sorted order. Hidden ones and files of other endings are passed
    over. Raises MissingFileError or UnreadableFileError."""
    files: list[str] = []
    folders = [_Folder(os.fspath(root))]
    while folders:
        listed = _listed(folders)
        files += chain.from_iterable(found for found, _ in listed)
        folders = list(chain.from_iterable(inner for _, inner in listed))
    return sorted(files)


def _listed(folders: Sequence[_Folder]) -> list[tuple[list[str], list[_Folder]]]:
    """Of each folder what is in it; several at once, since a disk that is asked for one after the other is slow."""
    left = deque(enumerate(folders))
    found: dict[int, tuple[list[str], list[_Folder]]] = {}

    def work() -> None:
        with suppress(IndexError):  # none is left
            while True:
                number, folder = left.popleft()
                found[number] = folder.listed()

    share(work, min(len(folders), num_cores()))
    return [found[number] for number in range(len(folders))]


def has_image_files(root: Path) -> bool:
    folders = [_Folder(os.fspath(root))]
    while folders:
        files, inner = folders.pop().listed()
        if files:
            return True
        folders += inner
    return False


def classes_of(files: Sequence[str]) -> tuple[list[int] | None, list[str]]:
    """Labels and class names: each folder directly below the root is a class, in sorted order. None when there are files
    directly in the root, which have no class, so that nothing here is sorted into classes.

    >>> classes_of(["cat/1.jpg", "dog/a/2.jpg"]), classes_of(["1.jpg"])
    (([0, 1], ['cat', 'dog']), (None, []))
    """
    tops = [file.partition("/")[0] for file in files]
    if any(top == file for top, file in zip(tops, files, strict=True)):
        return None, []
    names = sorted(set(tops))
    label_of = {name: label for label, name in enumerate(names)}
    return [label_of[top] for top in tops], names
