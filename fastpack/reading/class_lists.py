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
    os_errors_at,
    with_location,
)
from fastpack.files.classes import ClassList
from fastpack.files.file_names import path_of
from fastpack.files.image_folder import FolderRules, scan_folder
from fastpack.formats.dataset_indexes import open_table
from fastpack.formats.discovery import find_shards
from fastpack.formats.registry import recognized
from fastpack.formats.shard_indexes import Opening
from fastpack.sources import TABLE_SUFFIXES, from_table
from fastpack.stores.store_path import is_in_store

_HEAD_BYTES = 4096


def class_list(given: ClassList) -> tuple[str, ...]:
    """Return class names in the order of their labels; () for None.

    A file has one name a line, a JSON list, or a JSON object of names and labels. A dataset may be
    an image folder, a table, or packed files. Raises OptionError, SourceError or MissingFileError.

    >>> class_list(["cat", "dog"]), class_list({"dog": 1, "cat": 0})
    (('cat', 'dog'), ('cat', 'dog'))
    """
    if given is None:
        return ()
    path = given if isinstance(given, (str, os.PathLike)) or is_in_store(given) else None
    names = list(_in_order(given) if path is None else _of_path(path_of("classes", path)))
    if fault := _fault_of(names):
        raise OptionError(with_location(fault, Location(path)))
    return tuple(names)


def _fault_of(names: Sequence[Any]) -> str:
    """Return a message about a wrong list of names, or nothing."""
    if not names:
        return "there are no class names; give names, a file of names or a dataset with names"
    if odd := [name for name in names if not isinstance(name, str)]:
        return f"a class name must be text, not {odd[0]!r}"
    if "" in names:
        why = "TFRecords name only classes that have samples"
        return f"class {names.index('')} has no name ({why}); give a list of all names"
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        return f"the class {twice!r} is listed twice; list each once"
    return ""


def _in_order(given: Any) -> Sequence[str]:
    if (names := checks.listed(given)) is None:
        expected = "a list of names, a mapping of names to labels, or a path"
        raise OptionError(f"classes must be {expected}, not {checks.shown(given)}")
    if not isinstance(given, Mapping):
        return names
    labels = list(given.values())
    are_integers = all(isinstance(label, Integral) for label in labels)
    if not are_integers or set(labels) != set(range(len(given))):
        raise OptionError("the labels of the classes must be 0, 1, 2 and so on, each once")
    return sorted(given, key=given.__getitem__)


def _of_path(path: Path) -> Sequence[str]:
    if is_in_store(path):
        return _of_dataset(path)
    if not path.exists():
        message = "there is no such list of classes, and no such dataset; check the path"
        raise MissingFileError(2, with_location(message, Location(path)))
    if path.suffix.lower() in TABLE_SUFFIXES:
        return from_table(path).schema.class_names
    if path.is_dir():
        if find_shards(path) == [path]:
            return scan_folder(path, FolderRules()).class_names
        return _of_dataset(path)
    with os_errors_at(path, "read the classes"), open(path, "rb") as file:
        is_dataset = recognized(file.read(_HEAD_BYTES)) is not None
    return _of_dataset(path) if is_dataset else _of_text(path)


def _of_dataset(path: Path) -> Sequence[str]:
    return open_table([path], Opening(save=False)).schema.class_names


def _of_text(path: Path) -> Sequence[str]:
    try:
        with os_errors_at(path, "read the classes"):
            text = path.read_text(encoding="utf-8-sig")
        is_json = text.lstrip()[:1] in ("[", "{")
        return _in_order(json.loads(text)) if is_json else _lines(text, path)
    except (ValueError, TypeError, RecursionError) as error:
        message = f"this is not a list of class names ({error}); put one name on each line"
        raise SourceError(with_location(message, Location(path))) from error


def _lines(text: str, path: Path) -> list[str]:
    """Return the lines. Skipping a blank one would shift the labels after it, so it is refused."""
    lines = text.rstrip().splitlines()
    if blank := next((number for number, line in enumerate(lines, 1) if not line.strip()), 0):
        message = f"line {blank} is blank, and class names have one line each; remove the line"
        raise SourceError(with_location(message, Location(path)))
    return lines
