"""The image files below a folder, and the classes that its folders are: torchvision's ImageFolder convention."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastpack.errors import FastpackError, Place, UnreadableFileError, at, from_os_error

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff")


def image_files(root: Path) -> list[str]:
    """Their paths below `root`, with forward slashes, in sorted order. Hidden ones and files of other endings are passed
    over. Raises MissingFileError or UnreadableFileError."""
    return sorted(_below(os.fspath(root), "", frozenset()))


def _below(folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    """`above`: the folders that we came through, by device and inode."""
    try:
        facts = os.stat(folder)
        here = facts.st_dev, facts.st_ino
        if here in above:
            raise UnreadableFileError(at("a link leads back to a folder above it; remove the link", Place(folder)))
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    yield from _below(entry.path, f"{prefix}{entry.name}/", above | {here})
                elif entry.name.lower().endswith(IMAGE_SUFFIXES):
                    yield prefix + entry.name
    except FastpackError:
        raise
    except OSError as error:
        raise from_os_error(error, "list the folder", error.filename or folder) from error


def has_image_files(root: Path) -> bool:
    return next(_below(os.fspath(root), "", frozenset()), None) is not None


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
