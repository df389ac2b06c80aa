from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

_Wanted = tuple[
    npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]
]

@disjoint_base
class ReadChunks:
    # chunks: (n,) of dtypes.CHUNK, row by row of the grid. filters: (k,) of dtypes.FILTER.
    # fill: the bytes of one item. shape, chunk_shape: of the dataset, samples first.
    # wanted: layers (l,) of the grid, and starts (l + 1,) of their samples. For each sample (m,):
    # its number within the layer, and its row of `out` (bytes). With memories, (k,) of
    # memories.MEMORY, each chunk lies at its offset in one of them, (n,), and fd is not used.
    def __init__(
        self,
        fd: int,
        chunks: npt.NDArray[Any],
        filters: npt.NDArray[Any],
        fill: npt.NDArray[np.uint8],
        *,
        shape: Sequence[int],
        chunk_shape: Sequence[int],
        wanted: _Wanted,
        out: npt.NDArray[np.uint8],
        memories: npt.NDArray[Any] | None = None,
        memory_numbers: npt.NDArray[np.uint32] | None = None,
    ) -> None: ...
    # Called by any number of threads. Returns when no chunk is left.
    def run(self) -> Outcome: ...
