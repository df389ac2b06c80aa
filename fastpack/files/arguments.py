"""Checks of arguments that public functions share.

A name means the same in all of them.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastpack.core import checks
from fastpack.core.limits import Limits
from fastpack.files.file_names import local_path_of

_FLAGS = (
    "allow_external",
    "append",
    "seek_points",
    "decode",
    "overwrite",
    "rebuild",
    "resume",
    "save_index",
    "sync",
    "untrusted",
    "whole",
)


def check_arguments(**given: Any) -> None:
    """Raise OptionError for the first argument of a wrong type.

    Flags must be booleans: the string "no" would count as true.

    >>> check_arguments(overwrite=True, progress=None, index_dir="indexes")
    """
    for name, value in given.items():
        _CHECKS[name](name, value)


def _check_callable(name: str, value: Any) -> None:
    if value is not None:
        checks.function(name, value)


def _check_workers(name: str, value: Any) -> None:
    checks.optional_integer(name, value, 1)


def _check_limits(name: str, value: Any) -> None:
    checks.instance(name, value, Limits, "Limits(...)")


def _check_path(name: str, value: str | os.PathLike[str] | None) -> Path | None:
    return None if value is None else local_path_of(name, value)


def _check_kinds(name: str, value: Any) -> None:
    if value is not None:
        checks.mapping(name, value, '{"caption": "text"}')


def _check_text(name: str, value: Any) -> None:
    checks.instance(name, value, str | None, "a name or None")


_CHECKS: dict[str, Callable[[str, Any], object]] = {
    **dict.fromkeys(_FLAGS, checks.flag),
    "progress": _check_callable,
    "num_workers": _check_workers,
    "limits": _check_limits,
    "index_dir": _check_path,
    "root": _check_path,
    "kinds": _check_kinds,
    "field": _check_text,
    "path_column": _check_text,
    "label_column": _check_text,
}
