"""Choice: what is wanted of a file that holds several arrays, and how much it is trusted."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastpack.core import checks
from fastpack.files.classes import ClassFolder, check_class_folder


@dataclass(frozen=True)
class Choice:
    """What is wanted of a file that holds several arrays, and how much it is trusted.

    - fields: names of fields, or paths of datasets; None takes what the file seems to be about.
    - allow_external: read pixels that the file keeps in files of other folders.
    - untrusted: believe no saved index, let a process of its own index an HDF5 file, and refuse what only the format's library
      could read.
    - keep_damaged: index images and records that differ from their checksums too, so that reading these, and only these, is an error.
    - class_folder, sidecars: of a folder of images or a tar; see FolderRules.
    - kinds: what fields are, where the file does not say it.
    - axes: of stored arrays, by name or path, where the guess is wrong: {"X": "NCHW"}.
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
    def is_of_folders(self) -> bool:
        """Whether it says something that only folders, or what is sorted into folders, can obey."""
        return self.class_folder is not None or self.sidecars is not None
