"""SelectOptions: which samples `pack` takes, in which order and with which fields."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from fastpack.core import checks
from fastpack.errors import OptionError
from fastpack.files.classes import ClassFolder, ClassList, check_class_folder
from fastpack.packing.rejects import Duplicates
from fastpack.reading.class_lists import class_list
from fastpack.reading.split import parts_of


@dataclass(frozen=True)
class SelectOptions:
    """The fields of PackOptions about the selection of samples; see there."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    allow_external: bool = False
    class_folder: ClassFolder | None = None
    sidecars: Sequence[str] | None = None
    fields: Sequence[str] | None = None
    classes: ClassList = None
    shuffle_seed: int | None = None
    split: Mapping[str, float] = field(default_factory=dict)
    duplicates: Duplicates = "keep"

    def __post_init__(self) -> None:
        checks.choice("duplicates", self.duplicates, get_args(Duplicates))
        check_class_folder(self.class_folder)
        seed = self.shuffle_seed
        checks.settle(
            self,
            include=checks.texts("include", self.include),
            exclude=checks.texts("exclude", self.exclude),
            allow_external=checks.flag("allow_external", self.allow_external),
            sidecars=None if self.sidecars is None else checks.texts("sidecars", self.sidecars),
            fields=None if self.fields is None else checks.texts("fields", self.fields),
            classes=_checked_classes(self.classes),
            shuffle_seed=None if seed is None else checks.seed("shuffle_seed", seed),
            split=_checked_split(self.split),
        )

    @property
    def source_options(self) -> dict[str, Any]:
        """Arguments of `source_of` and `open`."""
        return {
            "allow_external": self.allow_external,
            "class_folder": self.class_folder,
            "sidecars": self.sidecars,
        }


def _checked_classes(given: Any) -> ClassList:
    """A path is read later, by `pack`; a list of names is checked now."""
    if given is None or isinstance(given, (str, os.PathLike)):
        return given
    return class_list(given)


def _checked_split(given: Any) -> dict[str, float]:
    split = checks.mapping("split", given, '{"train": 0.9, "val": 0.1}')
    if split:
        parts_of(np.zeros(0), split)
    for name in split:
        if not re.fullmatch(r"\w[\w.-]*", name):
            message = f"{name!r} cannot name a split, since it becomes part of a file name"
            raise OptionError(f"{message}; use letters, digits, _ and -")
    return {name: float(fraction) for name, fraction in split.items()}
