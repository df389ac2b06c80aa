"""Memories: blocks of memory that kernels read spans from, by number."""

from collections.abc import Sequence
from typing import Any

import numpy as np

# fp_memory in src_cython/kernels/span.h.
MEMORY = np.dtype([("address", "<u8"), ("length", "<u8")])


class Memories(np.ndarray[Any, np.dtype[Any]]):
    """Addresses and lengths of buffers, (k,) MEMORY. The buffers stay alive as long as it lives."""

    buffers: Sequence[Any]

    @classmethod
    def of(cls, buffers: Sequence[Any]) -> "Memories":
        """Take contiguous buffers, such as bytes or arrays of uint8."""
        views = [np.frombuffer(buffer, np.uint8) for buffer in buffers]
        table = np.zeros(len(views), MEMORY).view(cls)
        table["address"] = [view.__array_interface__["data"][0] for view in views]
        table["length"] = [len(view) for view in views]
        table.buffers = views
        return table
