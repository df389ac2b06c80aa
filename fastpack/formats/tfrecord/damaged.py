"""Indexes a TFRecord with damaged records, which are marked as lost.

A record is lost if it differs from its checksum or is not an Example. The checksum covers all of a
record, so only the offset of a lost one is known.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import SPAN
from fastpack.core.limits import Limits
from fastpack.core.ragged import Ragged, offsets_of
from fastpack.formats.index.arrays import Column
from fastpack.formats.index.index import Index
from fastpack.formats.tfrecord.scan import Window, windows

Mask = npt.NDArray[np.bool_]


class UndamagedRecords:
    """The records of one file, whole and lost."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path, self._limits = path, limits
        self._statuses: list[npt.NDArray[np.uint8]] = []
        self._lost: list[npt.NDArray[Any]] = []

    def whole(self) -> Iterator[Window]:
        """Yield the whole records and note the others.

        Raises an error for a damaged frame, since no record can be found after it.
        """
        self._statuses, self._lost = [], []
        for window in windows(self._path, False, self._limits):
            statuses = window.statuses()
            self._statuses.append(statuses)
            self._lost.append(_spans_of(window.take(statuses != 0)))
            yield window.take(statuses == 0)

    def with_lost(self, index: Index) -> Index:
        """Return the index of all records, from that of the whole ones.

        Lost records have 0 as numbers, and empty texts and blobs.
        """
        statuses = np.concatenate(self._statuses)
        are_whole = statuses == 0
        spans = {name: _spread(found, are_whole) for name, found in index.spans.items()}
        for of_blob in spans.values():
            if isinstance(of_blob, np.ndarray):  # else their lists are empty
                of_blob[~are_whole] = np.concatenate(self._lost)
        return replace(
            index,
            shard_numbers=np.zeros(len(are_whole), np.uint32),
            record_numbers=np.arange(len(are_whole)),
            columns={name: _spread(column, are_whole) for name, column in index.columns.items()},
            spans=spans,
            infos={name: _spread(infos, are_whole) for name, infos in index.infos.items()},
            lost=statuses,
        )


def _spans_of(window: Window) -> npt.NDArray[Any]:
    """Return the empty blob at the beginning of each record, SPAN (n,)."""
    spans = np.zeros(len(window.offsets), SPAN)
    spans["offset"] = spans["record_offset"] = window.offsets + np.uint64(window.base)
    spans["record_length"], spans["crc32c"] = window.lengths, window.crcs
    return spans


def _spread(column: Column, are_whole: Mask) -> Any:
    """Insert 0 or an empty value for each lost record."""
    if isinstance(column, Ragged):
        return type(column)(column.values, offsets_of(_spread(column.lengths, are_whole)))
    spread = np.zeros(len(are_whole), column.dtype)
    spread[are_whole] = column
    return spread
