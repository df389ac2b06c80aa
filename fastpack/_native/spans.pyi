from typing import Any

import numpy as np
import numpy.typing as npt

# The first of n structs.SPANs that names no shard or goes past its file, -1 when none does. sizes: bytes of each shard's file.
def first_outside(spans: npt.NDArray[Any], sizes: npt.NDArray[np.uint64]) -> int: ...
