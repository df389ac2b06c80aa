from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

# Reads the headers of n images that lie in one open file. offsets and lengths (n,), in bytes; infos (n,) of structs.IMAGE_INFO
# receive what is found, and no width for what is no image.
@disjoint_base
class ProbeBlobs:
    def __init__(
        self,
        fd: int,
        offsets: npt.NDArray[np.uint64],
        lengths: npt.NDArray[np.uint64],
        infos: npt.NDArray[Any],
    ) -> None: ...
    # Any number of threads call it; each returns when no row is left.
    def run(self) -> Outcome: ...

# The same of n files, by their names as the system has them; sizes (n,) in bytes and times (n,) of modification in ns too.
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
