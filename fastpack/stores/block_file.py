"""Block files: fixed parts of objects, kept on local disk with checksums.

A block file has the bytes of the block, a CRC-32C for each part of 64 KiB, and a trailer. The
trailer has a magic number, the identity of the object, and the number and the length of the
block. It ends with a CRC-32C of all that follows the bytes. A span is checked without reading the
rest of its block.
"""

import os
import stat
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
        block: that the file has.
    """

    __slots__ = ("crcs", "descriptor", "length")

    def __init__(self, descriptor: int, block: BlockId) -> None:
        self.descriptor, self.length = descriptor, block.length
        self.crcs = self._checked_crcs(block)

    def __del__(self) -> None:
        os.close(self.descriptor)

    @classmethod
    def open(cls, path: Path, block: BlockId) -> "BlockFile":
        """Open the file of a block. Raises OSErrors."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO would block
        return cls(os.open(path, flags), block)

    @property
    def is_sound(self) -> bool:
        """False if the file is torn, damaged or of another block."""
        return len(self.crcs) > 0

    def _checked_crcs(self, block: BlockId) -> "npt.NDArray[np.uint32]":
        """Return the checksums of the parts (k,); none if the footer is not the block's."""
        none = np.zeros(0, np.uint32)
        facts = os.fstat(self.descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size != block.file_bytes:
            return none
        num_bytes = block.file_bytes - block.length
        footer = os.pread(self.descriptor, num_bytes, block.length)
        if len(footer) != num_bytes:
            return none
        *found, checksum = _TRAILER.unpack_from(footer, 4 * block.num_parts)
        known = [_MAGIC, bytes.fromhex(block.identity), block.number, block.length]
        if found != known or crc32c(footer[:-4]) != checksum:
            return none
        return np.frombuffer(footer, "<u4", block.num_parts).astype(np.uint32)
