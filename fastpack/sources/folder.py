"""A folder tree of images: torchvision's ImageFolder convention, class = folder, in sorted order; or a flat folder."""

import os
from pathlib import Path

from fastpack.errors import EmptySourceError, Place, at
from fastpack.filenames import FileNames
from fastpack.sources.paths import Paths
from fastpack.tree import IMAGE_SUFFIXES, classes_of, image_files_and_faults


def folder(root: str | Path, *, allow_external: bool = False) -> Paths:
    """The images below `root`, in sorted order; the key is the path below `root`.

    With subfolders, each folder directly below `root` that holds images is a class, and `label` its
    place among them in sorted order. Without, there are no labels. Hidden files and files of other
    endings are passed over. Files that lie outside `root`, once links are followed, are faults unless `allow_external` is
    asked for. So are folders there, which are not looked into, and those that cannot be: such a folder is one sample, with a slash
    behind its key. Raises EmptySourceError, MissingFileError or UnreadableFileError.
    """
    files, faults = image_files_and_faults(Path(root), allow_external=allow_external)
    if len(files) == len(faults):
        why = f"; folders were not looked into, the first: {next(iter(faults.values()))}" if faults else ""
        raise EmptySourceError(at(f"no images here (files ending in {', '.join(IMAGE_SUFFIXES)}){why}; check the folder", Place(root)))
    labels, class_names = classes_of(files)
    paths, bounds = FileNames(files, os.path.join(root, "")), None if allow_external else root
    return Paths(paths, labels, keys=files, class_names=class_names, root=bounds, faults=faults)
