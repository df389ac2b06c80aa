import numpy as np
import numpy.typing as npt

from fastpack.errors import Outcome

# Writes the rows of a Ragged of bytes, values (total,) and offsets (n + 1,), to a file from byte
# `offset` on, and reads them back. Status 5: the row differs from its CRC-32C in crcs (n,).
def write_rows(
    fd: int,
    offset: int,
    values: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    crcs: npt.NDArray[np.uint32],
) -> Outcome: ...
