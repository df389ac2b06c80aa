from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

@disjoint_base
class Walk:
    # fd: a TFRecord of `size` bytes. Its pieces are contiguous.
    def __init__(self, fd: int, size: int, *, record_limit: int) -> None: ...
    # The first byte of the next piece; `size` at the end.
    @property
    def position(self) -> int: ...
    # Fills pieces (n,) of dtypes.PIECE until `stride` bytes are done. Returns their number and the
    # outcome.
    def go_on(self, pieces: npt.NDArray[Any], *, stride: int) -> tuple[int, Outcome]: ...

@disjoint_base
class CheckSpans:
    # (n,): 0 for a whole span, else its kernel status.
    @property
    def statuses(self) -> npt.NDArray[np.int32]: ...
    # spans: (n,) of dtypes.SPAN. fds: descriptors by shard number.
    def __init__(self, spans: npt.NDArray[Any], fds: npt.NDArray[np.int32]) -> None: ...
    # Called by any number of threads. Returns when no span is left.
    def run(self) -> None: ...
