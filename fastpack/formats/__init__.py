"""Containers: one folder or module for each file format."""

from typing import TYPE_CHECKING

from fastpack.core.lazy import lazy_names

if TYPE_CHECKING:
    from fastpack.formats.index.index import Index
    from fastpack.formats.index.index_file import load_index, save_index
    from fastpack.formats.indexing import IndexResult
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "index.index": "Index",
            "index.index_file": "load_index save_index",
            "indexing": "IndexResult",
        },
    )

__all__ = ["Index", "IndexResult", "load_index", "save_index"]
