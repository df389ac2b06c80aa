"""The one reader of all formats."""

from typing import TYPE_CHECKING

from fastpack.core.lazy import lazy_names

if TYPE_CHECKING:
    from fastpack.reading.order import Sequential
else:
    __getattr__, __dir__ = lazy_names(__name__, {"order": "Sequential"})

__all__ = ["Sequential"]
