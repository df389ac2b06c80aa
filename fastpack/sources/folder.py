"""from_folder: a tree of class folders with images, or a flat folder."""

from collections.abc import Sequence
from pathlib import Path

from fastpack.files.arguments import check_arguments
from fastpack.files.classes import ClassFolder
from fastpack.files.file_names import path_of
from fastpack.files.image_folder import FolderRules, scan_folder
from fastpack.sources.image_files import ImageFiles


def from_folder(
    root: str | Path,
    *,
    allow_external: bool = False,
    class_folder: ClassFolder | None = None,
    sidecars: Sequence[str] | None = None,
) -> ImageFiles:
    """List the images below a folder, in sorted order.

    A sample's key is its path below the folder. Labels number the class folders in sorted order.
    `notes` has all guesses and omissions: hidden and system files, files of other endings, folders
    without images, images beside the class folders. Folders that cannot be listed are faults, with
    a slash at the end of their keys.

    Args:
        root: the folder. It may be a link itself.
        allow_external: follow links that lead out of `root`. Without, each is a fault.
        class_folder: "first" or "last": the folder of a path that is the class. "none": no labels.
            None chooses: the last folder if all images have the same depth and no two last folders
            the same name, else the first.
        sidecars: endings of text files beside the images, such as "txt", that become columns. None
            takes those of txt, caption, json and cls that most images have.

    Returns:
        A Source with the fields image, label (int64), key (text), and one for each sidecar.

    Raises:
        EmptySourceError: there are no images.
        MissingFileError: `root` does not exist.
        UnreadableFileError: `root` cannot be listed.
        SourceError: folders have the names of splits, so they may be several datasets.

    Example:
        >>> photos = Path(getfixture("tmp_path"), "photos")
        >>> for name in ("cat", "dog"):
        ...     (photos / name).mkdir(parents=True)
        ...     _ = (photos / name / "1.jpg").write_bytes(b"...")
        >>> source = from_folder(photos)
        >>> len(source), source.schema.class_names, list(source.columns["key"])
        (2, ('cat', 'dog'), ['cat/1.jpg', 'dog/1.jpg'])

    Reference:
        torchvision.datasets.ImageFolder, for folders as classes.
    """
    check_arguments(allow_external=allow_external)
    found = scan_folder(path_of("root", root), FolderRules(allow_external, class_folder, sidecars))
    columns = found.columns()
    labels = columns.pop("label", found.labels)
    return ImageFiles(
        found.names,
        labels,
        keys=found.files,
        class_names=found.class_names,
        columns=columns,
        faults=found.faults,
        notes=found.notes,
    )
