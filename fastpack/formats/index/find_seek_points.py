"""Finds seek points for the JPEGs of an index: decodes the codes of each once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.decode import SeekPointBatch
from fastpack.core.dtypes import NO_SPAN
from fastpack.core.ragged import Ragged
from fastpack.core.threads import num_cores, run_in_threads
from fastpack.errors import Outcome, raise_first
from fastpack.files.shard import OpenShards
from fastpack.formats.index.index import Index
from fastpack.images.decode import SpanSource
from fastpack.images.headers import JPEG
from fastpack.images.seek_points import SeekPoints

Mask = npt.NDArray[np.bool_]
# Image name -> tables found before, (n,), and which images were searched, (n,) bool.
Known = Mapping[str, tuple[SeekPoints, Mask]]


def add_seek_points(
    index: Index,
    known: Known | None = None,
    *,
    keep_damaged: bool = False,
    num_workers: int | None = None,
) -> Index:
    """Return the index with seek points for its JPEGs; itself if no field lacks them.

    Each image is read and compared with its checksum. These images get no table: progressive,
    very small or damaged ones, and those with restart markers or in several pieces.

    Args:
        index: the samples (n,).
        known: what was found before; see Known.
        keep_damaged: unreadable images get no table; without, they raise what reading raises.
        num_workers: number of threads; None for one a core.
    """
    missing = lacks_tables(index)
    if not missing:
        return index
    search = _Search(index, OpenShards(), keep_damaged, num_workers or num_cores())
    nothing = SeekPoints.none(len(index)), np.zeros(len(index), np.bool_)
    found = {name: search.completed(name, *(known or {}).get(name, nothing)) for name in missing}
    return replace(index, seek_points={**index.seek_points, **found})


def lacks_tables(index: Index) -> list[str]:
    """Return the names of images that were not searched for seek points."""
    return [
        name
        for name, infos in index.infos.items()
        if name not in index.seek_points and not isinstance(infos, Ragged)
    ]


@dataclass(frozen=True)
class _Search:
    """A search through the images of an index."""

    index: Index
    files: OpenShards
    keep_damaged: bool
    num_workers: int

    def completed(self, name: str, earlier: SeekPoints, is_known: Mask) -> SeekPoints:
        """Return the tables of all images of a field: earlier ones, and those found now."""
        index, spans = self.index, self.index.spans[name]
        rows = np.flatnonzero(can_have_seek_points(spans, index.infos[name]) & ~is_known)
        origin = SpanSource(fds=self.files.descriptors(index.shards, spans["shard"][rows]))
        found, outcomes = _found(spans[rows], origin, self.keep_damaged, self.num_workers)
        if not self.keep_damaged:
            raise_first(
                outcomes,
                lambda row: index.location(int(rows[row]), offset=int(spans["offset"][rows[row]])),
            )
        source = np.arange(len(index))
        source[rows] = len(index) + np.arange(len(rows))
        return SeekPoints.concatenate([earlier, found]).take(source)


def can_have_seek_points(spans: npt.NDArray[Any], infos: npt.NDArray[Any]) -> Mask:
    """Return which images may have a table: baseline JPEGs in one piece."""
    return np.asarray(
        (infos["format"] == JPEG) & (infos["progressive"] == 0) & (spans["offset"] != NO_SPAN)
    )


def tables_of(
    spans: npt.NDArray[Any], origin: SpanSource, num_workers: int
) -> tuple[SeekPoints, Mask]:
    """Return the tables of JPEGs (n,), and which of them could be read, (n,) bool."""
    found, outcomes = _found(spans, origin, True, num_workers)
    is_read = np.ones(len(spans), np.bool_)
    is_read[[outcome[2] for outcome in outcomes if outcome]] = False
    return found, is_read


def _found(
    spans: npt.NDArray[Any], origin: SpanSource, keep_going: bool, num_workers: int
) -> tuple[SeekPoints, list[Outcome]]:
    job = SeekPointBatch(spans, fds=origin.fds, memories=origin.memories, keep_going=keep_going)
    run_in_threads(job.run, max(1, min(num_workers, len(spans))))
    lengths = np.zeros(len(spans), np.int64)
    job.lengths(lengths)
    words = np.zeros(int(lengths.sum()), np.uint64)
    job.words(words)
    return SeekPoints.of_lengths(words, lengths), job.failures()
