"""Datasets that are stored in other files: virtual datasets and external storage.

The other files must be in the file's own folder, unless the user allows others: else a hostile file
could make us read any file.
"""

import errno
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import NO_SPAN, Rows
from fastpack.errors import FormatError, Location, MissingFileError, with_location
from fastpack.files.shard import Shard
from fastpack.formats.hdf5.locate import (
    Pixels,
    filled_table,
    locate_pixels,
    no_spans,
    sample_bytes_of,
)
from fastpack.formats.hdf5.members import safe_dataset
from fastpack.formats.hdf5.opening import opened_file
from fastpack.formats.index.chunks import ChunkTable


@dataclass(frozen=True, eq=False)
class Traced:
    """The files and records of a dataset's samples; the first shard is the file itself."""

    shards: tuple[Shard, ...]
    shard_numbers: npt.NDArray[np.uint32]
    record_numbers: Rows
    spans: npt.NDArray[Any]
    tables: dict[int, ChunkTable]


def trace_pixels(dataset: h5py.Dataset, shard: Shard, *, allow_external: bool) -> Traced:
    """Return where the samples of a dataset are.

    Raises FormatError for files in other folders and for unsupported selections, and
    MissingFileError for missing files.
    """
    tracer = _Tracer(dataset, shard, allow_external)
    if dataset.is_virtual:
        tracer.trace_sources()
    else:
        tracer.trace_storage()
    return tracer.traced()


class _Tracer:
    def __init__(self, dataset: h5py.Dataset, shard: Shard, allow_external: bool) -> None:
        self._dataset, self._allow_external = dataset, allow_external
        self._shards = [shard]
        self._shard_numbers = np.zeros(len(dataset), np.uint32)
        self._record_numbers = np.arange(len(dataset))
        self._spans = no_spans(len(dataset), sample_bytes_of(dataset))
        self._tables: dict[int, ChunkTable] = {}

    def traced(self) -> Traced:
        if (self._shard_numbers == 0).any():  # samples without a source have the fill value
            self._tables[0] = filled_table(self._dataset)
        return Traced(
            tuple(self._shards),
            self._shard_numbers,
            self._record_numbers,
            self._spans,
            self._tables,
        )

    def trace_sources(self) -> None:
        for source in self._dataset.virtual_sources():
            rows = self._whole_samples(source.vspace, self._dataset.shape)
            number = self._shard_number(source.file_name)
            path = self._shards[number].path
            with opened_file(path) as file:
                inner = safe_dataset(file, source.dset_name.strip("/"))
                if inner is None or not self._is_alike(inner):
                    raise self._error(
                        f"{source.dset_name} of {path.name} is missing, or of another kind"
                    )
                records = self._whole_samples(source.src_space, inner.shape)
                located = locate_pixels(inner, self._shards[number].size, Location(path))
            self._take(rows, records, located, number, path)

    def _is_alike(self, inner: h5py.Dataset) -> bool:
        """Whether samples of a source have the same shape and dtype."""
        samples = self._dataset.shape[1:], self._dataset.dtype
        return (inner.shape[1:], inner.dtype) == samples

    def _take(self, rows: range, records: range, located: Pixels, number: int, path: Path) -> None:
        if located.reason or len(rows) != len(records):
            reason = located.reason or "its selections differ in length"
            raise self._error(
                f"{path.name} cannot be read sample by sample: {reason}; open it by itself"
            )
        if number in self._tables or number == 0:
            raise self._error(f"{path.name} is a source more than once")
        target, origin = slice(rows.start, rows.stop), slice(records.start, records.stop)
        self._spans[target] = located.spans[origin]
        self._spans["shard"][target] = number
        self._shard_numbers[target] = number
        self._record_numbers[target] = np.arange(records.start, records.stop)
        if located.table is not None:
            self._tables[number] = located.table

    def trace_storage(self) -> None:
        """Trace external storage: the parts, joined, are the dataset; none may cut a sample."""
        sample_bytes = sample_bytes_of(self._dataset)
        first = 0
        for name, offset, size in self._dataset.external:
            number = self._shard_number(name)
            # The last part may have an unlimited size.
            num_bytes = min(size, len(self._dataset) * sample_bytes - first)
            rows = np.arange(-(-first // sample_bytes), (first + num_bytes) // sample_bytes)
            self._spans["offset"][rows] = offset + rows * sample_bytes - first
            self._spans["shard"][rows] = self._shard_numbers[rows] = number
            first += num_bytes
        if (self._spans["offset"] == NO_SPAN).any():
            raise self._error("its external files are too short, or cut a sample in two")

    def _whole_samples(self, space: Any, shape: tuple[int, ...]) -> range:
        """The samples of a selection, which must be whole and consecutive."""
        if space.get_select_type() == h5py.h5s.SEL_ALL:
            return range(shape[0])
        num_items = space.get_select_npoints()
        if num_items == 0:
            first, last = (0,) * len(shape), (-1,) * len(shape)
        else:
            first, last = space.get_select_bounds()
        counts = [high - low + 1 for low, high in zip(first, last, strict=True)]
        if tuple(counts[1:]) != tuple(shape[1:]) or math.prod(counts) != num_items:
            raise self._error("it selects parts of samples, or samples with gaps, of its sources")
        return range(first[0], last[0] + 1)

    def _shard_number(self, name: str) -> int:
        path = self._find(name)
        for number, shard in enumerate(self._shards):
            if shard.path == path:
                return number
        self._shards.append(Shard.of(path, self._shards[0].container))
        return len(self._shards) - 1

    def _find(self, name: str) -> Path:
        folder = self._shards[0].path.parent
        path = folder / name
        own = Location(self._shards[0].path)
        if not self._allow_external and path.resolve().parent != folder.resolve():
            message = (
                f"{self._dataset.name} is stored in {name}, outside the file's own folder; "
                "pass allow_external=True to read it"
            )
            raise FormatError(with_location(message, own))
        if not path.is_file():
            message = (
                f"{self._dataset.name} is stored in {name}, which does not exist; restore that file"
            )
            raise MissingFileError(errno.ENOENT, with_location(message, own))
        return path

    def _error(self, message: str) -> FormatError:
        text = f"{self._dataset.name} is stored in other files, and {message}"
        return FormatError(with_location(text, Location(self._shards[0].path)))
