"""StoredFiles: the objects of a folder in a store, with the interface of files on disk."""

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpack.core.cached import cached_property
from fastpack.errors import FastpackError, Location, MissingFileError, with_location
from fastpack.files.file_names import FileNames
from fastpack.images.headers import ProbedFiles
from fastpack.stores.store import ObjectFacts
from fastpack.stores.store_path import StorePath


@dataclass(frozen=True)
class StoredEntry:
    """A name in a folder, with the part of os.DirEntry's interface that walking needs.

    Args:
        name: of the object or folder.
        path: its URL.
        is_folder: True for a folder.
    """

    name: str
    path: str
    is_folder: bool

    def is_dir(self) -> bool:
        return self.is_folder

    def is_symlink(self) -> bool:
        return False


class StoredFiles:
    """The objects below a folder, as one listing gave them.

    Args:
        root: the folder.
    """

    def __init__(self, root: StorePath) -> None:
        self.root = root
        prefix = f"{root.key}/" if root.key else ""
        found = {
            facts.key.removeprefix(prefix): facts
            for facts in root.store.list_objects(prefix)
            if not facts.key.endswith("/")  # a marker of an empty folder
        }
        if not found:
            message = "there is no such folder in the store, or it has no objects; check the URL"
            raise MissingFileError(2, with_location(message, Location(root)))
        self.facts: dict[str, ObjectFacts] = found

    @cached_property
    def folders(self) -> dict[str, list[StoredEntry]]:
        """Folder below the root, with a slash at the end -> the names in it, sorted."""
        folders: dict[str, dict[str, bool]] = {"": {}}
        for name in self.facts:
            folder = ""
            *parts, last = name.split("/")
            for part in parts:
                folders[folder][part] = True
                folder = f"{folder}{part}/"
                folders.setdefault(folder, {})
            folders[folder].setdefault(last, False)
        return {
            folder: [
                StoredEntry(name, f"{self.root}/{folder}{name}", is_folder)
                for name, is_folder in sorted(names.items())
            ]
            for folder, names in folders.items()
        }

    def names(self, files: Iterable[str]) -> "StoredNames":
        """Return the names of some objects below the root."""
        return StoredNames(files, self)


class StoredNames(FileNames):
    """Names of objects below a folder; reads them, and knows their sizes and times.

    Args:
        names: below the folder.
        stored: the folder.
    """

    def __init__(self, names: Iterable[str], stored: StoredFiles) -> None:
        super().__init__(names, f"{stored.root}/")
        self._stored = stored

    def _facts(self) -> Iterator[ObjectFacts | None]:
        start = len(f"{self._stored.root}/")
        return (self._stored.facts.get(name[start:]) for name in self)

    def stat(
        self, skipped: Collection[int] = ()
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], dict[int, FastpackError]]:
        sizes, times = np.zeros(len(self), np.int64), np.zeros(len(self), np.int64)
        faults: dict[int, FastpackError] = {}
        for row, facts in enumerate(self._facts()):
            if row in skipped:
                continue
            if facts is None:
                message = "there is no such object; check the URL"
                text = with_location(message, Location(self[row]))
                faults[row] = MissingFileError(2, text)
            else:
                sizes[row], times[row] = facts.size, facts.mtime_ns
        return sizes, times, faults

    def read(
        self,
        rows: npt.NDArray[np.int64],
        out: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.int64],
    ) -> ProbedFiles:
        """Read objects, all at once. Raises the error of the first that cannot be read.

        An object that was replaced since the folder was listed is an error.
        """
        store, start = self._stored.root.store, len(f"{self._stored.root}/")
        wanted = [self._stored.facts[self[row][start:]] for row in rows.tolist()]
        reads = [store.start_ranges(facts.key, [0], [facts.size], facts.etag) for facts in wanted]
        try:
            for read, first in zip(reads, offsets.tolist(), strict=False):
                (data,) = read.result()
                values = np.frombuffer(data, np.uint8)
                out[first : first + len(values)] = values
        finally:
            for read in reads:
                read.cancel()
        return ProbedFiles(out, offsets)


@dataclass(frozen=True)
class LocalFiles:
    """The files of a folder on disk.

    Args:
        root: the folder.
    """

    root: os.PathLike[str]

    def names(self, files: Iterable[str]) -> FileNames:
        """Return the names of some files below the root."""
        return FileNames(files, os.path.join(self.root, ""))


FolderFiles = LocalFiles | StoredFiles
