"""Portions: consecutive rows whose bytes fit into a batch."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import offsets_of


def portions(sizes: npt.ArrayLike, max_bytes: int, max_rows: int | None = None) -> Iterator[slice]:
    """Yield portions of rows of `sizes` (n,) bytes, of at most `max_bytes` and `max_rows`.

    A row with more bytes gets a portion of its own.

    >>> [(part.start, part.stop) for part in portions([3, 3, 9, 1], 6)]
    [(0, 2), (2, 3), (3, 4)]
    """
    ends = offsets_of(sizes)
    num_rows, first = len(ends) - 1, 0
    while first < num_rows:
        end = int(np.searchsorted(ends, ends[first] + max_bytes, side="right")) - 1
        end = min(max(end, first + 1), num_rows)
        end = end if max_rows is None else min(end, first + max_rows)
        yield slice(first, end)
        first = end
