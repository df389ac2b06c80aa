"""The one reader of all formats."""

from typing import TYPE_CHECKING

from fastpack.core.lazy import lazy_names

if TYPE_CHECKING:
    from fastpack.reading.open import OpenKwargs
    from fastpack.reading.options import ReadKwargs
    from fastpack.reading.order import Sequential
else:
    __getattr__, __dir__ = lazy_names(
        __name__, {"open": "OpenKwargs", "options": "ReadKwargs", "order": "Sequential"}
    )

__all__ = ["OpenKwargs", "ReadKwargs", "Sequential"]
