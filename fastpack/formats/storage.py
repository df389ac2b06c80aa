"""Storage: chunks and filters of the pixels in an HDF5 dataset.

Numbers and parameters of filters: https://support.hdfgroup.org/documentation/hdf5-docs/registered_filter_plugins.html
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.core.dtypes import FILTER
from fastpack.errors import OptionError

Compression = Literal["none", "gzip", "lz4", "zstd", "blosc2"]
COMPRESSIONS: tuple[Compression, ...] = get_args(Compression)
_NUMBERS = {"gzip": 1, "shuffle": 2, "fletcher32": 3, "lz4": 32004, "zstd": 32015, "blosc2": 32026}
# Lowest level, highest level, default.
_LEVELS = {"gzip": (1, 9, 4), "zstd": (1, 22, 3), "blosc2": (1, 9, 5)}
_BLOSC2_VERSION, _BLOSC2_LZ4 = 1, 1
# An unfiltered sample is read without the rest of its chunk, so chunks are large and HDF5's table
# of chunks is small. A filtered chunk is decoded as a whole. Random reads of samples of 224 x 224
# pixels took 1.6 times as long from chunks of two as from chunks of one. The chunks of two were
# not smaller, for lz4, zstd and gzip alike.
_UNFILTERED_BYTES = 2**20
_FILTERED_BYTES = 2**15


@dataclass(frozen=True)
class Storage:
    """How the layout `pixels` stores samples.

    Args:
        compression: "none", "gzip", "lz4", "zstd" or "blosc2" (with LZ4 inside). Plain h5py reads
            gzip; the others need hdf5plugin.
        level: Level of gzip (1 to 9, default 4), zstd (1 to 22, default 3) or blosc2 (1 to 9,
            default 5).
        byte_shuffle: Store the first bytes of all numbers together, then the second bytes. It helps
            numbers of more than one byte.
        fletcher32: Add a checksum to each chunk, which HDF5's library compares too. None does so
            for compressed chunks.
        chunk: Samples of a chunk; None takes about 1 MiB of them, or 32 KiB of filtered ones.

    Example:
        >>> Storage("zstd").filters(1, 150528)["id"].tolist(), Storage().chunk_for(150528, 10_000)
        ([32015, 3], 6)
    """

    compression: Compression = "none"
    level: int | None = None
    byte_shuffle: bool = False
    fletcher32: bool | None = None
    chunk: int | None = None

    def __post_init__(self) -> None:
        checks.choice("compression", self.compression, COMPRESSIONS)
        level = None if self.level is None else self._checked_level(self.level)
        checks.settle(self, level=level, chunk=checks.optional_integer("chunk", self.chunk, 1))
        checks.settle(self, byte_shuffle=checks.flag("byte_shuffle", self.byte_shuffle))
        if self.fletcher32 is not None:
            checks.settle(self, fletcher32=checks.flag("fletcher32", self.fletcher32))

    def _checked_level(self, level: int) -> int:
        if self.compression not in _LEVELS:
            raise OptionError(
                f"the compression {self.compression!r} has no levels; leave the level out"
            )
        lowest, highest, _ = _LEVELS[self.compression]
        return checks.integer(f"level of {self.compression}", level, lowest, highest)

    @property
    def is_filtered(self) -> bool:
        return self.byte_shuffle or self._has_fletcher32 or self.compression != "none"

    @property
    def _has_fletcher32(self) -> bool:
        return self.compression != "none" if self.fletcher32 is None else self.fletcher32

    def filters(self, item_bytes: int, chunk_bytes: int) -> npt.NDArray[Any]:
        """Return FILTER (n,) for a chunk of `chunk_bytes`, in the order of encoding."""
        steps: list[tuple[str, list[int]]] = []
        if self.byte_shuffle and self.compression != "blosc2":
            steps.append(("shuffle", [item_bytes]))
        level = self.level or _LEVELS.get(self.compression, (0, 0, 0))[2]
        if self.compression == "blosc2":  # it shuffles bytes by itself
            numbers = [item_bytes, chunk_bytes, level, int(self.byte_shuffle)]
            steps.append(("blosc2", [_BLOSC2_VERSION, 0, *numbers, _BLOSC2_LZ4]))
        elif self.compression in _LEVELS:
            steps.append((self.compression, [level]))
        elif self.compression == "lz4":
            steps.append(("lz4", [min(chunk_bytes, 2**30)]))
        if self._has_fletcher32:
            steps.append(("fletcher32", []))
        filters = np.zeros(len(steps), FILTER)
        for row, (name, parameters) in zip(filters, steps, strict=True):
            row["id"], row["num_parameters"] = _NUMBERS[name], len(parameters)
            row["parameters"][: len(parameters)] = parameters
        return filters

    def chunk_for(self, sample_bytes: int, num_samples: int) -> int:
        """Return the samples of a chunk, so that the last chunk, stored in full, is not empty."""
        if self.chunk is not None:
            return min(self.chunk, max(1, num_samples))
        target = _FILTERED_BYTES if self.is_filtered else _UNFILTERED_BYTES
        max_samples = max(1, target // max(1, sample_bytes))
        num_chunks = -(-num_samples // max_samples)
        return max(1, -(-num_samples // max(1, num_chunks)))
