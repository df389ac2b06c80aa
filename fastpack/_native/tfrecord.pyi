import numpy as np
import numpy.typing as npt

from fastpack.errors import Outcome

_Bytes = bytes | bytearray | memoryview | npt.NDArray[np.uint8]

# Finds the whole records in `data`, a piece of a file with `bytes_left` bytes from its beginning
# on. Returns for the payloads: offsets (n,) in `data`, lengths (n,), unmasked CRC-32C (n,). Then
# the bytes consumed, the bytes that the next record needs, and the outcome.
def scan(
    data: _Bytes, bytes_left: int, *, record_limit: int, check: bool = True
) -> tuple[
    npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.uint32], int, int, Outcome
]: ...
