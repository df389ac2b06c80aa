"""ImageFolder: a folder of images as a dataset: files, classes, columns of what lies beside them, and what was left out."""

import os
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.core.ragged import Text
from fastpack.errors import (
    EmptySourceError,
    FastpackError,
    Location,
    OptionError,
    SourceError,
    with_location,
)
from fastpack.files.classes import Classes, ClassFolder, check_class_folder, classes_of
from fastpack.files.escapes import escaped_names
from fastpack.files.file_names import FileNames
from fastpack.files.image_folder import IMAGE_SUFFIXES, FirstNames, Tree, walk
from fastpack.files.sidecars import SIDECARS, Sidecar
from fastpack.files.splits import beside_training

Column = npt.NDArray[np.int64] | Text
_TAKEN_NAMES = ("image", "label", "key", "class_name")


@dataclass(frozen=True)
class FolderRules:
    """How a folder of images is taken.

    - allow_external: follow links that lead out of it.
    - class_folder: which folder of a path is the class: "first", "last", or "none" for no labels; None chooses and says so.
    - sidecars: endings of files beside the images, such as "txt", whose text becomes a column; None takes those of txt, caption,
      json and cls that most images have, and says so.
    """

    allow_external: bool = False
    class_folder: ClassFolder | None = None
    sidecars: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_class_folder(self.class_folder)
        endings = () if self.sidecars is None else checks.texts("sidecars", self.sidecars)
        for ending in endings:
            if ending in _TAKEN_NAMES or not ending.isalnum():
                raise OptionError(
                    f"sidecars are endings of files such as 'txt', without a dot, not {ending!r}"
                )


@dataclass(frozen=True)
class ImageFolder:
    """The images below a folder.

    - files, keys: paths below it, as the system has them, and the same as UTF-8 (one object where they are).
    - labels, class_names: what their folders say; None for no labels.
    - columns: of the files beside them.
    - sidecars: those files.
    - faults: images that cannot be taken, by row; folders that could not be looked into are among them.
    - notes: what was guessed or left out.
    """

    root: Path
    files: Text
    keys: Text
    labels: npt.NDArray[np.int64] | None
    class_names: tuple[str, ...]
    sidecars: tuple[Sidecar, ...]
    faults: Mapping[int, FastpackError]
    notes: tuple[str, ...]

    @property
    def names(self) -> FileNames:
        return FileNames(self.files, os.path.join(self.root, ""))

    def columns(self) -> dict[str, Column]:
        """Reads the files beside the images: field name -> values; of `cls`, which is called label where folders give none, numbers."""
        found: dict[str, Column] = {}
        for sidecar in self.sidecars:
            numbers = sidecar.numbers() if sidecar.ending == "cls" else None
            name = "label" if numbers is not None and self.labels is None else sidecar.ending
            found[name] = sidecar.text() if numbers is None else numbers
        return found


def scan_folder(root: Path, rules: FolderRules) -> ImageFolder:
    """Raises EmptySourceError, MissingFileError, UnreadableFileError; SourceError when it seems to be several datasets."""
    tree = walk(
        root,
        allow_external=rules.allow_external,
        beside=SIDECARS if rules.sidecars is None else rules.sidecars,
    )
    faults: Mapping[int, FastpackError] = tree.faulty_rows()
    if len(tree.files) == len(faults):
        raise EmptySourceError(with_location(_why_empty(tree, faults), Location(root)))
    keys = escaped_names(tree.files)
    classes = _classes(root, keys, rules, faults)
    if classes.strays.count:
        tree, keys, classes = _without_strays(root, tree, keys, classes, faults)
        faults = tree.faulty_rows()
    sidecars, declined = _sidecars(root, tree, rules)
    faults = dict(ChainMap(dict(faults), *(dict(sidecar.faults) for sidecar in sidecars)))
    notes = (
        *classes.notes,
        *declined,
        *(sidecar.note for sidecar in sidecars),
        *_left_out(tree, sidecars),
    )
    return ImageFolder(
        root, tree.files, keys, classes.labels, classes.names, sidecars, faults, notes
    )


def _why_empty(tree: Tree, faults: Mapping[int, FastpackError]) -> str:
    endings = ", ".join(IMAGE_SUFFIXES)
    if faults:
        return f"no images here that can be taken (files ending in {endings}), the first: {faults[min(faults)]}; check the folder"
    found = sum(tree.others.values(), FirstNames())
    there = f", but {found.counted('file')} of other endings: {found}" if found.count else ""
    return f"no images here (files ending in {endings}){there}; check the folder"


def _classes(
    root: Path, keys: Text, rules: FolderRules, faults: Mapping[int, FastpackError]
) -> Classes:
    try:
        classes = classes_of(keys, rules.class_folder, faults)
    except SourceError as error:
        raise SourceError(with_location(str(error), Location(root))) from None
    is_plain = rules.class_folder is None and not classes.notes and not classes.strays.count
    return beside_training(root, classes) if is_plain else classes


def _without_strays(
    root: Path, tree: Tree, keys: Text, classes: Classes, faults: Mapping[int, FastpackError]
) -> tuple[Tree, Text, Classes]:
    """Without images beside the class folders, since to take them without a label would take the labels from all; those that are
    faults stay faults. Where they are the most, it is in doubt what the folders are."""
    assert classes.labels is not None
    count, remedy = (
        classes.strays.counted("image"),
        'give class_folder="none" to take all, without labels',
    )
    which = f"{count} beside the class folders, of no class: {classes.strays}"
    if 2 * classes.strays.count > len(keys):
        raise SourceError(
            with_location(f"there would be left out {which}; {remedy}", Location(root))
        )
    rows = np.flatnonzero((classes.labels >= 0) | np.isin(np.arange(len(keys)), list(faults)))
    files = tree.files.take(rows)
    kept = replace(
        classes, labels=classes.labels[rows], notes=(*classes.notes, f"left out {which}; {remedy}")
    )
    return replace(tree, files=files), files if keys is tree.files else keys.take(rows), kept


def _sidecars(root: Path, tree: Tree, rules: FolderRules) -> tuple[tuple[Sidecar, ...], list[str]]:
    """Those that are taken, and what is to be said of those that are not."""
    taken, declined = list[Sidecar](), list[str]()
    for ending in SIDECARS if rules.sidecars is None else rules.sidecars:
        if rules.sidecars is None and 2 * tree.others.get(ending, FirstNames()).count < len(
            tree.files
        ):
            continue
        sidecar = Sidecar.of(root, tree, ending, is_guess=rules.sidecars is None)
        if rules.sidecars is None and (reason := sidecar.reason_against()):
            declined.append(reason)
        elif sidecar.num_there:
            taken.append(sidecar)
        elif rules.sidecars is not None:
            raise SourceError(
                with_location(
                    f"no image has a file ending in .{ending} beside it; leave it out of sidecars",
                    Location(root),
                )
            )
    return tuple(taken), declined


def _left_out(tree: Tree, sidecars: Iterable[Sidecar]) -> list[str]:
    taken = {sidecar.ending for sidecar in sidecars}
    others = sum(
        (some for ending, some in tree.others.items() if ending not in taken), FirstNames()
    )
    notes = {
        f"left out {tree.junk.counted('hidden or system file or folder', 'hidden or system files and folders')}": tree.junk,
        f"left out {others.counted('file that does not end like an image', 'files that do not end like images')}": others,
        f"no class is made of {tree.empty.counted('folder')} without images": tree.empty,
    }
    return [f"{note}: {few}" for note, few in notes.items() if few.count]
