"""Salvage: finds the whole records and the damages of a file. A module for each format."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.salvage import CheckSpans
from fastpack.core.dtypes import NO_SPAN
from fastpack.core.threads import run_in_threads
from fastpack.errors import FormatError, Location, os_errors_at, with_location
from fastpack.files.companions import exists, index_path
from fastpack.formats import registry, saved_index
from fastpack.formats.index.index import Index

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Damage:
    """A damage of a file.

    Args:
        reason: what is wrong.
        record: number of the record; None if unknown.
        offset: first byte in the damaged file; None if unknown.
        length: number of bytes.
        key: key of the sample; None if unknown.
        is_lost: False if the data can still be recovered.
        path: another file that the damaged file refers to.
    """

    reason: str
    record: int | None = None
    offset: int | None = None
    length: int | None = None
    key: str | None = None
    is_lost: bool = True
    path: Path | None = None

    def location(self, path: Path) -> Location:
        """Return the damage's place for messages."""
        return Location(self.path or path, self.record, self.offset, self.key)


def trusted_index(path: Path, index_dir: Path | None = None) -> Index | None:
    """Load the saved index of a file, even if the file has changed; None if there is no index.

    Raises FormatError if the index itself is damaged.
    """
    where = index_path(path, index_dir)
    if not exists(where):
        return None
    index = saved_index.load_index(where, path)
    if len(index.shards) > 1:  # of a virtual dataset; its shards have their own indexes
        return None
    if not np.array_equal(index.record_numbers, np.arange(len(index))):
        message = "the index is not that of a whole file; delete it, and `open` rebuilds it"
        raise FormatError(with_location(message, Location(where)))
    return index


def of_this_file(path: Path, saved: Index) -> Index:
    """Give an index the identity of the file as it is now, so that a changed file can be read."""
    return replace(saved, shards=(registry.named(saved.shards[0].container).shard(path),))


def check_spans(paths: Sequence[Path], spans: Array) -> npt.NDArray[np.int32]:
    """Compare spans (n,) with their checksums; returns the kernel's status of each, 0 if whole.

    `paths` are the files, by the spans' shard numbers.
    """
    statuses = np.zeros(len(spans), np.int32)
    placed = np.flatnonzero(spans["offset"] != NO_SPAN)
    spans = spans.copy()
    # Spans with a checksum that a read does not compare.
    unread = (spans["record_length"] == 0) & (spans["crc32c"] != 0)
    for name in ("offset", "length"):
        spans[f"record_{name}"][unread] = spans[name][unread]
    with contextlib.ExitStack() as files:
        descriptors = [files.enter_context(opened(path)).fileno() for path in paths]
        job = CheckSpans(spans[placed], np.array(descriptors, np.int32))
        run_in_threads(job.run)
    statuses[placed] = job.statuses
    return statuses


def opened(path: Path) -> Any:
    """Open a file without a buffer; raises MissingFileError or UnreadableFileError."""
    with os_errors_at(path, "read"):
        return open(path, "rb", buffering=0)
