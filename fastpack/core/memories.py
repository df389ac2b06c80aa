"""Memories: blocks of memory that kernels read spans from, by number."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastpack._native.spans import describe_memories

# fp_memory in src_cython/kernels/span.h.
MEMORY = np.dtype([("address", "<u8"), ("length", "<u8")])


class Memories(np.ndarray[Any, np.dtype[Any]]):
    """Addresses and lengths of buffers, (k,) MEMORY. The buffers stay alive as long as it lives."""

    buffers: Sequence[Any]

    @classmethod
    def of(cls, buffers: Sequence[Any]) -> "Memories":
        """Take contiguous buffers, such as bytes or arrays of uint8."""
        views: list[Any] = [memoryview(buffer) for buffer in buffers]
        table = np.empty(len(views), MEMORY).view(cls)
        describe_memories(views, table)
        table.buffers = views
        return table
