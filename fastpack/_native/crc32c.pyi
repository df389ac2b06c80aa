import numpy as np
import numpy.typing as npt

_Bytes = bytes | bytearray | memoryview | npt.NDArray[np.uint8]

# True when the processor has the instruction.
def has_hardware() -> bool: ...

# CRC-32C of `data`, carrying on from `value`. path: "best", "table" or "hardware".
def crc32c(data: _Bytes, value: int = 0, *, path: str = "best") -> int: ...

# What TFRecord makes of a checksum before storing it, and back.
def mask(crc: int) -> int: ...
def unmask(masked: int) -> int: ...
