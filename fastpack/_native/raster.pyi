from typing import Literal

import numpy as np
import numpy.typing as npt

COMPRESSIONS: dict[str, int]

# The samples of a PNG, (height, width, channels), uint16 where they have 16 bits, else uint8: levels, or indices of its
# palette. Before them what is wrong with the file, when anything is: a kernel status and what it means.
def png_samples(
    data: npt.NDArray[np.uint8],
) -> tuple[tuple[int, str] | None, npt.NDArray[np.uint8 | np.uint16] | None]: ...

# Fills `out` with what the data hold; False when they are damaged, too few or too many.
def unpack(
    data: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
    compression: Literal["LZW", "PackBits", "Deflate"],
) -> bool: ...

# Fills `out` with the palette indices of `bits` bits that GIF's LZW data hold; False when they are damaged.
def unpack_gif(data: npt.NDArray[np.uint8], bits: int, out: npt.NDArray[np.uint8]) -> bool: ...

# Rows packed as by fax machines, into `out` (height, width): 0 for white, 1 for black; False when they are damaged. `kind` is
# TIFF's number: 2, 3 (T.4) or 4 (T.6); `is_mixed`: some rows of T.4 are coded from the row above.
def unpack_fax(
    data: npt.NDArray[np.uint8], kind: int, is_mixed: bool, out: npt.NDArray[np.uint8]
) -> bool: ...

# BMP's runs of palette indices of 4 or 8 bits, into `out` (height, width), rows from the bottom; False when they are damaged.
# Pixels that no run covers stay as they are.
def unpack_runs(data: npt.NDArray[np.uint8], bits: int, out: npt.NDArray[np.uint8]) -> bool: ...
