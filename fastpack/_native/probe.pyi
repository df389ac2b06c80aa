from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

# Reads the headers of n images in one open file. offsets and lengths: (n,), in bytes. Gives infos
# (n,) of dtypes.IMAGE_INFO; width 0 means not an image.
@disjoint_base
class ProbeBlobs:
    def __init__(
        self,
        fd: int,
        offsets: npt.NDArray[np.uint64],
        lengths: npt.NDArray[np.uint64],
        infos: npt.NDArray[Any],
    ) -> None: ...
    # Called by any number of threads. Returns when no row is left.
    def run(self) -> Outcome: ...

# Reads the headers of n files by their paths. Gives also sizes (n,) in bytes and times (n,) of
# modification in ns.
@disjoint_base
class ProbeFiles:
    def __init__(
        self,
        paths: list[bytes],
        sizes: npt.NDArray[np.uint64],
        times: npt.NDArray[np.int64],
        infos: npt.NDArray[Any],
    ) -> None: ...
    def run(self) -> Outcome: ...
