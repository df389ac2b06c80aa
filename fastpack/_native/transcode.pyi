from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

# Why an image is not transcoded, by the kernel's numbers.
REASONS: dict[int, str]

@disjoint_base
class Transcoder:
    # strip: omit metadata except the orientation. max_pixels: of an image. max_scans: of a
    # progressive one.
    def __init__(self, strip: bool, *, max_pixels: int, max_scans: int) -> None: ...
    # Returns a file with the same coefficients in one sequential scan, read back and compared; or
    # one of REASONS. data: a file, C-contiguous. Raises MemoryError.
    def transcode(self, data: bytes | npt.NDArray[np.uint8] | memoryview[Any]) -> bytes | str: ...
