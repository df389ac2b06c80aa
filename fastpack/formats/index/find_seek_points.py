"""Marking: seek points for the JPEGs of an index, made by decoding the codes of each once."""

from collections.abc import Mapping
from dataclasses import replace
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
from fastpack.images.headers import JPEG
from fastpack.images.seek_points import SeekPoints

Mask = npt.NDArray[np.bool_]


def add_seek_points(
    index: Index,
    known: Mapping[str, tuple[SeekPoints, Mask]] | None = None,
    *,
    keep_damaged: bool = False,
    num_workers: int | None = None,
) -> Index:
    """The index with seek points for its JPEGs, but for those of fields that have some; itself, when nothing was missing.

    - known: image name -> tables (n,) that were made before, and which of the images were looked at for them (n,).
    - keep_damaged: images that cannot be read have no table; else they raise what reading them raises.

    Each image is read and compared with its checksum. Those that no table can be made of (progressive, damaged in a way that no
    checksum tells, with restart markers, very small, not stored in one piece) have none, and are read as before.
    """
    missing = [
        name
        for name, infos in index.infos.items()
        if name not in index.seek_points and not isinstance(infos, Ragged)
    ]
    if not missing:
        return index
    files, nothing = (
        OpenShards(index.shards),
        (SeekPoints.none(len(index)), np.zeros(len(index), np.bool_)),
    )
    made = {
        name: _images_with_seek_points(
            index,
            name,
            files,
            (known or {}).get(name, nothing),
            keep_damaged,
            num_workers or num_cores(),
        )
        for name in missing
    }
    return replace(index, seek_points={**index.seek_points, **made})


def _images_with_seek_points(
    index: Index,
    name: str,
    files: OpenShards,
    known: tuple[SeekPoints, Mask],
    keep_damaged: bool,
    num_workers: int,
) -> SeekPoints:
    earlier, is_known = known
    spans = index.spans[name]
    rows = np.flatnonzero(can_have_seek_points(spans, index.infos[name]) & ~is_known)
    made, outcomes = _made(
        spans[rows], files.descriptors(spans["shard"][rows]), keep_damaged, num_workers
    )
    if not keep_damaged:
        raise_first(
            outcomes,
            lambda row: index.location(int(rows[row]), offset=int(spans["offset"][rows[row]])),
        )
    source = np.arange(len(index))
    source[rows] = len(index) + np.arange(len(rows))
    return SeekPoints.concatenate([earlier, made]).take(source)


def can_have_seek_points(spans: npt.NDArray[Any], infos: npt.NDArray[Any]) -> Mask:
    """Which images may have a table: JPEGs, not progressive, that lie in a file in one piece."""
    return np.asarray(
        (infos["format"] == JPEG) & (infos["progressive"] == 0) & (spans["offset"] != NO_SPAN)
    )


def tables_of(
    spans: npt.NDArray[Any], fds: npt.NDArray[np.int32], num_workers: int
) -> tuple[SeekPoints, Mask]:
    """The tables of JPEGs (n,), and which of them could be read; others have none."""
    made, outcomes = _made(spans, fds, True, num_workers)
    is_read = np.ones(len(spans), np.bool_)
    is_read[[outcome[2] for outcome in outcomes if outcome]] = False
    return made, is_read


def _made(
    spans: npt.NDArray[Any], fds: npt.NDArray[np.int32], keep_going: bool, num_workers: int
) -> tuple[SeekPoints, list[Outcome]]:
    job = SeekPointBatch(spans, fds=fds, keep_going=keep_going)
    run_in_threads(job.run, max(1, min(num_workers, len(spans))))
    lengths = np.zeros(len(spans), np.int64)
    job.lengths(lengths)
    words = np.zeros(int(lengths.sum()), np.uint64)
    job.words(words)
    return SeekPoints.of_lengths(words, lengths), job.failures()
