"""IndexOptions: how files are indexed."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastpack.core import checks
from fastpack.files.classes import ClassFolder, check_class_folder


@dataclass(frozen=True)
class IndexOptions:
    """How files are indexed. A container declares those of `RESTRICTED` that it takes.

    Args:
        fields: Names of fields, or paths of datasets. None takes what the file seems to be about.
        allow_external: Read pixels that the file keeps in files of other folders.
        untrusted: Load no saved index, index HDF5 files in a separate process, and refuse data that
            only the format's library could read.
        keep_damaged: Index damaged images and records too. Only reads of these fail then.
        class_folder: Which folder of a path is the class, as in FolderRules.
        sidecars: Suffixes of files beside the images, as in FolderRules.
        axes: Axes of stored arrays, by name or path, where the guess is wrong: {"X": "NCHW"}.
        kinds: Kinds of fields, where the file does not define them.
    """

    fields: Sequence[str] | None = None
    allow_external: bool = False
    untrusted: bool = False
    keep_damaged: bool = False
    class_folder: ClassFolder | None = None
    sidecars: Sequence[str] | None = None
    axes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    kinds: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_class_folder(self.class_folder)
        if self.sidecars is not None:
            checks.texts("sidecars", self.sidecars)
        checks.settle(self, axes=checks.mapping("axes", self.axes, '{"X": "NCHW"}'))

    @property
    def restricted(self) -> set[str]:
        """Options of `RESTRICTED` that are not the default."""
        return {name for name in RESTRICTED if getattr(self, name) != getattr(_DEFAULT, name)}


# Options that only some containers take, and the start of the message that refuses them.
RESTRICTED = {
    "class_folder": "class_folder is for folders of images and tars",
    "sidecars": "sidecars are for folders of images",
    "axes": "axes are those of arrays in HDF5 files",
}
_DEFAULT = IndexOptions()
