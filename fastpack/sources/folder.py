"""A folder tree of images: torchvision's ImageFolder convention, class = folder, in sorted order; or a flat folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from fastpack.errors import EmptySourceError, Place, at, from_os_error
from fastpack.sources.paths import Paths, relative_key

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff")


def folder(root: str | Path) -> Paths:
    """The images below `root`, in sorted order; the key is the path below `root`.

    With subfolders, each folder directly below `root` that holds images is a class, and `label` its
    place among them in sorted order. Without, there are no labels. Hidden files and files of other
    endings are passed over. Raises EmptySourceError, MissingFileError or UnreadableFileError.
    """
    root = Path(root)
    paths = sorted(_image_paths(root))
    if not paths:
        raise EmptySourceError(at(f"no images here (files ending in {', '.join(IMAGE_SUFFIXES)}); check the folder", Place(root)))
    keys = [relative_key(path, root) for path in paths]
    tops = [key.split("/", 1)[0] if "/" in key else None for key in keys]
    if None in tops:
        # Images directly in the root have no class, so nothing here is sorted into classes.
        return Paths(paths, keys=keys)
    class_names = sorted({top for top in tops if top is not None})
    label_of = {name: label for label, name in enumerate(class_names)}
    return Paths(paths, [label_of[top] for top in tops if top is not None], keys=keys, class_names=class_names)


def _image_paths(root: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise from_os_error(error, "list the folder", error.filename or root)

    for parent, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield os.path.join(parent, name)
