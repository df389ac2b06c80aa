"""ImageFolder: a folder of images as a dataset, with classes and sidecars."""

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
from fastpack.files.image_tree import IMAGE_SUFFIXES, ImageTree, walk
from fastpack.files.name_summary import NameSummary
from fastpack.files.sidecars import SIDECARS, Sidecar
from fastpack.files.splits import with_training_classes
from fastpack.files.stored_files import FolderFiles

Column = npt.NDArray[np.int64] | Text
_TAKEN_NAMES = ("image", "label", "key", "class_name")


@dataclass(frozen=True)
class FolderRules:
    """Options for reading a folder of images.

    Args:
        allow_external: follow links that lead out of the folder.
        class_folder: the folder of a path that is the class: "first", "last", or "none" for no
            labels. None chooses, with a note.
        sidecars: endings of files beside the images, such as "txt", whose text becomes a column.
            None takes those of txt, caption, json and cls that most images have, with a note.
    """

    allow_external: bool = False
    class_folder: ClassFolder | None = None
    sidecars: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_class_folder(self.class_folder)
        endings = () if self.sidecars is None else checks.texts("sidecars", self.sidecars)
        for ending in endings:
            if ending in _TAKEN_NAMES or not ending.isalnum():
                rule = "sidecars are endings of files such as 'txt', without a dot"
                raise OptionError(f"{rule}, not {ending!r}")


@dataclass(frozen=True)
class ImageFolder:
    """The n images below a folder.

    Args:
        root: the folder.
        files: paths below it, as the OS has them.
        keys: the same as UTF-8; the same object if they are.
        labels: the class of each image, (n,) int64; None for no labels.
        class_names: by label.
        sidecars: the files beside the images.
        faults: errors of images that cannot be read, and of folders that cannot be listed, by row.
        notes: guesses and omissions.
        all_files: all files below the folder.
    """

    root: Path
    files: Text
    keys: Text
    labels: npt.NDArray[np.int64] | None
    class_names: tuple[str, ...]
    sidecars: tuple[Sidecar, ...]
    faults: Mapping[int, FastpackError]
    notes: tuple[str, ...]
    all_files: FolderFiles

    @property
    def names(self) -> FileNames:
        """The files with their folder."""
        return self.all_files.names(self.files)

    def columns(self) -> dict[str, Column]:
        """Read the sidecars: field name -> values (n,).

        If folders give no labels, `cls` does.
        """
        found: dict[str, Column] = {}
        for sidecar in self.sidecars:
            numbers = sidecar.numbers() if sidecar.ending == "cls" else None
            name = "label" if numbers is not None and self.labels is None else sidecar.ending
            found[name] = sidecar.text() if numbers is None else numbers
        return found


def scan_folder(root: Path, rules: FolderRules) -> ImageFolder:
    """List a folder, and choose its classes and sidecars.

    Raises EmptySourceError, MissingFileError, UnreadableFileError, or SourceError if the folder
    seems to be several datasets.
    """
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
    sidecar_notes = *declined, *(sidecar.note for sidecar in sidecars)
    return ImageFolder(
        root,
        tree.files,
        keys,
        classes.labels,
        classes.names,
        sidecars,
        faults,
        notes=(*classes.notes, *sidecar_notes, *_notes_on_left_out(tree, sidecars)),
        all_files=tree.all_files,
    )


def _why_empty(tree: ImageTree, faults: Mapping[int, FastpackError]) -> str:
    endings = ", ".join(IMAGE_SUFFIXES)
    if faults:
        first = faults[min(faults)]
        return (
            f"no readable images (files ending in {endings}), the first: {first}; check the folder"
        )
    found = sum(tree.others.values(), NameSummary())
    others = f", but {found.counted('file')} of other endings: {found}" if found.count else ""
    return f"no images here (files ending in {endings}){others}; check the folder"


def _classes(
    root: Path, keys: Text, rules: FolderRules, faults: Mapping[int, FastpackError]
) -> Classes:
    try:
        classes = classes_of(keys, rules.class_folder, faults)
    except SourceError as error:
        raise SourceError(with_location(str(error), Location(root))) from None
    is_plain = rules.class_folder is None and not classes.notes and not classes.strays.count
    return with_training_classes(root, classes) if is_plain else classes


def _without_strays(
    root: Path, tree: ImageTree, keys: Text, classes: Classes, faults: Mapping[int, FastpackError]
) -> tuple[ImageTree, Text, Classes]:
    """Leave out the images beside the class folders, except those with faults.

    Unlabeled images would take the labels from all others. Raises SourceError if more than half of
    the images are strays: then the folders may not be classes.
    """
    assert classes.labels is not None
    remedy = 'give class_folder="none" to take all, without labels'
    which = f"{classes.strays.counted('image')} beside the class folders: {classes.strays}"
    if 2 * classes.strays.count > len(keys):
        message = f"most images have no class: {which}; {remedy}"
        raise SourceError(with_location(message, Location(root)))
    rows = np.flatnonzero((classes.labels >= 0) | np.isin(np.arange(len(keys)), list(faults)))
    files = tree.files.take(rows)
    notes = (*classes.notes, f"left out {which}; {remedy}")
    kept = replace(classes, labels=classes.labels[rows], notes=notes)
    return replace(tree, files=files), files if keys is tree.files else keys.take(rows), kept


def _sidecars(
    root: Path, tree: ImageTree, rules: FolderRules
) -> tuple[tuple[Sidecar, ...], list[str]]:
    """Return the sidecars that are taken, and a note on each that is declined."""
    if rules.sidecars is None:
        return _guessed_sidecars(root, tree)
    sidecars = [Sidecar.of(tree, ending, is_guess=False) for ending in rules.sidecars]
    for sidecar in sidecars:
        if not sidecar.num_present:
            message = f"no image has a file ending in .{sidecar.ending} beside it"
            raise SourceError(with_location(f"{message}; leave it out of sidecars", Location(root)))
    return tuple(sidecars), []


def _guessed_sidecars(root: Path, tree: ImageTree) -> tuple[tuple[Sidecar, ...], list[str]]:
    taken, declined = list[Sidecar](), list[str]()
    for ending in SIDECARS:
        if 2 * tree.others.get(ending, NameSummary()).count < len(tree.files):
            continue
        sidecar = Sidecar.of(tree, ending, is_guess=True)
        if reason := sidecar.reason_against():
            declined.append(reason)
        elif sidecar.num_present:
            taken.append(sidecar)
    return tuple(taken), declined


def _notes_on_left_out(tree: ImageTree, sidecars: Iterable[Sidecar]) -> list[str]:
    taken = {sidecar.ending for sidecar in sidecars}
    not_taken = (names for ending, names in tree.others.items() if ending not in taken)
    others = sum(not_taken, NameSummary())
    junk = tree.junk.counted(
        "hidden or system file or folder", "hidden or system files and folders"
    )
    other = others.counted(
        "file that does not end like an image", "files that do not end like images"
    )
    notes = {
        f"left out {junk}": tree.junk,
        f"left out {other}": others,
        f"no class is made of {tree.empty.counted('folder')} without images": tree.empty,
    }
    return [f"{note}: {names}" for note, names in notes.items() if names.count]
