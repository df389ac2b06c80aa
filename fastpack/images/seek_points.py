"""Seek points: positions inside JPEGs where decoding may start, a table for each image."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.ragged import offsets_of


class SeekPoints:
    """The seek tables of n images. Immutable.

    `take` does not copy the words.

    Args:
        words: uint64 (total,), in the format of src_cython/kernels/seek_points.h.
        starts: int64 (n,), the first word of each image's table.
        ends: int64 (n,), the end of each table; an image without seek points has an empty one.
    """

    def __init__(self, words: npt.NDArray[np.uint64], starts: Rows, ends: Rows) -> None:
        self.words, self.starts, self.ends = words, starts, ends

    @classmethod
    def of_lengths(cls, words: npt.NDArray[np.uint64], lengths: npt.ArrayLike) -> "SeekPoints":
        """Make tables of consecutive words.

        >>> SeekPoints.of_lengths(np.arange(5, dtype=np.uint64), [2, 0, 3]).num_with_seek_points
        2
        """
        offsets = offsets_of(lengths)
        return cls(words, offsets[:-1], offsets[1:])

    @classmethod
    def none(cls, num_images: int) -> "SeekPoints":
        """Make empty tables."""
        return cls.of_lengths(np.zeros(0, np.uint64), np.zeros(num_images, np.int64))

    @classmethod
    def concatenate(cls, pieces: Sequence["SeekPoints"]) -> "SeekPoints":
        """Join the tables of several, in order."""
        firsts = offsets_of([len(piece.words) for piece in pieces])
        starts = [piece.starts + first for piece, first in zip(pieces, firsts, strict=False)]
        ends = [piece.ends + first for piece, first in zip(pieces, firsts, strict=False)]
        return cls(
            np.concatenate([piece.words for piece in pieces]),
            np.concatenate(starts),
            np.concatenate(ends),
        )

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def num_with_seek_points(self) -> int:
        """The number of images with a table that is not empty."""
        return int(np.count_nonzero(self.ends > self.starts))

    @property
    def num_bytes(self) -> int:
        """The size of all tables in bytes."""
        return int((self.ends - self.starts).sum()) * self.words.itemsize

    def take(self, rows: Rows) -> "SeekPoints":
        """Return the tables of the given images."""
        return SeekPoints(self.words, self.starts[rows], self.ends[rows])

    def table(self, row: int) -> npt.NDArray[np.uint64]:
        """Return the words of one image."""
        return self.words[self.starts[row] : self.ends[row]]

    def compacted(self) -> tuple[npt.NDArray[np.uint64], Rows]:
        """Return only the words of these images, and the offsets of their tables (n + 1,)."""
        lengths = self.ends - self.starts
        offsets = offsets_of(lengths)
        words = self.words[np.arange(offsets[-1]) + np.repeat(self.starts - offsets[:-1], lengths)]
        return words, offsets

    @classmethod
    def from_arrays(
        cls, name: str, arrays: Mapping[str, npt.NDArray[Any]], num_images: int
    ) -> "SeekPoints | None":
        """Return the tables that an earlier version saved; None if it saved none.

        Raises ValueError if the arrays are not tables of so many images.
        """
        if f"{name}/words" not in arrays:
            return None
        words, lengths = arrays[f"{name}/words"], arrays[f"{name}/lengths"]
        if words.dtype != np.uint64 or words.ndim != 1:
            raise ValueError("the words of its seek points have another dtype or shape")
        if lengths.dtype != np.uint32 or lengths.shape != (num_images,):
            raise ValueError("the lengths of its seek points have another dtype or shape")
        if int(lengths.sum(dtype=np.uint64)) != len(words):
            raise ValueError("its seek points have another total length")
        return cls.of_lengths(words, lengths)
