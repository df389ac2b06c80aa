"""Names of a package that are imported at first use (PEP 562)."""

import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str,
    names: Mapping[str, str],
    *,
    folders: str = "",
    retired: Mapping[str, str] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make `__getattr__` and `__dir__` of a package.

    Args:
        package: its name.
        names: module below the package -> the names that it exports, with spaces between.
        folders: packages below it that are imported when named, with spaces between.
        retired: former name -> where it is now, below the package. It works, with a warning.
    """
    homes = {name: module for module, exported in names.items() for name in exported.split()}
    inner = folders.split()
    moved = retired or {}

    def load(name: str) -> Any:
        if name in inner:
            return import_module(f"{package}.{name}")
        if name in moved:
            message = f"{package}.{name} is now {package}.{moved[name]}"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            folder, _, new_name = f"{package}.{moved[name]}".rpartition(".")
            return getattr(import_module(folder), new_name)
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        own = (name for name in vars(sys.modules[package]) if name.startswith("__"))
        return sorted({*homes, *inner, *own})

    return load, listed
