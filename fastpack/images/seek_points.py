"""Seek points: places inside the data of JPEGs where decoding may begin, a table for each image that has one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.ragged import offsets_of


class SeekPoints:
    """The tables of some images. Immutable.

    - words (total,) uint64: as src_cython/kernels/seek_points.h has them.
    - starts, ends (n,) int64: where in them each image's table begins and ends; an image without one has an empty one.

    Taking some images leaves the words where they are.
    """

    def __init__(self, words: npt.NDArray[np.uint64], starts: Rows, ends: Rows) -> None:
        self.words, self.starts, self.ends = words, starts, ends

    @classmethod
    def of_lengths(cls, words: npt.NDArray[np.uint64], lengths: npt.ArrayLike) -> "SeekPoints":
        """Tables that lie one behind the other.

        >>> SeekPoints.of_lengths(np.arange(5, dtype=np.uint64), [2, 0, 3]).num_with_seek_points
        2
        """
        offsets = offsets_of(lengths)
        return cls(words, offsets[:-1], offsets[1:])

    @classmethod
    def none(cls, num_images: int) -> "SeekPoints":
        return cls.of_lengths(np.zeros(0, np.uint64), np.zeros(num_images, np.int64))

    @classmethod
    def concatenate(cls, pieces: Sequence["SeekPoints"]) -> "SeekPoints":
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
        """How many of the images have a table."""
        return int(np.count_nonzero(self.ends > self.starts))

    @property
    def num_bytes(self) -> int:
        return int((self.ends - self.starts).sum()) * self.words.itemsize

    def take(self, rows: Rows) -> "SeekPoints":
        return SeekPoints(self.words, self.starts[rows], self.ends[rows])

    def table(self, row: int) -> npt.NDArray[np.uint64]:
        return self.words[self.starts[row] : self.ends[row]]

    def to_arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """For saving: only the words of these images."""
        lengths = self.ends - self.starts
        offsets = offsets_of(lengths)
        words = self.words[np.arange(offsets[-1]) + np.repeat(self.starts - offsets[:-1], lengths)]
        return {f"{name}/words": words, f"{name}/lengths": lengths.astype(np.uint32)}

    @classmethod
    def from_arrays(
        cls, name: str, arrays: Mapping[str, npt.NDArray[Any]], num_images: int
    ) -> "SeekPoints | None":
        """What was saved, if anything was. Raises ValueError when it is no tables of so many images."""
        if f"{name}/words" not in arrays:
            return None
        words, lengths = arrays[f"{name}/words"], arrays[f"{name}/lengths"]
        if (
            words.dtype != np.uint64
            or words.ndim != 1
            or lengths.shape != (num_images,)
            or lengths.dtype != np.uint32
        ):
            raise ValueError("its seek points have another type or length")
        if int(lengths.sum(dtype=np.uint64)) != len(words):
            raise ValueError("its seek points are not as many as it says")
        return cls.of_lengths(words, lengths)
