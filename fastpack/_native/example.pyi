from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

KINDS: dict[str, int]

@disjoint_base
class ExampleFrames:
    # The beginning of each framed record, int64 (n + 1,); the CRC-32C of each Example, uint32 (n,);
    # the beginning of values apart, int64 (n, columns apart). All count from the first record.
    @property
    def offsets(self) -> npt.NDArray[np.int64]: ...
    @property
    def crcs(self) -> npt.NDArray[np.uint32]: ...
    @property
    def places(self) -> npt.NDArray[np.int64]: ...
    # All records without the values apart, uint8 (total,).
    @property
    def records(self) -> npt.NDArray[np.uint8]: ...
    # columns: (name, kind, values, value_offsets, row_offsets). value_offsets: int64, bounds of
    # bytes values, None for numbers. row_offsets: int64 (n + 1,), bounds of rows in the values,
    # None for one value a row.
    # apart: names of bytes columns with one value a row, and the CRC-32C of each value (n,). These
    # values are written from their arrays, without a copy.
    def __init__(
        self,
        columns: Sequence[
            tuple[
                str,
                str,
                npt.NDArray[Any],
                npt.NDArray[np.int64] | None,
                npt.NDArray[np.int64] | None,
            ]
        ],
        num_rows: int,
        *,
        apart: dict[str, npt.NDArray[np.uint32]] | None = None,
    ) -> None: ...
    # Called by any number of threads. Returns when no row is left.
    def run(self) -> None: ...
    # Call after `run`. Writes all records to a file and reads them back. Status 5: a record differs
    # from the written one.
    def write(self, fd: int, offset: int) -> Outcome: ...
