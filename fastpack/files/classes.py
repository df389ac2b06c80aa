"""Classes: which folder of an image's path is its class; ClassMap: labels that count in another list of names."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Ragged, factorize
from fastpack.errors import OptionError, SourceError
from fastpack.files.image_folder import FirstNames

ClassFolder = Literal["first", "last", "none"]
# Names in the order of their labels, names and their labels, or the path of a file or dataset that has them.
ClassList = Sequence[str] | Mapping[str, int] | str | os.PathLike[str] | None
# What folders of parts of a dataset are called, in lower case; the first are those that models learn from.
TRAINING_SPLITS = ("train", "training")
HELD_OUT_SPLITS = ("val", "valid", "validation", "dev", "eval", "test", "testing")
_SPLIT_NAMES = "|".join((*TRAINING_SPLITS, *HELD_OUT_SPLITS))
_SPLIT_NAME = re.compile(
    rf"({_SPLIT_NAMES})(?:[ _.-]?(?:sets?|data|dataset|images?|imgs?|split|[0-9]+))*"
)
_UNKNOWN = -1


def check_class_folder(choice: str | None) -> None:
    if choice is not None and not (isinstance(choice, str) and choice in get_args(ClassFolder)):
        raise OptionError(
            f"class_folder must be one of {', '.join(get_args(ClassFolder))}, not {choice!r}"
        )


@dataclass(frozen=True)
class Classes:
    """What folders say about the images in them.

    - labels: (n,) int64, -1 for images of no class; None when no image has one.
    - strays: images that lie beside the folders that are classes, and so have none; not those that are unsure.
    - notes: which folders were chosen as classes, where a choice was made.
    """

    labels: npt.NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()
    strays: FirstNames = field(default_factory=FirstNames)
    notes: tuple[str, ...] = ()


def classes_of(
    files: Sequence[str], which: ClassFolder | None = None, unsure: Collection[int] = ()
) -> Classes:
    """The classes of files, paths with forward slashes, numbered in sorted order.

    - which: the "first" folder of a path is the class, or the "last"; "none": there are no classes. None takes the last where all
      files lie at one depth and no two last folders have one name, else the first; a folder that all share does not count.
    - unsure: rows that are not looked at for that, such as folders that could not be looked into.

    Raises SourceError when None is given and folders are called like splits.

    >>> found = classes_of(["cat/1.jpg", "dog/a/2.jpg"])
    >>> found.labels, found.names, classes_of(["1.jpg"]).labels, classes_of(["animals/cat/1.jpg", "plants/oak/1.jpg"]).names
    (array([0, 1]), ('cat', 'dog'), None, ('cat', 'oak'))
    """
    numbers, folders = factorize(file.rpartition("/")[0] for file in files)
    if which == "none" or not any(folders):
        return Classes()
    sure = set(np.delete(numbers, list(unsure)).tolist()) if unsure else range(len(folders))
    level, notes = _chosen(
        [folder.split("/") for number, folder in enumerate(folders) if folder and number in sure],
        which,
    )
    names = [_at_level(folder.split("/"), level) for folder in folders]
    labels, class_names = factorize(name for name in names if name)
    of_folder = np.full(len(folders), _UNKNOWN)
    of_folder[[bool(name) for name in names]] = labels
    strays = (
        FirstNames.of(
            [file for row, file in enumerate(files) if "/" not in file and row not in unsure]
        )
        if "" in folders
        else FirstNames()
    )
    return Classes(of_folder[numbers], tuple(class_names), strays, notes)


def _at_level(parts: list[str], level: int) -> str:
    """A path that is not so deep ends in its class."""
    return parts[min(level, len(parts) - 1)]


def _chosen(paths: list[list[str]], which: ClassFolder | None) -> tuple[int, tuple[str, ...]]:
    """Which part of each path is the class, and what is to be said of that choice."""
    deepest = max(map(len, paths), default=1) - 1
    if which is not None:
        return {"first": 0, "last": deepest}[which], ()
    shared = _num_shared(paths)
    is_even = all(len(path) == deepest + 1 for path in paths)
    lasts = {path[-1] for path in paths}
    level = deepest if is_even and len(lasts) == len(paths) else shared
    for of_level in {shared, level}:
        _refuse_splits({_at_level(path, of_level) for path in paths})
    if all(len(path) == 1 for path in paths):
        return level, ()
    count, example = len({_at_level(path, level) for path in paths}), max(paths, key=len)
    found = f"folders lie in folders, and {count:,} of them are classes, such as {example[level]!r} of {'/'.join(example)!r}"
    return level, (f'{found}; give class_folder="first" or class_folder="last" to choose',)


def _num_shared(paths: list[list[str]]) -> int:
    """How many folders at the beginning all paths share; the last one of a path is not counted."""
    shared = 0
    while (
        paths and min(map(len, paths)) > shared + 1 and len({path[shared] for path in paths}) == 1
    ):
        shared += 1
    return shared


def _split_kind(name: str) -> str:
    """
    >>> _split_kind("Training_set"), _split_kind("val2017"), _split_kind("trainer")
    ('training', 'held out', '')
    """
    found = _SPLIT_NAME.fullmatch(name.lower())
    return "" if found is None else "training" if found[1] in TRAINING_SPLITS else "held out"


def _refuse_splits(names: set[str]) -> None:
    """Folders that are splits all; or one of each kind, whatever lies beside them."""
    kinds = {name: _split_kind(name) for name in names}
    splits = {name for name, kind in kinds.items() if kind}
    if len(splits) > 1 and (splits == names or len({kinds[name] for name in splits}) > 1):
        names = splits
        remedy = "pack each by itself, or give class_folder='first' or class_folder='last' if they are one dataset"
        raise SourceError(
            f"the folders {', '.join(sorted(names))} are called like splits, not like classes; {remedy}"
        )


def refuse_ambiguous(names: Sequence[str]) -> None:
    """Raises SourceError where two labels have one name: a label of another list could be either. "" is not a name."""
    first: dict[str, int] = {}
    for label, name in enumerate(names):
        if name and first.setdefault(name, label) != label:
            raise SourceError(
                f"the class {name!r} is the name of label {first[name]} and of label {label}; give each a name of its own"
            )


@dataclass(frozen=True)
class ClassMap:
    """Makes labels that count in one list of names count in another.

    - names: the new list.
    - numbers: the new label of each old one, -1 for a class that the new list lacks; None when the old ones had no names, and so
      are taken to count in the new list already.

    >>> ClassMap.between(["bee", "dog"], ("bee", "cat", "dog")).relabeled(np.array([1, 0]))
    array([2, 0])
    """

    names: tuple[str, ...]
    old_names: tuple[str, ...]
    numbers: npt.NDArray[np.int64]

    @classmethod
    def between(cls, old: Sequence[str], new: tuple[str, ...]) -> "ClassMap":
        """Raises SourceError where one name stands for two labels."""
        for names in (old, new):
            refuse_ambiguous(names)
        places: Mapping[str, int] = {name: number for number, name in enumerate(new)}
        numbers = [places.get(name, _UNKNOWN) for name in old] if old else range(len(new))
        return cls(new, tuple(old), np.array(numbers, np.int64))

    def relabeled(self, labels: Any) -> Any:
        """Labels (n,), or lists of them, by their new numbers. Raises SourceError for those that have none, and names them."""
        if isinstance(labels, Ragged):
            return type(labels)(self.relabeled(labels.values), labels.offsets)
        values = np.asarray(labels, np.int64)
        numbers = np.append(self.numbers, _UNKNOWN)
        found = numbers[
            np.where((values >= 0) & (values < len(self.numbers)), values, len(self.numbers))
        ]
        if (found == _UNKNOWN).any():
            unknown = {
                self._called(label) for label in np.unique(values[found == _UNKNOWN]).tolist()
            }
            remedy = "add what is missing there, or leave its samples out with exclude"
            raise SourceError(
                f"the list of {len(self.names):,} classes has no {FirstNames.of(unknown)}; {remedy}"
            )
        return found

    def _called(self, label: int) -> str:
        return self.old_names[label] if 0 <= label < len(self.old_names) else f"label {label}"
