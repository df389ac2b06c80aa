"""Block files: fixed parts of objects, kept on local disk with checksums.

A block file has the bytes of the block, a CRC-32C for each part of 64 KiB, and a trailer. The
trailer has a magic number, the identity of the object, and the number and the length of the
block. It ends with a CRC-32C of all that follows the bytes. A span is checked without reading the
rest of its block.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c, crc32c_rows

BLOCK_BYTES = 2**22
PART_BYTES = 2**16
_MAGIC = b"FPBLOCK1"
_TRAILER = struct.Struct("<8s16sQQI")  # magic, identity, number, length, checksum

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BlockId:
    """A block of an object.

    Args:
        identity: of the object and its content, 32 hexadecimal digits.
        number: of the block in the object.
        length: in bytes.
    """

    identity: str
    number: int
    length: int

    @property
    def num_parts(self) -> int:
        return -(-self.length // PART_BYTES)

    @property
    def file_bytes(self) -> int:
        return self.length + 4 * self.num_parts + _TRAILER.size


def footer_of(block: BlockId, data: npt.NDArray[np.uint8]) -> bytes:
    """Return the bytes that follow those of a block in its file."""
    bounds = np.minimum(np.arange(block.num_parts + 1) * PART_BYTES, block.length)
    head = crc32c_rows(data, bounds).astype("<u4").tobytes() + _TRAILER.pack(
        _MAGIC, bytes.fromhex(block.identity), block.number, block.length, 0
    )
    return head[:-4] + struct.pack("<I", crc32c(head[:-4]))


class BlockFile:
    """An open block file; the descriptor is closed when the last reference is gone.

    Args:
        descriptor: of the file, which the object owns.
        length: of the block, in bytes.
        crcs: of its parts, (k,) uint32.
    """

    __slots__ = ("crcs", "descriptor", "length")

    def __init__(self, descriptor: int, length: int, crcs: npt.NDArray[np.uint32]) -> None:
        self.descriptor, self.length, self.crcs = descriptor, length, crcs

    def __del__(self) -> None:
        os.close(self.descriptor)

    @classmethod
    def open(cls, path: Path, block: BlockId) -> "BlockFile | None":
        """Open the file of a block; None if it is torn, damaged or of another block.

        Raises FileNotFoundError, and other OSErrors.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        file = cls(descriptor, block.length, np.zeros(0, np.uint32))
        if os.fstat(descriptor).st_size != block.file_bytes:
            return None
        footer = os.pread(descriptor, block.file_bytes - block.length, block.length)
        if len(footer) != block.file_bytes - block.length:
            return None
        *facts, checksum = _TRAILER.unpack_from(footer, 4 * block.num_parts)
        known = [_MAGIC, bytes.fromhex(block.identity), block.number, block.length]
        if facts != known or crc32c(footer[:-4]) != checksum:
            return None
        file.crcs = np.frombuffer(footer, "<u4", block.num_parts).astype(np.uint32)
        return file
