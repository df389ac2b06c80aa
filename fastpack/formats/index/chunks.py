"""ChunkTable: where the chunks of a stored array lie, for arrays whose samples have no place of their own."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.filters import can_decode
from fastpack.core.dtypes import CHUNK, FILTER, NO_SPAN, Rows
from fastpack.core.limits import Limits
from fastpack.errors import FormatError, LimitError, Location, TruncatedFileError, with_location

# Filters that notice a flipped bit: gzip ends with Adler-32.
_CHECKING_FILTERS = (1, 3)
# What the kernels take: FP_MAX_RANK, FP_MAX_FILTERS.
MAX_RANK = 8
_MAX_NUMBERS = 2**63
MAX_FILTERS = 8
Wanted = tuple[Rows, Rows, Rows, Rows]


def has_checksums(filters: npt.NDArray[Any]) -> bool:
    """True when chunks with these filters (k,) FILTER cannot change unnoticed."""
    return bool(np.isin(filters["id"], _CHECKING_FILTERS).any())


@dataclass(frozen=True, eq=False)
class ChunkTable:
    """The chunks of a dataset (n, *sample shape) of one file. Immutable.

    - shape, chunk_shape: of the dataset, samples first. Chunks stand on a grid; those at its far edges reach past the dataset.
    - filters (k,) FILTER: what each chunk went through, in order.
    - chunks (m,) CHUNK: row by row of the grid.
    - fill (item bytes,) uint8: the item that chunks hold which were never written.
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    filters: npt.NDArray[Any]
    chunks: npt.NDArray[Any]
    fill: npt.NDArray[np.uint8]

    @property
    def grid(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(
            -(-size // chunk) for size, chunk in zip(self.shape, self.chunk_shape, strict=True)
        )

    @property
    def has_checksums(self) -> bool:
        """True when no chunk can change unnoticed."""
        return has_checksums(self.filters) and not self.chunks["mask"].any()

    @property
    def chunk_bytes(self) -> int:
        return math.prod(self.chunk_shape) * len(self.fill)

    def wanted(self, samples: Rows, rows: Rows) -> Wanted:
        """Samples (n,) and the rows of a batch that they go to, gathered by the layer of the grid that holds them.

        Layers come in the order in which the batch first needs them: so the failure in the lowest row is found.
        """
        layers, within = np.divmod(samples, self.chunk_shape[0])
        numbers, first_needed, group, counts = np.unique(
            layers, return_index=True, return_inverse=True, return_counts=True
        )
        turn = np.argsort(first_needed)
        location = np.empty_like(turn)
        location[turn] = np.arange(len(turn))
        order = np.argsort(location[group], kind="stable")
        starts = np.zeros(len(turn) + 1, np.int64)
        np.cumsum(counts[turn], out=starts[1:])
        return numbers[turn], starts, within[order], rows[order]

    def check_limits(self, limits: Limits, location: Location) -> None:
        """Raises LimitError when a chunk claims more memory than it may."""
        if self.chunk_bytes > limits.max_chunk_bytes and (self.chunks["offset"] != NO_SPAN).any():
            message = f"a chunk has {self.chunk_bytes} bytes, more than {limits.max_chunk_bytes}; raise max_chunk_bytes if the file is real"
            raise LimitError(with_location(message, location))

    def check(self, file_bytes: int, location: Location) -> None:
        """Raises FormatError or TruncatedFileError when the table is none that a sound file can have."""
        self._check_form(location)
        written = self.chunks[self.chunks["offset"] != NO_SPAN]
        offsets, lengths = written["offset"], written["length"].astype(np.uint64)
        size = np.uint64(file_bytes)
        outside = (offsets > size) | (lengths > size - np.minimum(offsets, size))
        if outside.any():
            first = int(offsets[np.argmax(outside)])
            raise TruncatedFileError(
                with_location(
                    "a chunk lies past the end of the file; restore the file from its source",
                    _with(location, first),
                )
            )
        order = np.argsort(offsets)
        overlap = offsets[order][1:] < (offsets + lengths)[order][:-1]
        if overlap.any():
            first = int(offsets[order][1:][np.argmax(overlap)])
            raise FormatError(
                with_location(
                    "two chunks lie in the same place; restore the file from its source",
                    _with(location, first),
                )
            )

    def _check_form(self, location: Location) -> None:
        rank = len(self.shape)
        sizes = (*self.shape, *self.chunk_shape)
        sound = (
            1 <= rank <= MAX_RANK
            and rank == len(self.chunk_shape)
            and all(type(size) is int and size > 0 for size in sizes)
        )
        sound = (
            sound
            and len(self.filters) <= MAX_FILTERS
            and self.filters.dtype == FILTER
            and can_decode(self.filters)
        )
        sound = (
            sound
            and self.fill.dtype == np.uint8
            and self.fill.ndim == 1
            and 0 < len(self.fill) <= 16
        )
        sound = sound and self.chunks.dtype == CHUNK
        sound = sound and max(math.prod(self.shape), self.chunk_bytes) < _MAX_NUMBERS
        if not sound or self.chunks.shape != (math.prod(self.grid),):
            raise FormatError(
                with_location(
                    "the table of chunks makes no sense; delete the index, or restore the file from its source",
                    location,
                )
            )

    def to_arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        about = json.dumps({"shape": self.shape, "chunk_shape": self.chunk_shape})
        return {
            f"{name}/about": np.frombuffer(about.encode(), np.uint8),
            f"{name}/filters": self.filters,
            f"{name}/chunks": self.chunks,
            f"{name}/fill": self.fill,
        }

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> "ChunkTable":
        """Raises what json and mappings do when the arrays are not those of `to_arrays`; call `check` next."""
        about = json.loads(arrays[f"{name}/about"].tobytes())
        shape, chunk_shape = tuple(about["shape"]), tuple(about["chunk_shape"])
        return cls(
            shape,
            chunk_shape,
            arrays[f"{name}/filters"],
            arrays[f"{name}/chunks"],
            arrays[f"{name}/fill"],
        )


def _with(location: Location, offset: int) -> Location:
    return Location(location.path, location.record, offset, location.key)
