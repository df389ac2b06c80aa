"""Lists of class names, as users give them: names, a file of them, or a dataset."""

import json
import os
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from fastpack.core import checks
from fastpack.errors import (
    Location,
    MissingFileError,
    OptionError,
    SourceError,
    from_os_error,
    with_location,
)
from fastpack.files.classes import ClassList
from fastpack.files.file_names import path_of
from fastpack.files.image_folder import FolderRules, scan_folder
from fastpack.formats.dataset_indexes import indexes_of
from fastpack.formats.discovery import find_shards
from fastpack.formats.index.index import concatenate
from fastpack.formats.registry import recognized
from fastpack.sources import TABLE_SUFFIXES, from_table

_HEAD_BYTES = 4096


def class_list(given: ClassList) -> tuple[str, ...]:
    """The names in the order of their labels; () for None.

    A file holds a name a line, a JSON list, or a JSON object of names and labels. A dataset may be a folder of images, a table, or
    packed files. Raises OptionError, SourceError or MissingFileError.

    >>> class_list(["cat", "dog"]), class_list({"dog": 1, "cat": 0})
    (('cat', 'dog'), ('cat', 'dog'))
    """
    if given is None:
        return ()
    names = list(
        _of_path(path_of("classes", given))
        if isinstance(given, (str, os.PathLike))
        else _in_order(given)
    )
    where = f" - at {given}" if isinstance(given, (str, os.PathLike)) else ""
    if not names:
        raise OptionError(
            f"there are no class names; give names, a file of names or a dataset that has some{where}"
        )
    if odd := [name for name in names if not isinstance(name, str)]:
        raise OptionError(f"a class name must be text, not {odd[0]!r}{where}")
    if "" in names:
        why = "TFRecords know the names of classes only that have samples"
        raise OptionError(
            f"class {names.index('')} has no name ({why}); give a list of all names{where}"
        )
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise OptionError(f"the class {twice!r} is listed twice; list each once{where}")
    return tuple(names)


def _in_order(given: Any) -> Sequence[str]:
    if (names := checks.listed(given)) is None:
        raise OptionError(
            f"classes must be a list of names, names and their labels, or a path, not {checks.shown(given)}"
        )
    if not isinstance(given, Mapping):
        return names
    labels = list(given.values())
    if not all(isinstance(label, Integral) for label in labels) or set(labels) != set(
        range(len(given))
    ):
        raise OptionError("the labels of the classes must be 0, 1, 2 and so on, each once")
    return sorted(given, key=given.__getitem__)


def _of_path(path: Path) -> Sequence[str]:
    if not path.exists():
        raise MissingFileError(
            2,
            with_location(
                "there is no such list of classes, and no such dataset; check the path",
                Location(path),
            ),
        )
    if path.suffix.lower() in TABLE_SUFFIXES:
        return from_table(path).schema.class_names
    if path.is_dir():
        shards = find_shards(path)
        return (
            scan_folder(path, FolderRules()).class_names if shards == [path] else _of_shards(shards)
        )
    try:
        with open(path, "rb") as file:
            is_dataset = recognized(file.read(_HEAD_BYTES)) is not None
    except OSError as error:
        raise from_os_error(error, "read the classes", path) from error
    return _of_shards([path]) if is_dataset else _of_text(path)


def _of_shards(shards: list[Path]) -> Sequence[str]:
    return concatenate(indexes_of(shards, save=False)).schema.class_names


def _of_text(path: Path) -> Sequence[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return (
            _in_order(json.loads(text)) if text.lstrip()[:1] in ("[", "{") else _lines(text, path)
        )
    except OSError as error:
        raise from_os_error(error, "read the classes", path) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise SourceError(
            with_location(
                f"this is no list of class names ({error}); put one on each line", Location(path)
            )
        ) from error


def _lines(text: str, path: Path) -> list[str]:
    """A blank line would shift the numbers of all classes after it, if it were passed over."""
    lines = text.rstrip().splitlines()
    if blank := next((number for number, line in enumerate(lines, 1) if not line.strip()), 0):
        raise SourceError(
            with_location(
                f"line {blank} is blank, and class names have one line each; remove the line",
                Location(path),
            )
        )
    return lines
