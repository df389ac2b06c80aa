"""ChunkTable: places of the chunks of an array, for samples without spans."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.filters import can_decode
from fastpack.core.dtypes import CHUNK, FILTER, NO_SPAN, Rows
from fastpack.core.limits import Limits
from fastpack.core.ragged import offsets_of
from fastpack.errors import FormatError, LimitError, Location, TruncatedFileError, with_location

# Filters that detect a flipped bit: gzip, which ends with Adler-32, and Fletcher-32.
_CHECKING_FILTERS = (1, 3)
MAX_RANK = 8  # FP_MAX_RANK
MAX_FILTERS = 8  # FP_MAX_FILTERS
_MAX_NUMBERS = 2**63
_MAX_ITEM_BYTES = 16
Wanted = tuple[Rows, Rows, Rows, Rows]


def has_checksums(filters: npt.NDArray[Any]) -> bool:
    """Return True if these filters, (k,) FILTER, detect a flipped bit."""
    return bool(np.isin(filters["id"], _CHECKING_FILTERS).any())


@dataclass(frozen=True, eq=False)
class ChunkTable:
    """The chunks of a dataset (n, *sample shape) of one file. Immutable.

    Args:
        shape: of the dataset, samples first.
        chunk_shape: of a chunk. Chunks form a grid; its last ones reach past the dataset.
        filters: the filters of each chunk, in the order of writing, (k,) FILTER.
        chunks: the chunks, row by row of the grid, (m,) CHUNK.
        fill: the item that chunks hold if they were never written, (item bytes,) uint8.
        layers: the layers of the grid that `chunks` has, rising, (k,). None: it has all. With
            layers, `shape` counts the samples of these.
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    filters: npt.NDArray[Any]
    chunks: npt.NDArray[Any]
    fill: npt.NDArray[np.uint8]
    layers: Rows | None = None

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks along each axis."""
        return tuple(
            -(-size // chunk) for size, chunk in zip(self.shape, self.chunk_shape, strict=True)
        )

    @property
    def has_checksums(self) -> bool:
        """True if a flipped bit in any chunk is detected."""
        return has_checksums(self.filters) and not self.chunks["mask"].any()

    @property
    def chunk_bytes(self) -> int:
        return math.prod(self.chunk_shape) * len(self.fill)

    def wanted(self, samples: Rows, rows: Rows) -> Wanted:
        """Group samples (n,), and their rows of the batch, by layer of the grid.

        Layers come in the order in which the batch first needs them. So the reported failure is
        the one of the lowest row.
        """
        layers, within = np.divmod(samples, self.chunk_shape[0])
        if self.layers is not None:
            layers = np.searchsorted(self.layers, layers)
        numbers, first_needed, group, counts = np.unique(
            layers, return_index=True, return_inverse=True, return_counts=True
        )
        by_need = np.argsort(first_needed)
        rank = np.empty_like(by_need)
        rank[by_need] = np.arange(len(by_need))
        order = np.argsort(rank[group], kind="stable")
        return numbers[by_need], offsets_of(counts[by_need]), within[order], rows[order]

    def check_limits(self, limits: Limits, location: Location) -> None:
        """Raise LimitError if a chunk needs more memory than `limits` allow."""
        max_bytes = limits.max_chunk_bytes
        if self.chunk_bytes > max_bytes and (self.chunks["offset"] != NO_SPAN).any():
            message = f"a chunk has {self.chunk_bytes} bytes, more than {max_bytes}"
            remedy = "raise max_chunk_bytes if the file is real"
            raise LimitError(with_location(f"{message}; {remedy}", location))

    def check(self, file_bytes: int, location: Location, *, of_batch: bool = False) -> None:
        """Raise FormatError or TruncatedFileError if no sound file has such a table.

        - of_batch: only look for chunks past the end: the rest was checked for all batches.
        """
        if not of_batch and not self._is_sound():
            message = "the chunk table is not valid"
            remedy = "delete the index, or restore the file from its source"
            raise FormatError(with_location(f"{message}; {remedy}", location))
        written = self.chunks[self.chunks["offset"] != NO_SPAN]
        offsets, lengths = written["offset"], written["length"].astype(np.uint64)
        size = np.uint64(file_bytes)
        outside = (offsets > size) | (lengths > size - np.minimum(offsets, size))
        if outside.any():
            here = replace(location, offset=int(offsets[np.argmax(outside)]))
            message = "a chunk lies past the end of the file; restore the file from its source"
            raise TruncatedFileError(with_location(message, here))
        if of_batch:
            return
        order = np.argsort(offsets)
        overlap = offsets[order][1:] < (offsets + lengths)[order][:-1]
        if overlap.any():
            here = replace(location, offset=int(offsets[order][1:][np.argmax(overlap)]))
            message = "two chunks overlap; restore the file from its source"
            raise FormatError(with_location(message, here))

    def _is_sound(self) -> bool:
        """Check shapes, filters and dtypes; each test relies on those before it."""
        return (
            self.has_sound_frame()
            and self.chunks.dtype == CHUNK
            and self.chunks.shape == (math.prod(self.grid),)
        )

    def has_sound_frame(self) -> bool:
        """Return True if all is sound except perhaps for the chunks."""
        return (
            self.has_sound_shape()
            and len(self.filters) <= MAX_FILTERS
            and self.filters.dtype == FILTER
            and can_decode(self.filters)
            and self.fill.dtype == np.uint8
            and self.fill.ndim == 1
            and 0 < len(self.fill) <= _MAX_ITEM_BYTES
            and max(math.prod(self.shape), self.chunk_bytes) < _MAX_NUMBERS
        )

    def has_sound_shape(self) -> bool:
        """Return True for shapes of one rank, whose sizes are positive."""
        sizes = (*self.shape, *self.chunk_shape)
        return (
            1 <= len(self.shape) <= MAX_RANK
            and len(self.shape) == len(self.chunk_shape)
            and all(type(size) is int and size > 0 for size in sizes)
        )

    def to_tables(self, name: str) -> dict[str, dict[str, npt.NDArray[Any]]]:
        """Return the tables of a saved index; `name` is that of the chunks."""
        return {
            name: {"value": self.chunks},
            f"{name}/filters": {"value": self.filters},
            f"{name}/shape": {
                "dataset": np.array(self.shape, np.int64),
                "chunk": np.array(self.chunk_shape, np.int64),
            },
            f"{name}/fill": {"value": self.fill},
        }

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> "ChunkTable":
        """Make the table of the arrays that an earlier version saved. Call `check` next.

        Raises one of NPZ_ERRORS if the arrays are others.
        """
        about = json.loads(arrays[f"{name}/about"].tobytes())
        shape, chunk_shape = tuple(about["shape"]), tuple(about["chunk_shape"])
        return cls(
            shape,
            chunk_shape,
            arrays[f"{name}/filters"],
            arrays[f"{name}/chunks"],
            arrays[f"{name}/fill"],
        )
