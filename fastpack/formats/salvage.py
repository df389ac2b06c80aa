"""Salvage: the whole samples of a damaged file, and its damages."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpack._native.salvage import CheckSpans
from fastpack.core.dtypes import NO_SPAN, Rows
from fastpack.core.threads import run_in_threads
from fastpack.errors import Location, from_os_error
from fastpack.formats.index.index import Index

Array: TypeAlias = npt.NDArray[Any]
# Called with an index and rows of it; gives the rows whose samples cannot be read.
FindUnreadable: TypeAlias = Callable[[Index, Rows], Iterable[int]]


@dataclass(frozen=True)
class Damage:
    """A damaged part of a file.

    Args:
        reason: What is wrong.
        record: Number of the record, or None if it is unknown.
        offset: First damaged byte of the file.
        length: Number of damaged bytes.
        key: Key of the record, or None if it is unknown.
        is_lost: False if the content is known all the same.
        path: The damaged file, if it is one that the surveyed file names.
    """

    reason: str
    record: int | None = None
    offset: int | None = None
    length: int | None = None
    key: str | None = None
    is_lost: bool = True
    path: Path | None = None

    def location(self, path: Path) -> Location:
        """Return the damage's location, for messages."""
        return Location(self.path or path, self.record, self.offset, self.key)


@dataclass(frozen=True, eq=False)
class Survey:
    """The samples of a damaged file.

    Args:
        num_samples: Samples of the file, whole or lost.
        whole: Index of the whole samples. None if neither the file nor its saved index has one.
        damages: All damages, in the order of the file.
    """

    num_samples: int
    whole: Index | None
    damages: tuple[Damage, ...]


def check_spans(paths: Sequence[Path], spans: Array) -> npt.NDArray[np.int32]:
    """Compare spans (n,) with their checksums; return the kernel's status of each, 0 if whole.

    - paths: the files that the spans' shard numbers count.
    """
    statuses = np.zeros(len(spans), np.int32)
    located = np.flatnonzero(spans["offset"] != NO_SPAN)
    spans = spans.copy()
    # A checksum that a read does not compare.
    unread = (spans["record_length"] == 0) & (spans["crc32c"] != 0)
    for name in ("offset", "length"):
        spans[f"record_{name}"][unread] = spans[name][unread]
    with contextlib.ExitStack() as files:
        descriptors = [files.enter_context(opened(path)).fileno() for path in paths]
        job = CheckSpans(spans[located], np.array(descriptors, np.int32))
        run_in_threads(job.run)
    statuses[located] = job.statuses
    return statuses


def opened(path: Path) -> Any:
    """Open a file to read it without a buffer. Raises MissingFileError or UnreadableFileError."""
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise from_os_error(error, "read", path) from error
