"""From a folder of images to files: plan, inputs, pipeline, staging."""

from typing import TYPE_CHECKING

from fastpack.core.lazy import lazy_names

if TYPE_CHECKING:
    from fastpack.packing import snippets as snippets
    from fastpack.packing.extract import ExtractResult
    from fastpack.packing.rejects import Reject
    from fastpack.packing.results import PackResult
    from fastpack.packing.virtual_dataset import write_virtual_dataset
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "extract": "ExtractResult",
            "results": "PackResult",
            "rejects": "Reject",
            "virtual_dataset": "write_virtual_dataset",
        },
        folders="snippets",
    )

__all__ = ["ExtractResult", "PackResult", "Reject", "write_virtual_dataset"]
