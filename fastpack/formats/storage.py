"""Storage: how pixels lie in an HDF5 dataset: in chunks of how many samples, and through which filters.

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
_LEVELS = {
    "gzip": (1, 9, 4),
    "zstd": (1, 22, 3),
    "blosc2": (1, 9, 5),
}  # least, most, taken when none is asked for
_BLOSC2_VERSION, _BLOSC2_LZ4 = 1, 1
# An unfiltered sample has a place of its own, so a large chunk costs a random read nothing and keeps HDF5's table of
# chunks small. Of a filtered chunk all samples are decoded for one: of 224 x 224 pixels, chunks of two took 1.6 times as long
# to read at random as chunks of one, and were no smaller for it, in lz4, zstd and gzip alike.
_UNFILTERED_BYTES = 2**20
_FILTERED_BYTES = 2**15


@dataclass(frozen=True)
class Storage:
    """How the layout `pixels` stores samples.

    - compression: "none", "gzip", "lz4", "zstd" or "blosc2" (with LZ4 inside), which plain h5py reads (gzip) or h5py with
      hdf5plugin (the others).
    - level: of gzip (1 to 9, 4 when None), zstd (1 to 22, 3 when None) or blosc2 (1 to 9, 5 when None).
    - byte_shuffle: put first bytes of all numbers together, then the second ones: for numbers of more than a byte.
    - fletcher32: a checksum for each chunk, which HDF5's library compares too; None has one where chunks are compressed.
    - chunk: samples in a chunk; None takes about 1 MiB of them, or 32 KiB where they are filtered.

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
        least, most, _ = _LEVELS[self.compression]
        return checks.integer(f"level of {self.compression}", level, least, most)

    @property
    def is_filtered(self) -> bool:
        return self.byte_shuffle or self._has_fletcher32 or self.compression != "none"

    @property
    def _has_fletcher32(self) -> bool:
        return self.compression != "none" if self.fletcher32 is None else self.fletcher32

    def filters(self, item_bytes: int, chunk_bytes: int) -> npt.NDArray[Any]:
        """FILTER (n,), in the order in which a chunk of `chunk_bytes` goes through them."""
        steps: list[tuple[str, list[int]]] = []
        if self.byte_shuffle and self.compression != "blosc2":
            steps.append(("shuffle", [item_bytes]))
        level = self.level or _LEVELS.get(self.compression, (0, 0, 0))[2]
        if self.compression == "blosc2":  # which shuffles by itself
            steps.append(
                (
                    "blosc2",
                    [
                        _BLOSC2_VERSION,
                        0,
                        item_bytes,
                        chunk_bytes,
                        level,
                        int(self.byte_shuffle),
                        _BLOSC2_LZ4,
                    ],
                )
            )
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
        """Samples in a chunk. The last chunk is stored whole, so the samples are dealt out evenly."""
        if self.chunk is not None:
            return min(self.chunk, max(1, num_samples))
        target = _FILTERED_BYTES if self.is_filtered else _UNFILTERED_BYTES
        most = max(1, target // max(1, sample_bytes))
        num_chunks = -(-num_samples // most)
        return max(1, -(-num_samples // max(1, num_chunks)))
