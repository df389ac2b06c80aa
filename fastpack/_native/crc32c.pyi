import numpy as np
import numpy.typing as npt

_Bytes = bytes | bytearray | memoryview | npt.NDArray[np.uint8]

# Ways to sum that this processor can take: "best", "table", "hardware", "256 bits", "512 bits".
def paths() -> tuple[str, ...]: ...

# CRC-32C of `data`, carrying on from `value`. Raises ValueError when the processor cannot take the path.
def crc32c(data: _Bytes, value: int = 0, *, path: str = "best") -> int: ...

# CRC-32C of each row of a Ragged of bytes: values (total,), offsets (n + 1,).
def crc32c_rows(
    values: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]: ...

# CRC-32C of data of which the first part has the CRC `first`, and the rest, `length` bytes, the CRC `second`.
def join(first: int, second: int, length: int) -> int: ...

# What TFRecord makes of a checksum before storing it, and back.
def mask(crc: int) -> int: ...
def unmask(masked: int) -> int: ...
