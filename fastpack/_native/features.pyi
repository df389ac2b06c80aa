from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from fastpack.errors import Outcome

_Bytes = bytes | bytearray | memoryview | npt.NDArray[np.uint8]

# The features of a file's Examples, in order of appearance, and the values of the Examples that
# were added last.
@disjoint_base
class Features:
    def __init__(self, max_features: int) -> None: ...
    # The number of names so far.
    def __len__(self) -> int: ...
    def name(self, feature: int) -> str: ...
    # "bytes", "float", "int", or "absent" if no Example has a list of it so far.
    def kind(self, feature: int) -> str: ...
    # Makes the feature "absent" from now on. Its lists may then have several kinds.
    def leave_out(self, feature: int) -> None: ...
    # The feature of the last failure.
    @property
    def odd_one(self) -> int | None: ...
    # Reads n Examples in `data`, which must stay unchanged until the next call. offsets and
    # lengths: (n,), in bytes.
    def add(
        self, data: _Bytes, offsets: npt.NDArray[np.uint64], lengths: npt.NDArray[np.uint64]
    ) -> Outcome: ...
    # uint8 (n,): 1 if the Example has the feature; int64 (n,): the number of its values.
    def counts(self, feature: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]: ...
    # int64 (total,) each: the offset in `data` and the length of all bytes values.
    def places(self, feature: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...
    # All values of all Examples: int64 or float32.
    def copy_numbers(self, feature: int) -> npt.NDArray[Any]: ...
    # All values of all Examples: uint8, and their bounds, int64, from 0.
    def copy_bytes(self, feature: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]: ...
