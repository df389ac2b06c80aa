"""Learned: seek points that are made as images are first decoded."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.formats.index.find_seek_points import can_have_seek_points, tables_of
from fastpack.images.decode import EncodedImages
from fastpack.images.seek_points import SeekPoints

Words = npt.NDArray[np.uint64]

# A sample's place: 0 before it was looked at, else a piece (24 bits), where in it the table begins (24), how long it is (15).
_PIECE_SHIFT, _START_SHIFT = 39, 15
_MAX_WORDS = 2**_START_SHIFT - 1
_MAX_PIECE_WORDS = 2 ** (_PIECE_SHIFT - _START_SHIFT)


class SeekPointCache:
    """The tables of the samples that were decoded so far. A reader and its parts share one. Thread-safe without locks, which a fork
    could leave held: words lie in pieces that never change, and a place is one number, written in one go.

    - names: of the image fields whose samples shall have tables; num_samples: how many samples there are.

    A pickled one begins anew: each process learns for itself.
    """

    def __init__(self, names: Sequence[str], num_samples: int) -> None:
        self._places = {name: np.zeros(num_samples, np.int64) for name in names}
        self._num_samples = num_samples
        self._pieces: dict[int, Words] = {}
        self._piece_numbers = itertools.count(1)

    def __reduce__(self) -> Any:
        return SeekPointCache, (tuple(self._places), self._num_samples)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._places)

    def completed(
        self, name: str, samples: Rows, encoded: EncodedImages, num_workers: int
    ) -> EncodedImages:
        """The images of these samples with their tables. Those that were not looked at before are, by `num_workers` threads;
        what is wrong with one, decoding tells."""
        fds, places = encoded.origin.fds, self._places.get(name)
        if places is None or fds is None or len(samples) == 0:
            return encoded
        new = np.flatnonzero(
            (places[samples] == 0) & can_have_seek_points(encoded.spans, encoded.infos)
        )
        if len(new):
            tables, is_read = tables_of(encoded.spans[new], fds, num_workers)
            if is_read.any():
                self._keep(places, samples[new[is_read]], tables.take(np.flatnonzero(is_read)))
        return replace(encoded, seek_points=self.tables(name, samples))

    def _keep(self, places: Rows, samples: Rows, tables: SeekPoints) -> None:
        lengths = tables.ends - tables.starts
        lengths[(lengths > _MAX_WORDS) | (tables.ends > _MAX_PIECE_WORDS)] = 0
        piece = next(self._piece_numbers)
        self._pieces[piece] = tables.words
        places[samples] = (
            piece << _PIECE_SHIFT
            | np.where(lengths > 0, tables.starts, 0) << _START_SHIFT
            | lengths
        )

    def tables(self, name: str, samples: Rows) -> SeekPoints:
        """What is known of these samples."""
        places = self._places[name][samples]
        lengths = places & _MAX_WORDS
        known = places[lengths > 0]
        starts = known >> _START_SHIFT & _MAX_PIECE_WORDS - 1
        bounds = zip(
            (known >> _PIECE_SHIFT).tolist(),
            starts.tolist(),
            (starts + lengths[lengths > 0]).tolist(),
            strict=True,
        )
        words = [self._pieces[piece][start:end] for piece, start, end in bounds]
        return SeekPoints.of_lengths(
            np.concatenate(words) if words else np.zeros(0, np.uint64), lengths
        )

    def is_known(self, name: str, samples: Rows) -> npt.NDArray[np.bool_]:
        """Which of these samples were looked at: of some that were no table can be made."""
        return np.asarray(self._places[name][samples] != 0)
