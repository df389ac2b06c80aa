from typing import Any

import numpy as np
import numpy.typing as npt

# Reads the headers of n images in `data`. offsets and lengths: (n,), in bytes. Gives infos (n,) of
# dtypes.IMAGE_INFO and statuses (n,).
def probe_many(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    infos: npt.NDArray[Any],
    statuses: npt.NDArray[np.int32],
) -> None: ...
