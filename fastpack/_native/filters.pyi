from typing import Any, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer, disjoint_base

# filters (n,) of structs.FILTER, in the order in which they are applied: HDF5's numbers and parameters. Written and read
# are 1 deflate (level), 2 shuffle (item bytes), 3 fletcher32, 32004 lz4 (block bytes), 32015 zstd (level) and
# 32026 blosc2 (1, 0, item bytes, chunk bytes, level 1 to 9, shuffle 0 or 1, codec: 1 lz4, 5 zstd); only read are 32000 lzf, 32001 blosc and
# blosc2's other codecs.

# True when all of them are known, with their parameters.
def can_decode(filters: npt.NDArray[Any]) -> bool: ...
def can_encode(filter_id: int) -> bool: ...

@disjoint_base
class Pipeline:
    # Keeps the compressors' working memory from chunk to chunk: for one thread at a time.
    def __new__(cls, filters: npt.NDArray[Any]) -> Self: ...
    # The stored form of a chunk. Raises ValueError when a filter cannot do it.
    def encode(self, data: Buffer) -> bytes: ...
    # Fills `out` (uint8) with the chunk that was stored as `data`. Bit i of the mask: filter i was left out. Raises
    # ValueError when the data are damaged, or not as long as `out` once decoded.
    def decode(self, data: Buffer, out: npt.NDArray[np.uint8], mask: int = 0) -> None: ...

# The same for one chunk.
def encode_chunk(data: Buffer, filters: npt.NDArray[Any]) -> bytes: ...
def decode_chunk(
    data: Buffer, filters: npt.NDArray[Any], out: npt.NDArray[np.uint8], mask: int = 0
) -> None: ...
