import numpy as np
import numpy.typing as npt

NUM_KEYS: int

def permute(
    numbers: npt.NDArray[np.int64],
    size: int,
    keys: npt.NDArray[np.uint64],
    out: npt.NDArray[np.int64],
    *,
    back: bool = False,
) -> None: ...
def permute_within(
    numbers: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    tweaks: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    out: npt.NDArray[np.int64],
    *,
    back: bool = False,
) -> None: ...
def hash_rows(
    values: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    seed: int,
    out: npt.NDArray[np.uint64],
) -> None: ...
