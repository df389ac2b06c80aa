from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

COLORS: dict[str, int]
INTERPOLATIONS: dict[str, int]
SEQUENTIAL_USES: dict[str, int]
# Which decoder takes a JPEG: ours, or libjpeg-turbo, and why; or none.
ROUTES: tuple[str, ...]

# For tests: how many bits a vector may have at most, 0, 256 or 512. Pixels are the same.
def allow_vectors(bits: int) -> None: ...

# For tests and benches: which JPEGs the decoder of our own decodes, of those that it can: one of SEQUENTIAL_USES. Pixels
# are the same.
def use_sequential(use: str) -> None: ...

@disjoint_base
class Decoder:
    # Crops, turns and resamples `pixels` (height, width, channels), C-contiguous, into `out` (height, width, channels),
    # any strides, as the one structs.VIEW in `view` (1,) says.
    # table: what is written for each level of each channel, 256 items a channel of out's dtype, as bytes.
    def resample(
        self,
        pixels: npt.NDArray[np.uint8],
        view: npt.NDArray[Any],
        out: npt.NDArray[Any],
        *,
        interpolation: str = "bilinear",
        table: npt.NDArray[np.uint8] | None = None,
    ) -> Outcome: ...
    # One of ROUTES, by the headers of a JPEG, C-contiguous; and whether libjpeg warned of them.
    def route(self, head: bytes | npt.NDArray[np.uint8], image_bytes: int) -> tuple[str, bool]: ...

# Holds an output array for the kernels.
@disjoint_base
class Target:
    def __init__(self, out: npt.NDArray[Any], table: npt.NDArray[np.uint8] | None) -> None: ...

@disjoint_base
class DecodeBatch:
    # spans (n,) of structs.SPAN; views (n,) of structs.VIEW; outs: n arrays (height, width, 1 or 3), any strides.
    # color: one of COLORS; interpolation: one of INTERPOLATIONS. may_reduce: decode smaller where the view shrinks.
    # accept_damage: take what libjpeg makes of damaged data instead of failing.
    # table: as for Decoder.resample. max_pixels: of one image; max_scans: of a progressive one.
    # fds, memory, check: as for gather.Gather.
    # seek_points: words (total,) uint64, and where in them the table of each span starts and ends, (n,) int64 each; an
    # empty one is none.
    def __init__(
        self,
        spans: npt.NDArray[Any],
        views: npt.NDArray[Any],
        outs: list[npt.NDArray[Any]],
        *,
        color: str = "RGB",
        interpolation: str = "bilinear",
        may_reduce: bool = False,
        accept_damage: bool = False,
        max_pixels: int,
        max_scans: int,
        table: npt.NDArray[np.uint8] | None = None,
        fds: npt.NDArray[np.int32] | None = None,
        memory: npt.NDArray[np.uint8] | None = None,
        check: bool = True,
        keep_going: bool = False,
        seek_points: tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None,
    ) -> None: ...
    # Any number of threads call it; each returns when no row is left, or, without keep_going, when one has failed.
    def run(self) -> None: ...
    # Those of the rows that failed, in the order of the rows.
    def failures(self) -> list[Outcome]: ...
    # How many images the decoder of our own has decoded; libjpeg-turbo has decoded the others.
    def num_sequential(self) -> int: ...
    # How many were decoded in spite of a warning of libjpeg's (docs/decoder.md).
    def num_odd(self) -> int: ...
    # How many of the images were decoded with their seek points.
    def num_with_seek_points(self) -> int: ...

@disjoint_base
class SeekPointBatch:
    # spans (n,) of structs.SPAN, of JPEGs; fds, memory: as for gather.Gather. Checksums are compared.
    def __init__(
        self,
        spans: npt.NDArray[Any],
        *,
        fds: npt.NDArray[np.int32] | None = None,
        memory: npt.NDArray[np.uint8] | None = None,
        keep_going: bool = False,
    ) -> None: ...
    # Any number of threads call it; each returns when no row is left, or, not to keep going, when one has failed.
    def run(self) -> None: ...
    def failures(self) -> list[Outcome]: ...
    # How many words the table of each span has, (n,); 0 where there is none.
    def lengths(self, out: npt.NDArray[np.int64]) -> None: ...
    # All tables, one after the other, (sum of the lengths,).
    def words(self, out: npt.NDArray[np.uint64]) -> None: ...
