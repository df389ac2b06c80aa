"""Batches in order, read ahead on threads."""

from typing import TYPE_CHECKING

from fastpack.core.lazy import lazy_names

if TYPE_CHECKING:
    from fastpack.loading.options import LoaderKwargs, LoaderOptions
else:
    __getattr__, __dir__ = lazy_names(__name__, {"options": "LoaderKwargs LoaderOptions"})

__all__ = ["LoaderKwargs", "LoaderOptions"]
