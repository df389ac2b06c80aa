"""Batch buffers, reused once no array refers to them.

The OS must find and clear the pages of a new block. For blocks of a few megabytes that takes longer
than reading into them.
"""

import math
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.errors import OutOfMemoryError

Block = npt.NDArray[np.uint8]

# malloc reuses smaller blocks by itself.
_SMALL_BYTES = 1 << 20
# TensorFlow and JAX share memory that begins at a multiple of this, and copy other memory.
_ALIGNMENT = 64


class BufferPool:
    """Arrays in reused blocks. Thread-safe.

    The caller owns an array until it and all views of it are gone: slices, tensors, memoryviews.
    Then its block is free. Free blocks are released once the pool and all its arrays are gone.

    Args:
        max_blocks: at most so many free blocks are kept.
        max_bytes: total size of the free blocks.

    >>> memory = BufferPool()
    >>> batch = memory.empty((256, 224, 224, 3), np.uint8)
    >>> address, part = batch.ctypes.data, batch[7]
    >>> del batch
    >>> memory.num_free  # `part` is a view of it
    0
    >>> del part
    >>> memory.num_free, memory.empty((256, 224, 224, 3), np.uint8).ctypes.data == address
    (1, True)
    """

    def __init__(self, max_blocks: int = 2, max_bytes: int = 1 << 28) -> None:
        self._free = _FreeBlocks(max_blocks, max_bytes)

    @property
    def num_free(self) -> int:
        """The number of free blocks."""
        return len(self._free.blocks)

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an uninitialized array; raise OutOfMemoryError if there is no memory for it."""
        kind = np.dtype(dtype)
        try:
            num_bytes = math.prod(shape) * kind.itemsize
            if num_bytes < _SMALL_BYTES:
                return np.empty(shape, kind)
            free = self._free
            return np.asarray(_Lease(free.take(num_bytes), free, shape, kind))
        # numpy raises ValueError or OverflowError for more than 2**63 bytes.
        except (MemoryError, ValueError, OverflowError) as error:
            raise OutOfMemoryError(
                f"there is no memory for {kind} {shape}; free memory, use smaller batches, "
                "or a transform to a smaller size"
            ) from error

    def clear(self) -> None:
        """Release the free blocks; blocks in use will not be reused."""
        self._free = _FreeBlocks(self._free.max_blocks, self._free.max_bytes)

    def __reduce__(self) -> Any:
        return BufferPool, (self._free.max_blocks, self._free.max_bytes)


class _FreeBlocks:
    """Blocks without a user.

    There are no locks: a block is returned where its last array is collected, perhaps while the
    same thread takes another block.
    """

    def __init__(self, max_blocks: int, max_bytes: int) -> None:
        self.max_blocks, self.max_bytes = max_blocks, max_bytes
        self.blocks: deque[Block] = deque(maxlen=max_blocks)  # drops the oldest

    def take(self, num_bytes: int) -> Block:
        """Return a free block of up to twice the size, or a new one, 1/8 larger than needed."""
        for _ in range(len(self.blocks)):
            try:
                block = self.blocks.pop()
            except IndexError:  # another thread took it
                break
            if num_bytes + _ALIGNMENT <= len(block) <= 2 * num_bytes + _ALIGNMENT:
                return block
            self.blocks.appendleft(block)
        return np.empty(num_bytes + num_bytes // 8 + _ALIGNMENT, np.uint8)

    def give_back(self, block: Block) -> None:
        """Keep a block for reuse, unless there are `max_bytes` already."""
        if sum(map(len, tuple(self.blocks))) + len(block) <= self.max_bytes:
            self.blocks.append(block)


class _Lease:
    """Owner of a block in use; numpy holds it until the last array of the block is gone."""

    __slots__ = ("__array_interface__", "_block", "_free")

    def __init__(
        self, block: Block, free: _FreeBlocks, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._block, self._free = block, free
        address = -(-block.__array_interface__["data"][0] // _ALIGNMENT) * _ALIGNMENT
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (address, False),
        }

    def __del__(self) -> None:
        self._free.give_back(self._block)
