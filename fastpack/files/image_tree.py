"""ImageTree: the image files below a folder, and the files that are left out."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from fastpack.core.ragged import Text
from fastpack.core.threads import num_cores, run_in_threads
from fastpack.errors import (
    FastpackError,
    Location,
    UnreadableFileError,
    os_errors_at,
    with_location,
)
from fastpack.files.link_policy import LinkPolicy
from fastpack.files.name_summary import NameSummary
from fastpack.files.stored_files import (
    FolderFiles,
    LocalFiles,
    StoredEntry,
    StoredFiles,
    StoredFolders,
)
from fastpack.stores.store_path import as_object, is_in_store

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff")
# Files and folders that systems and programs make, in lower case. Hidden names are junk too.
_JUNK_FOLDERS = (
    "@eadir",
    "@tmp",
    "@recycle",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "system volume information",
    "lost+found",
)
Entry = os.DirEntry[str] | StoredEntry
_JUNK = frozenset(
    (*_JUNK_FOLDERS, "__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini")
)


def is_junk(name: str) -> bool:
    """Return True if a file or folder of this name is skipped.

    >>> is_junk("@eaDir"), is_junk("._cat.jpg"), is_junk("cat.jpg")
    (True, True, False)
    """
    return name[:1] == "." or name.lower() in _JUNK


@dataclass(frozen=True)
class ImageTree:
    """The files below a folder. Names are paths below it, with forward slashes.

    Args:
        files: image files in sorted order. Folders that cannot be listed are among them, with a
            slash at the end.
        faults: the error of each link that leads out, and of each such folder, by name. Files of
            `others` may have one too.
        junk: hidden files and folders, and those that systems make.
        others: files whose names are not those of images, by ending; "" for endings that were not
            asked for.
        empty: folders without images or folders.
        all_files: all files below the folder.
    """

    files: Text
    faults: dict[str, FastpackError]
    junk: NameSummary
    others: dict[str, NameSummary]
    empty: NameSummary
    all_files: FolderFiles

    def faulty_rows(self) -> dict[int, FastpackError]:
        """Return the faults of `files` by row."""
        if not self.faults:
            return {}
        rows = enumerate(self.files)
        return {row: self.faults[file] for row, file in rows if file in self.faults}


def walk(root: Path, *, allow_external: bool = False, beside: Sequence[str] = ()) -> ImageTree:
    """List all folders below `root` except junk.

    Args:
        root: the folder. If it cannot be listed, its error is raised; errors of folders below it
            are `faults` of the tree.
        allow_external: follow links that lead out of `root`.
        beside: endings, such as "txt", of files that may belong to images.
    """
    runs, faults, others = list[_Run](), dict[str, FastpackError](), dict[str, NameSummary]()
    junk, empty = NameSummary(), NameSummary()
    all_files, top = _top_of(root, allow_external, tuple(beside))
    folders = [top]
    while folders:
        listed = _list_all(folders)
        for each in listed:
            runs += each.runs
            faults |= each.faults
            junk, empty = junk + each.junk, empty + each.empty
            for ending, names in each.others.items():
                others[ending] = others.get(ending, NameSummary()) + names
        folders = [folder for each in listed for folder in each.folders]
    runs.sort()
    files = Text.of(file for run in runs for file in run.files())
    return ImageTree(files, faults, junk, others, empty, all_files)


def _top_of(
    root: Path, allow_external: bool, beside: tuple[str, ...]
) -> "tuple[FolderFiles, _Folder]":
    """Return the files below a folder, and the folder as the first to list."""
    if is_in_store(root):
        stored = StoredFiles(as_object(root))
        return stored, _StoredFolder(str(root), None, beside, stored=stored.folders())
    policy = LinkPolicy(root, allow_external=allow_external)
    return LocalFiles(root), _Folder(os.fspath(root), policy, beside)


def has_image_files(root: Path) -> bool:
    """Return True if `root` has image files, or folders that cannot be listed."""
    folders = [_Folder(os.fspath(root), LinkPolicy(root))]
    while folders:
        listed = folders.pop().list_or_fault()
        if listed.runs:
            return True
        folders += listed.folders
    return False


@dataclass(frozen=True, order=True)
class _Run:
    """Files of one folder that are adjacent in the tree: no folder sorts between.

    Runs are sorted by `first`, the path of the first file. `names` are joined by slashes.
    """

    first: str
    prefix: str
    names: str

    def files(self) -> Iterator[str]:
        return (self.prefix + name for name in self.names.split("/"))


@dataclass(frozen=True)
class _Listed:
    """The content of a folder.

    A folder that cannot be listed is one run, with a fault.
    """

    runs: list[_Run] = field(default_factory=list)
    folders: "list[_Folder]" = field(default_factory=list)
    faults: dict[str, FastpackError] = field(default_factory=dict)
    junk: NameSummary = field(default_factory=NameSummary)
    others: dict[str, NameSummary] = field(default_factory=dict)
    empty: NameSummary = field(default_factory=NameSummary)


@dataclass(frozen=True)
class _Folder:
    """A folder to list.

    Args:
        path: of the folder.
        link_policy: decides which links are followed.
        beside: endings of files that may belong to images.
        prefix: the path below the root, with a slash at the end; "" for the root.
        is_link: whether the folder is a link.
        above: device and inode of the folders above it, by which circles are found.
    """

    path: str
    link_policy: LinkPolicy | None
    beside: tuple[str, ...] = ()
    prefix: str = ""
    is_link: bool = False
    above: frozenset[tuple[int, int]] = frozenset()

    def list_or_fault(self) -> _Listed:
        """List the folder.

        An error of the root is raised, that of another folder is its fault.
        """
        try:
            return self._list()
        except FastpackError as fault:
            if not self.prefix:
                raise
            return _Listed([_Run(self.prefix, self.prefix, "")], faults={self.prefix: fault})

    def _list(self) -> _Listed:
        if self.is_link and (refusal := self._refusal(self.path)):
            raise refusal
        with os_errors_at(self.path, "list the folder"):
            facts = os.stat(self.path)
            here = facts.st_dev, facts.st_ino
            if here in self.above:
                message = "a link leads back to a folder above it; remove the link"
                raise UnreadableFileError(with_location(message, Location(self.path)))
            with os.scandir(self.path) as entries:
                return self._sort_out(entries, self.above | {here})

    def _refusal(self, link: str) -> FastpackError | None:
        return None if self.link_policy is None else self.link_policy.fault(link)

    def _sort_out(self, entries: Iterable[Entry], above: frozenset[tuple[int, int]]) -> _Listed:
        found = _Listed()
        names, junk, others = list[str](), list[str](), dict[str, list[str]]()
        for entry in entries:
            name = entry.name
            if is_junk(name):
                junk.append(self.prefix + name)
            elif _is_folder(entry):
                names.append(name + "/")
                found.folders.append(self._inner(entry, above))
            else:
                is_image, ending = name.lower().endswith(IMAGE_SUFFIXES), self._ending(name)
                (names if is_image else others.setdefault(ending, [])).append(name)
                is_wanted_link = (is_image or ending) and entry.is_symlink()
                if is_wanted_link and (refusal := self._refusal(entry.path)):
                    found.faults[self.prefix + name] = refusal
        found.runs.extend(self._runs(sorted(names)))
        is_empty = self.prefix and not names
        return replace(
            found,
            junk=NameSummary.of(junk),
            others={
                ending: NameSummary.of([self.prefix + name for name in beside])
                for ending, beside in others.items()
            },
            empty=NameSummary(1, (self.prefix,)) if is_empty else NameSummary(),
        )

    def _inner(self, entry: Entry, above: frozenset[tuple[int, int]]) -> "_Folder":
        prefix = f"{self.prefix}{entry.name}/"
        return replace(
            self, path=entry.path, prefix=prefix, is_link=entry.is_symlink(), above=above
        )

    def _ending(self, name: str) -> str:
        """Return the name's ending if it is one of `beside`, else ""."""
        ending = name.rpartition(".")[2]
        return ending if ending in self.beside else ""

    def _runs(self, names: Iterable[str]) -> Iterator[_Run]:
        """Return the runs of sorted names, of which those of folders end with a slash."""
        for is_folder, group in groupby(names, lambda name: name[-1] == "/"):
            if not is_folder:
                first, *others = group
                yield _Run(self.prefix + first, self.prefix, "/".join([first, *others]))


@dataclass(frozen=True)
class _StoredFolder(_Folder):
    """A folder in a store, which was listed with all others.

    Args:
        stored: the names in all folders.
    """

    stored: StoredFolders | None = None

    def _list(self) -> _Listed:
        assert self.stored is not None
        return self._sort_out(self.stored.entries(self.prefix), self.above)


def _is_folder(entry: Entry) -> bool:
    """Return True for a folder, and for a broken link without an ending.

    Listing such a link raises the error that says what is wrong with it.
    """
    try:
        return entry.is_dir() or (
            "." not in entry.name and entry.is_symlink() and not os.path.exists(entry.path)
        )
    except OSError:
        return False


def _list_all(folders: Sequence[_Folder]) -> list[_Listed]:
    """List several folders at once: single requests are slow on network disks."""
    left = deque(enumerate(folders))
    found: dict[int, _Listed] = {}

    def work() -> None:
        with suppress(IndexError):  # the queue is empty
            while True:
                number, folder = left.popleft()
                found[number] = folder.list_or_fault()

    run_in_threads(work, min(len(folders), num_cores()))
    return [found[number] for number in range(len(folders))]
