"""SeekPointCache: seek points that are found when images are first decoded."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.formats.index.find_seek_points import can_have_seek_points, tables_of
from fastpack.images.decode import EncodedImages
from fastpack.images.seek_points import SeekPoints

Words = npt.NDArray[np.uint64]

# An entry packs number of a piece (24 bits), start of the table in it (24) and its length (15), in
# words. 0: the image was not searched yet.
_PIECE_SHIFT, _START_SHIFT = 39, 15
_MAX_WORDS = 2**_START_SHIFT - 1
_MAX_PIECE_WORDS = 2 ** (_PIECE_SHIFT - _START_SHIFT)
_BLOCK_SAMPLES = 2**16


class SeekPointCache:
    """The tables of the samples that were decoded so far.

    A reader and its parts share one. Thread-safe without locks, which a fork could leave locked.
    Words are in pieces that never change, and an entry is one number, written at once. A pickled
    cache is empty: each process fills its own.

    Args:
        names: of the image fields that get tables.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._entries = {name: _Entries() for name in names}
        self._pieces: dict[int, Words] = {}
        self._piece_numbers = itertools.count(1)

    def __reduce__(self) -> Any:
        return SeekPointCache, (tuple(self._entries),)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def completed(
        self, name: str, samples: Rows, encoded: EncodedImages, num_workers: int
    ) -> EncodedImages:
        """Return the images of these samples with their tables.

        `num_workers` threads search the images that are new. Damage is left to the decoder.
        """
        entries = self._entries.get(name)
        if entries is None or len(samples) == 0:
            return encoded
        is_new = entries.at(samples) == 0
        new = np.flatnonzero(is_new & can_have_seek_points(encoded.spans, encoded.infos))
        if len(new):
            tables, is_read = tables_of(encoded.spans[new], encoded.origin, num_workers)
            if is_read.any():
                self._keep(entries, samples[new[is_read]], tables.take(np.flatnonzero(is_read)))
        return replace(encoded, seek_points=self.tables(name, samples))

    def _keep(self, entries: "_Entries", samples: Rows, tables: SeekPoints) -> None:
        lengths = tables.ends - tables.starts
        lengths[(lengths > _MAX_WORDS) | (tables.ends > _MAX_PIECE_WORDS)] = 0
        piece = next(self._piece_numbers)
        self._pieces[piece] = tables.words
        starts = np.where(lengths > 0, tables.starts, 0)
        entries.put(samples, piece << _PIECE_SHIFT | starts << _START_SHIFT | lengths)

    def tables(self, name: str, samples: Rows) -> SeekPoints:
        """Return the tables of these samples; empty ones where none is known."""
        entries = self._entries[name].at(samples)
        lengths = entries & _MAX_WORDS
        known = entries[lengths > 0]
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
        """Return which of these samples were searched. Some of them have no table."""
        return np.asarray(self._entries[name].at(samples) != 0)


class _Entries:
    """A number for each sample, 0 at first. Only blocks with other numbers take memory."""

    def __init__(self) -> None:
        self._blocks: dict[int, Rows] = {}

    def at(self, samples: Rows) -> Rows:
        found = np.zeros(len(samples), np.int64)
        for block, chosen in _by_block(samples):
            if block in self._blocks:
                found[chosen] = self._blocks[block][samples[chosen] % _BLOCK_SAMPLES]
        return found

    def put(self, samples: Rows, values: Rows) -> None:
        for block, chosen in _by_block(samples):
            numbers = self._blocks.setdefault(block, np.zeros(_BLOCK_SAMPLES, np.int64))
            numbers[samples[chosen] % _BLOCK_SAMPLES] = values[chosen]


def _by_block(samples: Rows) -> Iterator[tuple[int, Rows]]:
    """Yield each block of sample numbers, and which of the samples are in it."""
    blocks = samples // _BLOCK_SAMPLES
    order = np.argsort(blocks, kind="stable")
    ends = np.flatnonzero(np.diff(blocks[order], append=-1)) + 1
    for first, end in pairwise([0, *ends.tolist()]):
        yield int(blocks[order[first]]), order[first:end]
