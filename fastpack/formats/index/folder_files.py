"""Files: what an index knows of samples that are files of a folder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Text


@dataclass(frozen=True, eq=False)
class Files:
    """Of samples that are files of a folder: their names below it, and when each was modified, ns, (n,) int64."""

    names: Text
    times: npt.NDArray[np.int64]

    @classmethod
    def concatenate(cls, pieces: "Sequence[Files | None]", counts: Sequence[int]) -> "Files | None":
        """One after the other; a piece that is None stands for as many samples that are no files."""
        if all(piece is None for piece in pieces):
            return None
        none = [Files(Text.of([""] * count), np.zeros(count, np.int64)) for count in counts]
        found = [piece or other for piece, other in zip(pieces, none, strict=True)]
        return cls(
            Text.concatenate([piece.names for piece in found]),
            np.concatenate([piece.times for piece in found]),
        )

    def take(self, rows: npt.NDArray[np.int64]) -> "Files":
        return Files(self.names.take(rows), self.times[rows])
