"""Tree: the image files below a folder, in sorted order, and what lies there beside them and is left out."""

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from itertools import groupby
from pathlib import Path
from typing import Self

from fastpack.core.ragged import Text
from fastpack.core.threads import num_cores, run_in_threads
from fastpack.errors import (
    FastpackError,
    Location,
    UnreadableFileError,
    from_os_error,
    with_location,
)
from fastpack.files.link_policy import LinkPolicy

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff")
# What systems and programs leave in folders, in lower case. Names that begin with a dot are such, too.
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
_JUNK = frozenset(
    (*_JUNK_FOLDERS, "__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini")
)
_NUM_NAMED = 3


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is passed over.

    >>> is_junk("@eaDir"), is_junk("._cat.jpg"), is_junk("cat.jpg")
    (True, True, False)
    """
    return name[:1] == "." or name.lower() in _JUNK


@dataclass(frozen=True)
class FirstNames:
    """How many names there are, and the first of them in sorted order."""

    count: int = 0
    first: tuple[str, ...] = ()

    @classmethod
    def of(cls, names: Collection[str]) -> Self:
        return cls(len(names), tuple(nsmallest(_NUM_NAMED, names)))

    def __add__(self, other: "FirstNames") -> "FirstNames":
        return FirstNames(
            self.count + other.count, tuple(nsmallest(_NUM_NAMED, self.first + other.first))
        )

    def counted(self, one: str, many: str = "") -> str:
        """
        >>> FirstNames(1).counted("file"), FirstNames(2).counted("file")
        ('1 file', '2 files')
        """
        return f"{self.count:,} {one if self.count == 1 else many or one + 's'}"

    def __str__(self) -> str:
        """
        >>> str(FirstNames.of(["a", "b", "c", "d"]))
        'a, b, c and 1 more'
        """
        more = self.count - len(self.first)
        return ", ".join(self.first) + (f" and {more:,} more" if more else "")


@dataclass(frozen=True)
class _Folder:
    """`prefix`: the path below the root, ending in a slash; `above`: the folders that we came through, by device and inode;
    `beside`: endings of files that may belong to images."""

    path: str
    link_policy: LinkPolicy
    beside: tuple[str, ...] = ()
    prefix: str = ""
    is_link: bool = False
    above: frozenset[tuple[int, int]] = frozenset()

    def listed(self) -> "_Listed":
        try:
            if self.is_link and (refusal := self.link_policy.fault(self.path)):
                raise refusal
            facts = os.stat(self.path)
            here = facts.st_dev, facts.st_ino
            if here in self.above:
                raise UnreadableFileError(
                    with_location(
                        "a link leads back to a folder above it; remove the link",
                        Location(self.path),
                    )
                )
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
            return _Listed([_Run(self.prefix, self.prefix, "")], faults={self.prefix: fault})

    def _sorted_out(
        self, entries: Iterable[os.DirEntry[str]], above: frozenset[tuple[int, int]]
    ) -> "_Listed":
        found = _Listed()
        names, junk, others = list[str](), list[str](), dict[str, list[str]]()
        for entry in entries:
            name = entry.name
            if is_junk(name):
                junk.append(self.prefix + name)
            elif _is_folder(entry):
                names.append(name + "/")
                inner = f"{self.prefix}{name}/"
                found.folders.append(
                    replace(
                        self, path=entry.path, prefix=inner, is_link=entry.is_symlink(), above=above
                    )
                )
            else:
                is_image = name.lower().endswith(IMAGE_SUFFIXES)
                (names if is_image else others.setdefault(self._ending(name), [])).append(name)
                if (
                    (is_image or self._ending(name))
                    and entry.is_symlink()
                    and (refusal := self.link_policy.fault(entry.path))
                ):
                    found.faults[self.prefix + name] = refusal
        found.runs.extend(self._runs(sorted(names)))
        return replace(
            found,
            junk=FirstNames.of(junk),
            others={
                ending: FirstNames.of([self.prefix + name for name in some])
                for ending, some in others.items()
            },
            empty=FirstNames(1, (self.prefix,)) if self.prefix and not names else FirstNames(),
        )

    def _ending(self, name: str) -> str:
        """Which of `beside` the name has; "" is none of them."""
        ending = name.rpartition(".")[2]
        return ending if ending in self.beside else ""

    def _runs(self, names: Iterable[str]) -> Iterator["_Run"]:
        """Of the files among sorted names; those of folders end with a slash."""
        for is_folder, some in groupby(names, lambda name: name[-1] == "/"):
            if not is_folder:
                first, *others = some
                yield _Run(self.prefix + first, self.prefix, "/".join([first, *others]))


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
    """What is in a folder; of one that could not be looked into, a run of it alone, and why."""

    runs: list[_Run] = field(default_factory=list)
    folders: list[_Folder] = field(default_factory=list)
    faults: dict[str, FastpackError] = field(default_factory=dict)
    junk: FirstNames = FirstNames()
    others: dict[str, FirstNames] = field(default_factory=dict)
    empty: FirstNames = FirstNames()


@dataclass(frozen=True)
class Tree:
    """What lies below a folder; names are paths below it, with forward slashes.

    - files: image files in sorted order; and among them, each with a slash behind its name, folders that could not be looked into.
    - faults: what is wrong with some of them, by name: links that lead out, folders. So for files of `others` that lead out.
    - junk: hidden files and folders, and what systems leave behind.
    - others: files that are no images by their names, by the endings that were asked for; those of other endings under "".
    - empty: folders without images or folders.
    """

    files: Text
    faults: dict[str, FastpackError]
    junk: FirstNames
    others: dict[str, FirstNames]
    empty: FirstNames

    def faulty_rows(self) -> dict[int, FastpackError]:
        """Faults by their place among `files`."""
        return (
            {row: self.faults[file] for row, file in enumerate(self.files) if file in self.faults}
            if self.faults
            else {}
        )


def walk(root: Path, *, allow_external: bool = False, beside: Sequence[str] = ()) -> Tree:
    """Looks into all folders below `root` but for junk; what is wrong with one of them is no failure of all.

    - allow_external: look into folders, and take files, outside of `root` that links lead to.
    - beside: endings, such as "txt", of files that may belong to images.

    Raises MissingFileError or UnreadableFileError when `root` cannot be looked into.
    """
    runs, faults, others = list[_Run](), dict[str, FastpackError](), dict[str, FirstNames]()
    junk, empty = FirstNames(), FirstNames()
    folders = [
        _Folder(os.fspath(root), LinkPolicy(root, allow_external=allow_external), tuple(beside))
    ]
    while folders:
        found = _listed(folders)
        for each in found:
            runs += each.runs
            faults |= each.faults
            junk, empty = junk + each.junk, empty + each.empty
            for ending, some in each.others.items():
                others[ending] = others.get(ending, FirstNames()) + some
        folders = [folder for each in found for folder in each.folders]
    runs.sort()
    return Tree(Text.of(file for run in runs for file in run.files()), faults, junk, others, empty)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """A link that leads nowhere, or round, is taken for one when its name has no ending: listing it says what is wrong."""
    try:
        return entry.is_dir() or (
            "." not in entry.name and entry.is_symlink() and not os.path.exists(entry.path)
        )
    except OSError:
        return False


def _listed(folders: Sequence[_Folder]) -> list[_Listed]:
    """Several at once, since a disk that is asked for one after the other is slow."""
    left = deque(enumerate(folders))
    found: dict[int, _Listed] = {}

    def work() -> None:
        with suppress(IndexError):  # none is left
            while True:
                number, folder = left.popleft()
                found[number] = folder.listed_or_fault()

    run_in_threads(work, min(len(folders), num_cores()))
    return [found[number] for number in range(len(folders))]


def has_image_files(root: Path) -> bool:
    """Whether there are any, or folders that could not be looked into."""
    folders = [_Folder(os.fspath(root), LinkPolicy(root))]
    while folders:
        found = folders.pop().listed_or_fault()
        if found.runs:
            return True
        folders += found.folders
    return False
