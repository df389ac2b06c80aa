from typing import Any

import numpy as np
import numpy.typing as npt

# Reads the headers of n images that lie in `data`. offsets and lengths (n,), in bytes;
# infos (n,) of structs.IMAGE_INFO and statuses (n,) receive what is found.
def probe_many(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    infos: npt.NDArray[Any],
    statuses: npt.NDArray[np.int32],
) -> None: ...
