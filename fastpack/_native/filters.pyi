from typing import Any, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer, disjoint_base

# filters: (n,) of dtypes.FILTER in the order of encoding: HDF5's numbers and parameters.
# - 1 deflate (level), 2 shuffle (item bytes), 3 fletcher32, 32004 lz4 (block bytes)
# - 32015 zstd (level)
# - 32026 blosc2 (1, 0, item bytes, chunk bytes, level 1 to 9, shuffle 0 or 1, codec: 1 lz4, 5 zstd)
# - read only: 32000 lzf, 32001 blosc, other codecs of blosc2

# True if fastpack knows all of them and their parameters.
def can_decode(filters: npt.NDArray[Any]) -> bool: ...
def can_encode(filter_id: int) -> bool: ...

@disjoint_base
class Pipeline:
    # Keeps the compressors' memory between chunks. For one thread at a time.
    def __new__(cls, filters: npt.NDArray[Any]) -> Self: ...
    # Encodes a chunk. Raises ValueError if a filter fails.
    def encode(self, data: Buffer) -> bytes: ...
    # Decodes a chunk to `out` (uint8). Bit i of the mask: filter i was not applied. Raises
    # ValueError if the data is damaged or decodes to another length than `out`.
    def decode(self, data: Buffer, out: npt.NDArray[np.uint8], mask: int = 0) -> None: ...

# The same for one chunk.
def encode_chunk(data: Buffer, filters: npt.NDArray[Any]) -> bytes: ...
def decode_chunk(
    data: Buffer, filters: npt.NDArray[Any], out: npt.NDArray[np.uint8], mask: int = 0
) -> None: ...
