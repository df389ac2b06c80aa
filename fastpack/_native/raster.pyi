from typing import Literal

import numpy as np
import numpy.typing as npt

COMPRESSIONS: dict[str, int]

# Returns a failure, as kernel status and message, or None; and the samples of a PNG (height, width,
# channels). They are levels, or indices of its palette; uint16 for 16 bits, else uint8.
def png_samples(
    data: npt.NDArray[np.uint8],
) -> tuple[tuple[int, str] | None, npt.NDArray[np.uint8 | np.uint16] | None]: ...

# Decompresses to `out`. Returns False for damaged data or another length than out's.
def unpack(
    data: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
    compression: Literal["LZW", "PackBits", "Deflate"],
) -> bool: ...

# Decompresses GIF's LZW to `out`: palette indices of `bits` bits. Returns False for damaged data.
def unpack_gif(data: npt.NDArray[np.uint8], bits: int, out: npt.NDArray[np.uint8]) -> bool: ...

# Decompresses fax rows to `out` (height, width): 0 is white, 1 is black. Returns False for damaged
# data. kind: TIFF's number: 2, 3 (T.4) or 4 (T.6). is_mixed: some T.4 rows are coded from the row
# above.
def unpack_fax(
    data: npt.NDArray[np.uint8], kind: int, is_mixed: bool, out: npt.NDArray[np.uint8]
) -> bool: ...

# Decompresses BMP's runs of palette indices of 4 or 8 bits to `out` (height, width), rows from the
# bottom. Returns False for damaged data. Skipped pixels stay unchanged.
def unpack_runs(data: npt.NDArray[np.uint8], bits: int, out: npt.NDArray[np.uint8]) -> bool: ...
