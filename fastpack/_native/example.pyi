from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

_Bytes = bytes | bytearray | memoryview | npt.NDArray[np.uint8]

KINDS: dict[str, int]

# Feature name -> ("bytes", "float", "int" or "absent", number of values) of one serialised Example.
def list_features(example: _Bytes) -> dict[str, tuple[str, int]]: ...

# Features of each of n examples (n,). data: uint8; offsets and lengths (n,), in bytes.
def count_entries(
    data: _Bytes, offsets: npt.NDArray[np.uint64], lengths: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.int64], Outcome]: ...

@disjoint_base
class Feature:
    # (n,): has the example the feature; how many values; their bytes together;
    # where in `data` its last bytes value lies, and how long that is.
    @property
    def found(self) -> npt.NDArray[np.uint8]: ...
    @property
    def counts(self) -> npt.NDArray[np.int64]: ...
    @property
    def num_bytes(self) -> npt.NDArray[np.int64]: ...
    @property
    def last_offsets(self) -> npt.NDArray[np.int64]: ...
    @property
    def last_lengths(self) -> npt.NDArray[np.int64]: ...
    # kind: one of KINDS.
    def __init__(self, data: _Bytes, offsets: npt.NDArray[np.uint64], lengths: npt.NDArray[np.uint64], name: str, kind: str) -> None: ...
    # Fills the properties; the copies are sized by them.
    def count(self) -> Outcome: ...
    # All values of all examples: int64 or float32 (counts.sum(),).
    def copy_numbers(self) -> npt.NDArray[Any]: ...
    # All values of all examples: uint8 (num_bytes.sum(),) and their ends, int64 (counts.sum() + 1,), from 0.
    def copy_bytes(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]: ...

@disjoint_base
class ExampleFrames:
    # Where each framed record begins, (n + 1,), and all of them (total,).
    @property
    def offsets(self) -> npt.NDArray[np.int64]: ...
    @property
    def records(self) -> npt.NDArray[np.uint8]: ...
    # columns: (name, kind, values, value_offsets, row_offsets). value_offsets: int64, where each bytes value begins and the
    # last one ends, None for numbers; row_offsets: int64 (n + 1,), the values of each row, None for one each.
    def __init__(
        self,
        columns: Sequence[tuple[str, str, npt.NDArray[Any], npt.NDArray[np.int64] | None, npt.NDArray[np.int64] | None]],
        num_rows: int,
    ) -> None: ...
    # Any number of threads call it; each returns when no row is left.
    def run(self) -> None: ...
