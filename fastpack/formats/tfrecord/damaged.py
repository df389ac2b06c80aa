"""Sifted: the records of a TFRecord, of which those are lost that differ from their checksums or are not Examples.

The checksum covers all of a record, so nothing is known of a lost one but where it is.
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
    """The records of one file."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path, self._limits = path, limits
        self._statuses: list[npt.NDArray[np.uint8]] = []
        self._lost: list[npt.NDArray[Any]] = []

    def whole(self) -> Iterator[Window]:
        """The whole ones; the others are noted. Raises for damaged frames, as behind these nobody knows where a record begins."""
        self._statuses, self._lost = [], []
        for window in windows(self._path, False, self._limits):
            statuses = window.statuses()
            self._statuses.append(statuses)
            self._lost.append(_spans_of(window.take(statuses != 0)))
            yield window.take(statuses == 0)

    def with_lost(self, index: Index) -> Index:
        """The index of all records, from that of the whole ones. Those that are lost have 0 for a number, and empty texts and blobs."""
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
    """The empty blob at the beginning of each record."""
    spans = np.zeros(len(window.offsets), SPAN)
    spans["offset"] = spans["record_offset"] = window.offsets + np.uint64(window.base)
    spans["record_length"], spans["crc32c"] = window.lengths, window.crcs
    return spans


def _spread(column: Column, are_whole: Mask) -> Any:
    """The values of the whole records in their places, and nothing in those of the others."""
    if isinstance(column, Ragged):
        return type(column)(column.values, offsets_of(_spread(column.lengths, are_whole)))
    spread = np.zeros(len(are_whole), column.dtype)
    spread[are_whole] = column
    return spread
