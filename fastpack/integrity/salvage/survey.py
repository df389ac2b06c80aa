"""Salvage: what of a damaged file is still whole, and what is not, record by record. A module for each format."""

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
from fastpack.errors import FormatError, Location, from_os_error, with_location
from fastpack.files.companions import exists, index_path
from fastpack.formats import registry, saved_index
from fastpack.formats.index.index import Index

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Damage:
    """A place of a file that is not what was written.

    - reason: what is wrong.
    - record, key: which record; None where that cannot be known.
    - offset, length: its bytes in the damaged file.
    - is_lost: False when what was there can be had all the same.
    - path: the file, where it is one that the damaged file names.
    """

    reason: str
    record: int | None = None
    offset: int | None = None
    length: int | None = None
    key: str | None = None
    is_lost: bool = True
    path: Path | None = None

    def location(self, path: Path) -> Location:
        """Where it is, for messages."""
        return Location(self.path or path, self.record, self.offset, self.key)


def trusted_index(path: Path, index_dir: Path | None = None) -> Index | None:
    """What the saved index tells of a file, also of one that is no longer what was indexed; None when there is none.

    Raises FormatError when the index is damaged itself.
    """
    where = index_path(path, index_dir)
    if not exists(where):
        return None
    index = saved_index.load_index(where, path)
    if len(index.shards) > 1:  # a virtual dataset's; what its shards held, their own indexes know
        return None
    if not np.array_equal(index.record_numbers, np.arange(len(index))):
        raise FormatError(
            with_location(
                "the index is not one of a whole file; delete it and it is built again",
                Location(where),
            )
        )
    return index


def of_this_file(path: Path, told: Index) -> Index:
    """What an index tells, of the file as it is now: one that has changed since would not be opened."""
    return replace(told, shards=(registry.named(told.shards[0].container).shard(path),))


def check_spans(paths: Sequence[Path], spans: Array) -> npt.NDArray[np.int32]:
    """0 for each span (n,) that is there and agrees with its checksum, else the kernel's status that says why not.

    paths: the files that the spans' shard numbers count.
    """
    statuses = np.zeros(len(spans), np.int32)
    placed = np.flatnonzero(spans["offset"] != NO_SPAN)
    spans = spans.copy()
    unread = (spans["record_length"] == 0) & (
        spans["crc32c"] != 0
    )  # a checksum that reading does not compare
    for name in ("offset", "length"):
        spans[f"record_{name}"][unread] = spans[name][unread]
    with contextlib.ExitStack() as files:
        descriptors = [files.enter_context(opened(path)).fileno() for path in paths]
        job = CheckSpans(spans[placed], np.array(descriptors, np.int32))
        run_in_threads(job.run)
    statuses[placed] = job.statuses
    return statuses


def opened(path: Path) -> Any:
    """The file, to be read as it is. Raises MissingFileError or UnreadableFileError."""
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise from_os_error(error, "read", path) from error
