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
    # chunks (n,) of structs.CHUNK, row by row of the grid; filters (k,) of structs.FILTER; fill: the bytes of one item.
    # shape, chunk_shape: of the dataset, samples first.
    # wanted: numbers (l,) of layers of the grid, starts (l + 1,), and for each sample, (m,): its number within the layer, and the row
    # of `out`, bytes, that it goes to.
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
    ) -> None: ...
    # Any number of threads call it; each returns when no chunk is left.
    def run(self) -> Outcome: ...
