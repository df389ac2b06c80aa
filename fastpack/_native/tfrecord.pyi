import numpy as np
import numpy.typing as npt

from fastpack.errors import Outcome

_Bytes = bytes | bytearray | memoryview | npt.NDArray[np.uint8]

# The records that lie whole in `data`, a piece of a file with `bytes_left` bytes from the piece's start to its end.
# Gives: offsets (n,) of the payloads in `data`, lengths (n,), unmasked CRC-32C (n,), bytes consumed,
# bytes wanted for the next record, outcome.
def scan(
    data: _Bytes, bytes_left: int, *, record_limit: int, check: bool = True
) -> tuple[
    npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.uint32], int, int, Outcome
]: ...
