from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

@disjoint_base
class Gather:
    # spans (n,) of structs.SPAN; span i goes to out[offsets[i]:], bytes.
    # fds: descriptors by shard number; or memory: the buffer that all offsets count in.
    # check: compare with the checksum where the span has one.
    def __init__(
        self,
        spans: npt.NDArray[Any],
        out: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.int64],
        *,
        fds: npt.NDArray[np.int32] | None = None,
        memory: npt.NDArray[np.uint8] | None = None,
        check: bool = True,
        keep_going: bool = False,
    ) -> None: ...
    # Any number of threads call it; each returns when no span is left, with the first failure that it met. Without
    # keep_going the first failure ends the work of all.
    def run(self) -> Outcome: ...
    # By row.
    def failures(self) -> list[Outcome]: ...

# spans (n,) of structs.SPAN, in order of shard and offset; fds: descriptors by shard number.
def advise_willneed(spans: npt.NDArray[Any], fds: npt.NDArray[np.int32]) -> None: ...

# What StatFiles says of a folder or a device; and what says to it that a file is not to be looked at.
NOT_A_FILE: int
PASSED_OVER: int

@disjoint_base
class StatFiles:
    # folder: what stands before each name. names: as the system has them, without NULs; name i is names[ends[i]:ends[i + 1]], n of
    # them. sizes (n,), bytes; times (n,), of modification, ns; errors (n,): 0, or the errno that says why nothing is known, or
    # NOT_A_FILE; what is PASSED_OVER before stays so.
    def __init__(
        self,
        folder: bytes,
        names: npt.NDArray[np.uint8],
        ends: npt.NDArray[np.int64],
        sizes: npt.NDArray[np.int64],
        times: npt.NDArray[np.int64],
        errors: npt.NDArray[np.int32],
    ) -> None: ...
    # Any number of threads call it; each returns when no file is left.
    def run(self) -> None: ...

@disjoint_base
class GatherFiles:
    # folder, names, ends: as of StatFiles. File rows[i], n of them, goes to out[offsets[i]:offsets[i + 1]], bytes. offsets (n + 1,).
    # max_ahead: how many files a thread may have open at a time, 16 at most.
    # crcs (n,): CRC-32C of each; infos (n,) of structs.IMAGE_INFO, statuses (n,): what its header says, or why that is nothing.
    def __init__(
        self,
        folder: bytes,
        names: npt.NDArray[np.uint8],
        ends: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
        out: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.int64],
        crcs: npt.NDArray[np.uint32],
        infos: npt.NDArray[Any],
        statuses: npt.NDArray[np.int32],
        *,
        max_ahead: int = 16,
    ) -> None: ...
    def run(self) -> Outcome: ...
