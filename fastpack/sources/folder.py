"""A folder tree of images: torchvision's ImageFolder convention, class = folder, in sorted order; or a flat folder."""

from collections.abc import Sequence
from pathlib import Path

from fastpack.files.arguments import check_arguments
from fastpack.files.classes import ClassFolder
from fastpack.files.file_names import path_of
from fastpack.files.folders import FolderRules, scan_folder
from fastpack.sources.paths import ImageFiles


def from_folder(
    root: str | Path,
    *,
    allow_external: bool = False,
    class_folder: ClassFolder | None = None,
    sidecars: Sequence[str] | None = None,
) -> ImageFiles:
    """The images below `root`, in sorted order; the key is the path below `root`.

    Args:
        root: the folder. It may be a link itself.
        allow_external: take files and folders outside of `root` that links lead to. Without, each is a fault.
        class_folder: "first" or "last": which folder of a path is the class. "none": no labels.
            None takes the last where folders lie in folders, all images at one depth, and no two last ones
            have one name; else the first.
        sidecars: endings of text files beside the images, such as "txt", that become columns. None takes those
            of txt, caption, json and cls that most images have.

    Labels count the class folders in sorted order. What is guessed, and what is left out, is in `notes`: hidden
    and system files, files of other endings, folders without images, images beside the class folders. Folders that
    cannot be looked into are faults, with a slash behind their keys.

    Raises EmptySourceError, MissingFileError, UnreadableFileError, or SourceError where folders are called like splits.
    """
    check_arguments(allow_external=allow_external)
    found = scan_folder(path_of("root", root), FolderRules(allow_external, class_folder, sidecars))
    columns = found.columns()
    labels = columns.pop("label", found.labels)
    named = {"keys": found.files, "class_names": found.class_names, "columns": columns}
    return ImageFiles(found.names, labels, **named, faults=found.faults, notes=found.notes)  # type: ignore[arg-type]
