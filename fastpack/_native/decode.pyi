from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

COLORS: dict[str, int]
INTERPOLATIONS: dict[str, int]
SEQUENTIAL_USES: dict[str, int]
# Our decoder, or the reason why libjpeg-turbo decodes a JPEG.
ROUTES: tuple[str, ...]

# For tests: sets the maximum width of vectors: 0, 256 or 512 bits. Pixels stay the same.
def allow_vectors(bits: int) -> None: ...

# For tests and benches: one of SEQUENTIAL_USES: which of the JPEGs that it can decode our decoder
# takes. Pixels stay the same.
def use_sequential(use: str) -> None: ...

@disjoint_base
class Decoder:
    # Crops, turns and resamples `pixels` (height, width, channels), C-contiguous, to `out` (height,
    # width, channels), any strides. view: (1,) of dtypes.VIEW.
    # table: the item for each level of each channel: 256 items of out's dtype a channel, as bytes.
    def resample(
        self,
        pixels: npt.NDArray[np.uint8],
        view: npt.NDArray[Any],
        out: npt.NDArray[Any],
        *,
        interpolation: str = "bilinear",
        table: npt.NDArray[np.uint8] | None = None,
    ) -> Outcome: ...
    # One of ROUTES, by the headers of a JPEG, C-contiguous; and True if libjpeg warned of them.
    def route(self, head: bytes | npt.NDArray[np.uint8], image_bytes: int) -> tuple[str, bool]: ...

# An output array for the kernels.
@disjoint_base
class Target:
    def __init__(self, out: npt.NDArray[Any], table: npt.NDArray[np.uint8] | None) -> None: ...

@disjoint_base
class DecodeBatch:
    # spans: (n,) of dtypes.SPAN. views: (n,) of dtypes.VIEW. outs: n arrays (height, width, 1 or
    # 3), any strides. color: one of COLORS. interpolation: one of INTERPOLATIONS.
    # may_reduce: decode smaller if the view shrinks.
    # accept_damage: accept libjpeg's pixels of damaged data instead of failing.
    # table: as for Decoder.resample. max_pixels: of one image; max_scans: of a progressive one.
    # fds, memories, check: as for gather.Gather.
    # seek_points: words, uint64 (total,), and the start and end of each span's table in them, int64
    # (n,) each. An empty table is no table.
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
        memories: npt.NDArray[Any] | None = None,
        check: bool = True,
        keep_going: bool = False,
        seek_points: tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.int64]]
        | None = None,
    ) -> None: ...
    # Called by any number of threads. Returns when no row is left, or after a failure without
    # keep_going.
    def run(self) -> None: ...
    # The outcomes of failed rows, in order.
    def failures(self) -> list[Outcome]: ...
    # How many images our decoder has decoded; libjpeg-turbo has decoded the others.
    def num_sequential(self) -> int: ...
    # How many were decoded despite a warning of libjpeg's (docs/decoder.md).
    def num_odd(self) -> int: ...
    # How many were decoded with their seek points.
    def num_with_seek_points(self) -> int: ...

@disjoint_base
class SeekPointBatch:
    # spans: (n,) of dtypes.SPAN, of JPEGs. fds, memories: as for gather.Gather. Checksums are
    # compared.
    def __init__(
        self,
        spans: npt.NDArray[Any],
        *,
        fds: npt.NDArray[np.int32] | None = None,
        memories: npt.NDArray[Any] | None = None,
        keep_going: bool = False,
    ) -> None: ...
    # Called by any number of threads. Returns when no row is left, or after a failure without
    # keep_going.
    def run(self) -> None: ...
    def failures(self) -> list[Outcome]: ...
    # Gives the words of each span's table, (n,); 0 without a table.
    def lengths(self, out: npt.NDArray[np.int64]) -> None: ...
    # Gives all tables, one after the other, (sum of the lengths,).
    def words(self, out: npt.NDArray[np.uint64]) -> None: ...
