from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

KINDS: dict[str, int]

@disjoint_base
class ExampleFrames:
    # Where each framed record begins, int64 (n + 1,); the CRC-32C of each example, uint32 (n,); where the values that stay
    # apart begin, int64 (n, columns apart), counted from the first record.
    @property
    def offsets(self) -> npt.NDArray[np.int64]: ...
    @property
    def crcs(self) -> npt.NDArray[np.uint32]: ...
    @property
    def places(self) -> npt.NDArray[np.int64]: ...
    # All records, uint8 (total,), but for the values that stay apart.
    @property
    def records(self) -> npt.NDArray[np.uint8]: ...
    # columns: (name, kind, values, value_offsets, row_offsets). value_offsets: int64, where each bytes value begins and the
    # last one ends, None for numbers; row_offsets: int64 (n + 1,), the values of each row, None for one each.
    # apart: names of bytes columns of one value a row, and the CRC-32C of each value (n,); they are not copied but written
    # from where they are.
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
    # Any number of threads call it; each returns when no row is left.
    def run(self) -> None: ...
    # Writes all records to a file, once `run` is done, and reads them back on the way: status 5 when one is not what was written.
    def write(self, fd: int, offset: int) -> Outcome: ...
