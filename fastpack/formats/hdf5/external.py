"""Datasets whose numbers lie in other files: virtual datasets and external storage, traced to the files that hold them.

A file that names others could have us read any file there is; so these must lie in its own folder, unless the user says
otherwise.
"""

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
from fastpack.formats.index.chunks import ChunkTable


@dataclass(frozen=True, eq=False)
class Traced:
    """Where the samples of a dataset are: in which of `shards`, the first being the file that was asked, as which record."""

    shards: tuple[Shard, ...]
    shard_numbers: npt.NDArray[np.uint32]
    record_numbers: Rows
    spans: npt.NDArray[Any]
    tables: dict[int, ChunkTable]


def trace_pixels(dataset: h5py.Dataset, shard: Shard, *, allow_external: bool) -> Traced:
    """Raises FormatError for files elsewhere and for what cannot be traced, MissingFileError for files that are not there."""
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
        if (self._shard_numbers == 0).any():  # what no source covers has the fill value
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
            with h5py.File(path, "r", locking=False) as file:
                inner = safe_dataset(file, source.dset_name.strip("/"))
                if (
                    inner is None
                    or inner.shape[1:] != self._dataset.shape[1:]
                    or inner.dtype != self._dataset.dtype
                ):
                    raise self._error(
                        f"{source.dset_name} of {path.name} is not there, or of another kind"
                    )
                records = self._whole_samples(source.src_space, inner.shape)
                located = locate_pixels(inner, self._shards[number].size, Location(path))
            self._take(rows, records, located, number, path)

    def _take(self, rows: range, records: range, located: Pixels, number: int, path: Path) -> None:
        if located.reason or len(rows) != len(records):
            reason = located.reason or "its selections do not fit"
            raise self._error(
                f"{path.name} cannot be read sample by sample: {reason}; open it by itself"
            )
        if number in self._tables or number == 0:
            raise self._error(f"{path.name} is a source more than once")
        location, origin = slice(rows.start, rows.stop), slice(records.start, records.stop)
        self._spans[location] = located.spans[origin]
        self._spans["shard"][location] = number
        self._shard_numbers[location] = number
        self._record_numbers[location] = np.arange(records.start, records.stop)
        if located.table is not None:
            self._tables[number] = located.table

    def trace_storage(self) -> None:
        """The parts of some files, one after the other, are the dataset; a sample must lie in one of them."""
        sample_bytes = sample_bytes_of(self._dataset)
        first = 0
        for name, offset, size in self._dataset.external:
            number = self._shard_number(name)
            num_bytes = min(
                size, len(self._dataset) * sample_bytes - first
            )  # the last may go on for ever
            rows = np.arange(-(-first // sample_bytes), (first + num_bytes) // sample_bytes)
            self._spans["offset"][rows] = offset + rows * sample_bytes - first
            self._spans["shard"][rows] = self._shard_numbers[rows] = number
            first += num_bytes
        if (self._spans["offset"] == NO_SPAN).any():
            raise self._error("its external files are too short, or cut a sample in two")

    def _whole_samples(self, space: Any, shape: tuple[int, ...]) -> range:
        """The samples that a selection takes, when it takes whole ones that follow one another."""
        if space.get_select_type() == h5py.h5s.SEL_ALL:
            return range(shape[0])
        first, last = (
            space.get_select_bounds()
            if space.get_select_npoints()
            else ((0,) * len(shape), (-1,) * len(shape))
        )
        counts = [high - low + 1 for low, high in zip(first, last, strict=True)]
        if (
            tuple(counts[1:]) != tuple(shape[1:])
            or int(np.prod(counts, dtype=object)) != space.get_select_npoints()
        ):
            raise self._error("it takes parts of samples, or every so many, from its sources")
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
        if not self._allow_external and path.resolve().parent != folder.resolve():
            message = f"{self._dataset.name} keeps its data in {name}, which is not in the file's own folder; say allow_external=True to read it"
            raise FormatError(with_location(message, Location(self._shards[0].path)))
        if not path.is_file():
            raise MissingFileError(
                2,
                with_location(
                    f"{self._dataset.name} keeps its data in {name}, which is not there",
                    Location(self._shards[0].path),
                ),
            )
        return path

    def _error(self, message: str) -> FormatError:
        return FormatError(
            with_location(
                f"{self._dataset.name} keeps its data in other files, and {message}",
                Location(self._shards[0].path),
            )
        )
