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
    # its number within the layer, and its row of `out` (bytes).
    # memories: (k,) of memories.MEMORY, which have the wanted chunks; fd is not used. located: the
    # memory and the offset of each wanted chunk, (l * chunks in a layer,), row by row of the grid.
    # Those of chunks that were never written are ignored.
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
        located: tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint64]] | None = None,
    ) -> None: ...
    # Called by any number of threads. Returns when no chunk is left.
    def run(self) -> Outcome: ...
