"""Joining of byte ranges to requests.

A request costs a round trip and the same price for any size, so neighbors share one. A gap between
them is read as well, and dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# At 60 MB/s, which one connection to S3 gives, 256 KiB take 4 ms: less than a round trip.
MAX_GAP = 2**18
# AWS recommends requests of 8 or 16 MiB. Longer ones share the bandwidth worse. Blocks of a block
# shuffle have 8 MiB on average: with a limit of 8 MiB, half of them would take two requests.
MAX_REQUEST = 2**24

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ranges:
    """Byte ranges [start, end) of files, by number of the file.

    Args:
        files: numbers of the files, (n,) int64.
        starts: first bytes, (n,) int64.
        ends: ends, (n,) int64.
    """

    files: Numbers
    starts: Numbers
    ends: Numbers

    @classmethod
    def joined(cls, parts: "Sequence[Ranges]") -> "Ranges":
        """Return the ranges of all parts."""
        names = ("files", "starts", "ends")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.files)

    def take(self, rows: Numbers) -> "Ranges":
        """Return the given ranges, in that order."""
        return Ranges(self.files[rows], self.starts[rows], self.ends[rows])

    @property
    def num_bytes(self) -> int:
        return int((self.ends - self.starts).sum())


def join(ranges: Ranges, max_gap: int = MAX_GAP, max_bytes: int = MAX_REQUEST) -> Ranges:
    """Return few ranges that cover the given ones, sorted by file and start.

    Each given range lies in one of the returned ranges. One longer than `max_bytes` stays whole.

    - max_gap: bytes between neighbors that are joined.
    - max_bytes: of a joined range.

    >>> of = lambda *pairs: (np.array(each) for each in zip(*pairs))
    >>> joined = join(Ranges(np.zeros(3, np.int64), *of((0, 10), (15, 20), (90, 99))), max_gap=5)
    >>> joined.starts.tolist(), joined.ends.tolist()
    ([0, 90], [20, 99])
    """
    filled = np.flatnonzero(ranges.ends > ranges.starts)
    if not len(filled):
        return Ranges(*(np.zeros(0, np.int64) for _ in range(3)))
    order = filled[np.lexsort((ranges.starts[filled], ranges.files[filled]))]
    files, starts = ranges.files[order], ranges.starts[order]
    ends = ranges.ends[order]
    joined: list[tuple[int, int, int]] = []
    file, first, end = int(files[0]), int(starts[0]), int(ends[0])
    rows = zip(files[1:].tolist(), starts[1:].tolist(), ends[1:].tolist(), strict=True)
    for next_file, next_start, next_end in rows:
        reach = max(end, next_end)
        is_near = next_file == file and next_start - end <= max_gap
        if is_near and (reach - first <= max_bytes or next_end <= end):
            end = reach
        else:
            joined.append((file, first, end))
            file, first, end = next_file, next_start, next_end
    joined.append((file, first, end))
    columns = np.array(joined, np.int64).T
    return Ranges(columns[0], columns[1], columns[2])
