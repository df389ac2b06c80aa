"""Files: names and times of samples that are files of a folder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Text


@dataclass(frozen=True, eq=False)
class Files:
    """Samples that are files of a folder.

    Args:
        names: path of each file below the folder, (n,).
        times: when each file was modified, in ns, (n,) int64.
    """

    names: Text
    times: npt.NDArray[np.int64]

    @classmethod
    def concatenate(cls, pieces: "Sequence[Files | None]", counts: Sequence[int]) -> "Files | None":
        """Join pieces. None stands for `counts` samples that are not files."""
        if all(piece is None for piece in pieces):
            return None
        none = [Files(Text.of([""] * count), np.zeros(count, np.int64)) for count in counts]
        found = [piece or other for piece, other in zip(pieces, none, strict=True)]
        return cls(
            Text.concatenate([piece.names for piece in found]),
            np.concatenate([piece.times for piece in found]),
        )

    def take(self, rows: npt.NDArray[np.int64]) -> "Files":
        """Return the given samples, in that order."""
        return Files(self.names.take(rows), self.times[rows])

    def has_entries(self, num_samples: int) -> bool:
        """Return True if each of the samples has a name and a time of the right type."""
        return (
            isinstance(self.names, Text)
            and len(self.names) == num_samples
            and self.times.shape == (num_samples,)
            and self.times.dtype == np.int64
        )
