from typing import Any

import numpy as np
import numpy.typing as npt

# Returns the first span of n dtypes.SPAN without a shard or past the end of its file, or -1.
# sizes: the bytes of each shard's file.
def first_outside(spans: npt.NDArray[Any], sizes: npt.NDArray[np.uint64]) -> int: ...

# Gives the address and length of each buffer: out, (n,) of memories.MEMORY. Raises ValueError for a
# buffer that is not contiguous. The caller keeps the views alive.
def describe_memories(views: list[Any], out: npt.NDArray[Any]) -> None: ...
