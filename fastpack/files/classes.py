"""Classes: labels from the folders of images.

ClassMap: labels renumbered by other class names.
"""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Ragged, factorize
from fastpack.errors import OptionError, SourceError
from fastpack.files.name_summary import NameSummary

ClassFolder = Literal["first", "last", "none"]
# Names in the order of their labels, name -> label, or the path of a file or dataset with names.
ClassList = Sequence[str] | Mapping[str, int] | str | os.PathLike[str] | None
# Usual folder names of parts of a dataset, in lower case.
TRAINING_SPLITS = ("train", "training")
HELD_OUT_SPLITS = ("val", "valid", "validation", "dev", "eval", "test", "testing")
_SPLIT_NAMES = "|".join((*TRAINING_SPLITS, *HELD_OUT_SPLITS))
_SPLIT_NAME = re.compile(
    rf"({_SPLIT_NAMES})(?:[ _.-]?(?:sets?|data|dataset|images?|imgs?|split|[0-9]+))*"
)
_UNKNOWN = -1


def check_class_folder(choice: str | None) -> None:
    """Raise OptionError if the choice is not a ClassFolder or None."""
    choices = get_args(ClassFolder)
    if choice is not None and not (isinstance(choice, str) and choice in choices):
        raise OptionError(f"class_folder must be one of {', '.join(choices)}, not {choice!r}")


@dataclass(frozen=True)
class Classes:
    """The classes of n images, from their folders.

    Args:
        labels: (n,) int64, -1 for images without a class; None if no image has a class.
        names: of the classes, by label.
        strays: images beside the class folders, which have no class. Unsure rows do not count.
        notes: which folders were chosen as classes, if there was a choice.
    """

    labels: npt.NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()
    strays: NameSummary = field(default_factory=NameSummary)
    notes: tuple[str, ...] = ()


def classes_of(
    files: Sequence[str], which: ClassFolder | None = None, unsure: Collection[int] = ()
) -> Classes:
    """Return the classes of files. Class folders are numbered in sorted order.

    Raises SourceError if `which` is None and folders have the names of splits.

    Args:
        files: paths with forward slashes.
        which: "first" or "last": the folder of a path that is the class. "none": no classes. None
            chooses: the last folder if all files have the same depth and no two last folders the
            same name, else the first. A folder that all files share does not count.
        unsure: rows that do not count for this choice, such as folders that cannot be listed.

    >>> found = classes_of(["cat/1.jpg", "dog/a/2.jpg"])
    >>> found.labels, found.names, classes_of(["1.jpg"]).labels
    (array([0, 1]), ('cat', 'dog'), None)
    >>> classes_of(["animals/cat/1.jpg", "plants/oak/1.jpg"]).names
    ('cat', 'oak')
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
    strays = _strays(files, unsure) if "" in folders else NameSummary()
    return Classes(of_folder[numbers], tuple(class_names), strays, notes)


def _strays(files: Sequence[str], unsure: Collection[int]) -> NameSummary:
    rows = enumerate(files)
    return NameSummary.of([file for row, file in rows if "/" not in file and row not in unsure])


def _at_level(parts: list[str], level: int) -> str:
    """Return the folder at this level; of a path that is less deep, the last one."""
    return parts[min(level, len(parts) - 1)]


def _chosen(paths: list[list[str]], which: ClassFolder | None) -> tuple[int, tuple[str, ...]]:
    """Return the level of the class folders, and a note on the choice."""
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
    such_as = f"such as {example[level]!r} of {'/'.join(example)!r}"
    note = f"folders lie in folders, and {count:,} of them are classes, {such_as}"
    return level, (f'{note}; give class_folder="first" or class_folder="last" to choose',)


def _num_shared(paths: list[list[str]]) -> int:
    """Return how many first folders all paths share.

    A path's last folder does not count.
    """
    shared = 0
    while (
        paths and min(map(len, paths)) > shared + 1 and len({path[shared] for path in paths}) == 1
    ):
        shared += 1
    return shared


def _split_kind(name: str) -> str:
    """Return the kind of split that a folder's name means; "" for other names.

    >>> _split_kind("Training_set"), _split_kind("val2017"), _split_kind("trainer")
    ('training', 'held out', '')
    """
    found = _SPLIT_NAME.fullmatch(name.lower())
    return "" if found is None else "training" if found[1] in TRAINING_SPLITS else "held out"


def _refuse_splits(names: set[str]) -> None:
    """Raise SourceError if all folders are splits, or two of different kinds."""
    kinds = {name: _split_kind(name) for name in names}
    splits = {name for name, kind in kinds.items() if kind}
    if len(splits) > 1 and (splits == names or len({kinds[name] for name in splits}) > 1):
        message = (
            f"the folders {', '.join(sorted(splits))} have the names of splits, not of classes"
        )
        choice = "class_folder='first' or class_folder='last'"
        remedy = f"pack each by itself, or give {choice} if they are one dataset"
        raise SourceError(f"{message}; {remedy}")


def refuse_ambiguous(names: Sequence[str]) -> None:
    """Raise SourceError if two labels have the same name. "" is not a name."""
    first: dict[str, int] = {}
    for label, name in enumerate(names):
        if name and first.setdefault(name, label) != label:
            labels = f"label {first[name]} and of label {label}"
            raise SourceError(f"the class {name!r} is the name of {labels}; give each its own name")


@dataclass(frozen=True)
class ClassMap:
    """Renumbers labels of one list of class names by another list.

    Args:
        names: the new list.
        old_names: the old list; empty if the old labels have no names, and so keep their numbers.
        numbers: the new label of each old one, (number of old labels,) int64, -1 for a class that
            the new list lacks.

    >>> ClassMap.between(["bee", "dog"], ("bee", "cat", "dog")).relabeled(np.array([1, 0]))
    array([2, 0])
    """

    names: tuple[str, ...]
    old_names: tuple[str, ...]
    numbers: npt.NDArray[np.int64]

    @classmethod
    def between(cls, old: Sequence[str], new: tuple[str, ...]) -> "ClassMap":
        """Return the map from old to new. Raises SourceError if two labels share a name."""
        for names in (old, new):
            refuse_ambiguous(names)
        label_of = {name: label for label, name in enumerate(new)}
        numbers = [label_of.get(name, _UNKNOWN) for name in old] if old else range(len(new))
        return cls(new, tuple(old), np.array(numbers, np.int64))

    def knows(self, greatest: int) -> bool:
        """Return True if every label from 0 to this one has a new number."""
        known = self.numbers[: greatest + 1]
        return len(known) > greatest and bool((known != _UNKNOWN).all())

    def relabeled(self, labels: Any) -> Any:
        """Return labels (n,), or lists of them, with their new numbers.

        Raises SourceError for labels without a new number, and names them.
        """
        if isinstance(labels, Ragged):
            return type(labels)(self.relabeled(labels.values), labels.offsets)
        values, count = np.asarray(labels, np.int64), len(self.numbers)
        numbers = np.append(self.numbers, _UNKNOWN)
        found = numbers[np.where((values >= 0) & (values < count), values, count)]
        if (found == _UNKNOWN).any():
            unknown = {self._name(label) for label in np.unique(values[found == _UNKNOWN]).tolist()}
            message = f"the list of {len(self.names):,} classes has no {NameSummary.of(unknown)}"
            remedy = "add what is missing there, or leave its samples out with exclude"
            raise SourceError(f"{message}; {remedy}")
        return found

    def _name(self, label: int) -> str:
        return self.old_names[label] if 0 <= label < len(self.old_names) else f"label {label}"
