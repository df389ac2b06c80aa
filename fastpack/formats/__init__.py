"""Containers: one folder or module for each file format."""

from typing import TYPE_CHECKING

from fastpack.core.lazy import lazy_names

if TYPE_CHECKING:
    from fastpack.formats.index.index import Index
    from fastpack.formats.indexing import IndexResult
else:
    __getattr__, __dir__ = lazy_names(__name__, {"index.index": "Index", "indexing": "IndexResult"})

__all__ = ["Index", "IndexResult"]
