import numpy as np
import numpy.typing as npt

_Bytes = bytes | bytearray | memoryview | npt.NDArray[np.uint8]

# The paths of this processor: "best", "table", "hardware", "256 bits", "512 bits".
def paths() -> tuple[str, ...]: ...

# CRC-32C of `data`, continued from `value`. Raises ValueError if the processor lacks the path.
def crc32c(data: _Bytes, value: int = 0, *, path: str = "best") -> int: ...

# CRC-32C of each row of a Ragged of bytes: values (total,), offsets (n + 1,).
def crc32c_rows(
    values: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]: ...

# CRC-32C of two parts with these CRCs. The second part has `length` bytes.
def join(first: int, second: int, length: int) -> int: ...

# TFRecord's mask over a stored checksum, and its inverse.
def mask(crc: int) -> int: ...
def unmask(masked: int) -> int: ...
