import numpy as np
import numpy.typing as npt

# A bitmap is words (w,); its counts are supers (w / SUPER_WORDS,) and blocks (w / BLOCK_WORDS,),
# rounded up.
BLOCK_WORDS: int
SUPER_WORDS: int

# Fills supers and blocks; returns the number of set bits.
def count(
    words: npt.NDArray[np.uint64],
    supers: npt.NDArray[np.int64],
    blocks: npt.NDArray[np.uint16],
) -> int: ...

# Writes the row of each position (k,) in [0, total). Raises IndexError for others.
def select(
    words: npt.NDArray[np.uint64],
    supers: npt.NDArray[np.int64],
    blocks: npt.NDArray[np.uint16],
    total: int,
    positions: npt.NDArray[np.int64],
    out: npt.NDArray[np.int64],
) -> None: ...

# Writes the next set rows from `row` on; returns how many there were.
def rows_from(words: npt.NDArray[np.uint64], row: int, out: npt.NDArray[np.int64]) -> int: ...

# Sets the bits of rows (k,). Raises IndexError for rows outside [0, num_rows).
def set_rows(words: npt.NDArray[np.uint64], num_rows: int, rows: npt.NDArray[np.int64]) -> None: ...

# Writes the set bits of `inner` whose number is a set bit of `outer`.
def keep(
    inner: npt.NDArray[np.uint64],
    outer: npt.NDArray[np.uint64],
    out: npt.NDArray[np.uint64],
) -> None: ...
