"""StoredFiles: the objects of a folder in a store, with the interface of files on disk."""

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Text
from fastpack.errors import FastpackError, Location, MissingFileError, with_location
from fastpack.files.file_names import FileNames
from fastpack.files.listed_objects import NOT_LISTED, ListedObjects
from fastpack.images.headers import ProbedFiles
from fastpack.stores.store_path import StorePath


@dataclass(frozen=True, slots=True)
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
        prefix = root.prefix
        self.listed = ListedObjects(root.store.list_pages(prefix), prefix)
        if not len(self.listed):
            message = "there is no such folder in the store, or it has no objects; check the URL"
            raise MissingFileError(2, with_location(message, Location(root)))

    def folders(self) -> "StoredFolders":
        """Return the names in each folder."""
        return StoredFolders(self)

    def names(self, files: Iterable[str]) -> "StoredNames":
        """Return the names of some objects below the root."""
        return StoredNames(files, self)


class StoredFolders:
    """The names in each folder. For walking alone: they take the memory of strings."""

    def __init__(self, stored: StoredFiles) -> None:
        self._root = stored.root
        # Folder below the root, with a slash at the end -> name in it -> whether it is a folder.
        self._names: dict[str, dict[str, bool]] = {"": {}}
        for name in stored.listed:
            above, _, last = name.rpartition("/")
            self._names_in(f"{above}/" if above else "").setdefault(last, False)

    def _names_in(self, folder: str) -> dict[str, bool]:
        if folder not in self._names:
            above, _, name = folder[:-1].rpartition("/")
            self._names_in(f"{above}/" if above else "")[name] = True
            self._names[folder] = {}
        return self._names[folder]

    def entries(self, folder: str) -> Iterator[StoredEntry]:
        """Yield the names in a folder."""
        for name, is_folder in self._names.get(folder, {}).items():
            yield StoredEntry(name, f"{self._root}/{folder}{name}", is_folder)


class StoredNames(FileNames):
    """Names of objects below a folder; reads them, and knows their sizes and times.

    Args:
        names: below the folder.
        stored: the folder.
    """

    def __init__(self, names: Iterable[str], stored: StoredFiles) -> None:
        texts = names if isinstance(names, Text) else Text.of(names)
        super().__init__(texts, f"{stored.root}/")
        self._stored = stored
        self._rows = stored.listed.rows_of(texts)

    def stat(
        self, skipped: Collection[int] = ()
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], dict[int, FastpackError]]:
        is_known = self._rows != NOT_LISTED
        sizes, times = np.zeros(len(self), np.int64), np.zeros(len(self), np.int64)
        sizes[is_known] = self._stored.listed.sizes[self._rows[is_known]]
        times[is_known] = self._stored.listed.times[self._rows[is_known]]
        passed_over = list(skipped)
        sizes[passed_over] = times[passed_over] = 0
        is_known[passed_over] = True
        missing = np.flatnonzero(~is_known).tolist()
        return sizes, times, {row: self._missing(row) for row in missing}

    def _missing(self, row: int) -> FastpackError:
        message = "there is no such object; check the URL"
        return MissingFileError(2, with_location(message, Location(self[row])))

    def read(
        self,
        rows: npt.NDArray[np.int64],
        out: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.int64],
    ) -> ProbedFiles:
        """Read objects, all at once. Raises the error of the first that cannot be read.

        An object that was replaced since the folder was listed is an error.
        """
        store, listed = self._stored.root.store, self._stored.listed
        wanted = [listed.facts(row) for row in self._rows[rows].tolist()]
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
