"""Shared by all folders: schemas, ragged columns, dtypes, limits, random numbers, threads."""

from typing import TYPE_CHECKING

from fastpack.core.lazy import lazy_names

if TYPE_CHECKING:
    from fastpack.core.ragged import Ragged, Text
    from fastpack.core.schema import Field, Schema
else:
    __getattr__, __dir__ = lazy_names(__name__, {"ragged": "Ragged Text", "schema": "Field Schema"})

__all__ = ["Field", "Ragged", "Schema", "Text"]
