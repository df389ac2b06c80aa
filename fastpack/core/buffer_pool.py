"""Memory: blocks that batches are written into, and that come back when nobody looks at them any more.

A new block of some megabytes is fresh pages from the system, which it must find and clear: that takes longer than reading into them.
"""

import math
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.errors import OutOfMemoryError

Block = npt.NDArray[np.uint8]

# Smaller ones malloc hands out again by itself.
_SMALL_BYTES = 1 << 20
# TensorFlow and JAX share memory that begins at a multiple of this, and copy other.
_ALIGNMENT = 64


class BufferPool:
    """Gives arrays, and keeps at most `max_blocks` blocks of at most `max_bytes` together for when they are free. Thread-safe.

    An array is its taker's for as long as it, or anything that looks at its memory, lives: a view, a tensor, a memoryview.
    Only then does the block go to another. Free blocks go when the Memory and all arrays from it are gone.

    >>> memory = BufferPool()
    >>> batch = memory.empty((256, 224, 224, 3), np.uint8)
    >>> address, part = batch.ctypes.data, batch[7]
    >>> del batch
    >>> memory.num_free  # `part` still looks at it
    0
    >>> del part
    >>> memory.num_free, memory.empty((256, 224, 224, 3), np.uint8).ctypes.data == address
    (1, True)
    """

    def __init__(self, max_blocks: int = 2, max_bytes: int = 1 << 28) -> None:
        self._free = _FreeBlocks(max_blocks, max_bytes)

    @property
    def num_free(self) -> int:
        return len(self._free.blocks)

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array of this shape, that holds anything. Raises OutOfMemoryError if there is no room for it, or never can be."""
        kind = np.dtype(dtype)
        try:
            num_bytes = math.prod(shape) * kind.itemsize
            if num_bytes < _SMALL_BYTES:
                return np.empty(shape, kind)
            free = self._free
            return np.asarray(_Lease(free.take(num_bytes), free, shape, kind))
        except (
            MemoryError,
            ValueError,
            OverflowError,
        ) as error:  # of numpy: no memory, or more than 2**63 bytes
            message = f"there is no memory for {kind} {shape}; free memory, use smaller batches, or a transform to a smaller size"
            raise OutOfMemoryError(message) from error

    def clear(self) -> None:
        """Lets go of the free blocks; those that are looked at now will not come back."""
        self._free = _FreeBlocks(self._free.max_blocks, self._free.max_bytes)

    def __reduce__(self) -> Any:
        return BufferPool, (self._free.max_blocks, self._free.max_bytes)


class _FreeBlocks:
    """No locks: a block comes back wherever its last array dies, which can be in the middle of anything."""

    def __init__(self, max_blocks: int, max_bytes: int) -> None:
        self.max_blocks, self.max_bytes = max_blocks, max_bytes
        self.blocks: deque[Block] = deque(
            maxlen=max_blocks
        )  # the one that has waited longest leaves

    def take(self, num_bytes: int) -> Block:
        """A free block that is large enough and not much too large, or a new one with room for a somewhat larger batch."""
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
        if sum(map(len, tuple(self.blocks))) + len(block) <= self.max_bytes:
            self.blocks.append(block)


class _Lease:
    """What keeps a block from others: numpy holds it for as long as an array looks at the block."""

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
