from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

@disjoint_base
class Walk:
    # fd: a TFRecord of `size` bytes. Pieces follow one another without a gap.
    def __init__(self, fd: int, size: int, *, record_limit: int) -> None: ...
    # The byte that the next piece begins at; `size` at the end.
    @property
    def position(self) -> int: ...
    # pieces (n,) of structs.PIECE receives the next ones, of `stride` bytes or a little more. Gives how many, and the outcome.
    def go_on(self, pieces: npt.NDArray[Any], *, stride: int) -> tuple[int, Outcome]: ...

@disjoint_base
class CheckSpans:
    # (n,): 0 where the span is whole, else the kernel status that says why not.
    @property
    def statuses(self) -> npt.NDArray[np.int32]: ...
    # spans (n,) of structs.SPAN; fds: descriptors by shard number.
    def __init__(self, spans: npt.NDArray[Any], fds: npt.NDArray[np.int32]) -> None: ...
    # Any number of threads call it; each returns when no span is left.
    def run(self) -> None: ...
