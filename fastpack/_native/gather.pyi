from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

@disjoint_base
class Gather:
    # spans: (n,) of dtypes.SPAN. Span i goes to out[offsets[i]:], bytes.
    # fds: descriptors by shard number; or memories: (k,) of memories.MEMORY.
    # check: compare the checksums of spans that have one.
    def __init__(
        self,
        spans: npt.NDArray[Any],
        out: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.int64],
        *,
        fds: npt.NDArray[np.int32] | None = None,
        memories: npt.NDArray[Any] | None = None,
        check: bool = True,
        keep_going: bool = False,
    ) -> None: ...
    # Called by any number of threads. Returns when no span is left, with the first failure of this
    # thread. Without keep_going, the first failure ends the work of all threads.
    def run(self) -> Outcome: ...
    # In the order of rows.
    def failures(self) -> list[Outcome]: ...

# Advises the OS that these spans will be read soon. spans: (n,) of dtypes.SPAN, sorted by shard and
# offset. fds: descriptors by shard number.
def advise_willneed(spans: npt.NDArray[Any], fds: npt.NDArray[np.int32]) -> None: ...

# Values of `errors`: StatFiles sets the first for a folder or a device. It skips files with the
# second.
NOT_A_FILE: int
PASSED_OVER: int

@disjoint_base
class StatFiles:
    # folder: the prefix of each name. names: n names as bytes of the OS, without NULs; name i is
    # names[ends[i]:ends[i + 1]].
    # Gives sizes (n,) in bytes, times (n,) of modification in ns, and errors (n,): 0, an errno, or
    # NOT_A_FILE. Files whose error is PASSED_OVER before are skipped.
    def __init__(
        self,
        folder: bytes,
        names: npt.NDArray[np.uint8],
        ends: npt.NDArray[np.int64],
        sizes: npt.NDArray[np.int64],
        times: npt.NDArray[np.int64],
        errors: npt.NDArray[np.int32],
    ) -> None: ...
    # Called by any number of threads. Returns when no file is left.
    def run(self) -> None: ...

@disjoint_base
class GatherFiles:
    # folder, names, ends: as for StatFiles. File rows[i] of n goes to out[offsets[i]:offsets[i +
    # 1]], bytes. offsets: (n + 1,).
    # max_ahead: the number of files that a thread may have open, at most 16.
    # Gives crcs (n,), the CRC-32C of each; infos (n,) of dtypes.IMAGE_INFO from the headers; and
    # statuses (n,), the kernel status of each header.
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
