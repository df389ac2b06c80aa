"""Containers: standard file formats, a module for each. A container writes records and indexes them.

There is one reader, and it is not here: see reader.py.
"""

import contextlib
import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from fastpack.batch import Batch
from fastpack.errors import EmptySourceError, FastpackError, FormatError, MissingFileError, OptionError, Place, at, from_os_error
from fastpack.index import Index, index_path, is_index
from fastpack.limits import DEFAULT_LIMITS, Limits
from fastpack.schema import Schema
from fastpack.shard import Shard

Layout = Literal["auto", "encoded", "pixels"]
# A file, a glob, a folder of shards, or a list of these.
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class ShardPlan:
    """What a writer is promised of the shard that it shall write."""

    schema: Schema
    num_samples: int
    num_bytes: int  # of all encoded images together
    layout: Layout = "auto"


class Writer(Protocol):
    """Takes the samples of one shard, batch after batch."""

    def write(self, batch: Batch) -> None: ...

    def close(self) -> None:
        """Completes the file. A writer that is not closed leaves nothing of use."""
        ...

    def abandon(self) -> None:
        """Lets go of the file after a failure."""
        ...


class Container(Protocol):
    """A standard file format."""

    name: str
    suffixes: tuple[str, ...]

    def recognises(self, head: bytes) -> bool:
        """True when the first 4 KiB of a file look like this format."""
        ...

    def writer(self, path: Path, plan: ShardPlan, num_workers: int | None = None) -> Writer: ...

    def index(self, path: Path, *, check: bool = True, limits: Limits = DEFAULT_LIMITS) -> Index:
        """The table of a file's samples. With `check`, each record is compared with its checksum."""
        ...

    def fetch(self, path: Path, stored_as: str, record_numbers: Sequence[int]) -> list[Any]:
        """Blobs that have no span, through the format's own library."""
        ...


NAMES = ("tfrecord", "hdf5")


def named(name: str) -> Container:
    """The container of that name. Imported late: h5py takes a tenth of a second."""
    if name == "tfrecord":
        from fastpack.containers.tfrecord import TFRECORD

        return TFRECORD
    if name == "hdf5":
        from fastpack.containers.hdf5 import HDF5

        return HDF5
    raise OptionError(f"there is no format {name!r}; choose one of {', '.join(NAMES)}")


def of_suffix(path: Path) -> Container | None:
    """The container that files of this name are written in."""
    return next((named(name) for name in NAMES if path.suffix.lower() in named(name).suffixes), None)


def of_file(path: Path) -> Container:
    """The container of an existing file, by its first bytes. Raises FormatError when it is none."""
    if path.exists() and not path.is_file():
        raise FormatError(f"this is a folder, a pipe or a device, not a file; name a TFRecord or HDF5 file - at {path}")
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise from_os_error(error, "read", path) from error
    for name in NAMES:
        if named(name).recognises(head):
            return named(name)
    if head[:2] == b"\x1f\x8b":
        raise FormatError(f"a gzip'ed file has no random access; decompress it first (gunzip) - at {path}")
    if (guess := of_suffix(path)) and head:
        return guess  # damaged: its indexer knows how to say so
    raise FormatError(f"this is no TFRecord or HDF5 file; `fastpack pack` makes one of a folder or a table of images - at {path}")


def index_of(path: Path, *, save: bool = True, limits: Limits = DEFAULT_LIMITS) -> Index:
    """The index of one file: the saved one when it is fresh, else built and, with `save`, saved beside it."""
    if (saved := saved_index(path)) is not None:
        return saved
    index = of_file(path).index(path, limits=limits)
    if save:
        with contextlib.suppress(FastpackError):  # a read-only folder: an index is derived, so nothing is lost
            index.save(index_path(path))
    return index


def saved_index(path: Path) -> Index | None:
    """The saved index of a file, or None when there is none, or it is stale or damaged."""
    where = index_path(path)
    if not where.exists():
        return None
    try:
        index = Index.load(where)
    except FastpackError:
        return None
    is_fresh = index.shards == (Shard.of(path, of_file(path).name),)
    is_whole = np.array_equal(index.record_numbers, np.arange(len(index)))
    return index if is_fresh and is_whole else None


def find_shards(path: Paths) -> list[Path]:
    """The files that a path, a glob, a folder or a list of these means, in sorted order for each."""
    if not isinstance(path, (str, os.PathLike)):
        shards = [shard for part in path for shard in find_shards(part)]
        if not shards:
            raise EmptySourceError("the list of files is empty")
        return shards
    exact = Path(path)
    if exact.is_dir():
        found = sorted(member for member in exact.iterdir() if of_suffix(member) and not member.name.startswith("."))
        if not found:
            raise EmptySourceError(at("no TFRecord or HDF5 files here; pack the images first with `fastpack pack`", Place(exact)))
        return found
    if exact.exists():
        return [exact]
    found = sorted(Path(match) for match in glob.glob(str(path)) if not is_index(Path(match)))
    if not found:
        raise MissingFileError(2, at("no such file, and no file matches; check the path", Place(exact)))
    return found
