from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

COLORS: dict[str, int]

@disjoint_base
class Decoder:
    # Crops, turns and resamples `pixels` (height, width, channels), C-contiguous, into `out` (height, width, channels),
    # any strides, as the one structs.VIEW in `view` (1,) says.
    def place(self, pixels: npt.NDArray[np.uint8], view: npt.NDArray[Any], out: npt.NDArray[np.uint8]) -> Outcome: ...

@disjoint_base
class DecodeBatch:
    # spans (n,) of structs.SPAN; views (n,) of structs.VIEW; outs: n arrays (height, width, 1 or 3), any strides.
    # color: one of COLORS. max_pixels: of one image; max_scans: of a progressive one.
    # fds, memory, check: as for gather.Gather.
    def __init__(
        self,
        spans: npt.NDArray[Any],
        views: npt.NDArray[Any],
        outs: list[npt.NDArray[np.uint8]],
        *,
        color: str = "RGB",
        max_pixels: int,
        max_scans: int,
        fds: npt.NDArray[np.int32] | None = None,
        memory: npt.NDArray[np.uint8] | None = None,
        check: bool = True,
    ) -> None: ...
    # Any number of threads call it; each returns when no row is left.
    def run(self) -> Outcome: ...
