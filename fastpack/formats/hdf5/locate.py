"""Location of a dataset's numbers in its file: a span for each sample, or a table of chunks."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.filters import can_decode
from fastpack.core.dtypes import CHUNK, FILTER, NO_SPAN, SPAN
from fastpack.errors import LimitError, Location, TruncatedFileError, with_location
from fastpack.formats.index.chunks import MAX_FILTERS, MAX_RANK, ChunkTable

# Cells of a chunk grid for each written chunk, at most: else the table would be mostly empty.
_MAX_CELLS_FOR_ONE = 64
_FEW_CELLS = 4096
_FILTER_NAMES = {
    1: "gzip",
    2: "shuffle",
    3: "fletcher32",
    4: "szip",
    5: "nbit",
    6: "scaleoffset",
    307: "bzip2",
    32000: "lzf",
}
_FILTER_NAMES |= {
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32026: "blosc2",
}


@dataclass(frozen=True, eq=False)
class Pixels:
    """How the samples of a dataset are read: by span, else by chunk table, else by the library.

    `reason` says why the library must read them; it is "" otherwise.
    """

    spans: npt.NDArray[Any]
    table: ChunkTable | None = None
    reason: str = ""


def locate_pixels(dataset: h5py.Dataset, file_bytes: int, location: Location) -> Pixels:
    """Locate the samples of a dataset.

    Raises TruncatedFileError, FormatError or LimitError if the file is damaged.
    """
    spans = no_spans(len(dataset), sample_bytes_of(dataset))
    if reason := reason_for_the_library(dataset):
        return Pixels(spans, reason=reason)
    if dataset.chunks is None:
        return _locate_in_one_piece(dataset, spans, file_bytes, location)
    chunks = chunks_of(dataset, file_bytes, location)
    if chunks is None:
        return Pixels(spans, reason="nearly all of its chunks were never written")
    table = ChunkTable(
        dataset.shape, dataset.chunks, filters_of(dataset), chunks, _fill_of(dataset)
    )
    table.check(file_bytes, location)
    if len(table.filters) or dataset.chunks[1:] != dataset.shape[1:]:
        return Pixels(spans, table)
    _fill_spans(spans, table, location)
    return Pixels(spans, table if (spans["offset"] == NO_SPAN).any() else None)


def sample_bytes_of(dataset: h5py.Dataset) -> int:
    """Return the size of a sample in bytes."""
    num_items: int = math.prod(dataset.shape[1:])
    return num_items * int(dataset.dtype.itemsize)


def no_spans(num_samples: int, lengths: Any) -> npt.NDArray[Any]:
    """Return spans of samples that have no bytes of their own in the file."""
    spans = np.zeros(num_samples, SPAN)
    spans["offset"], spans["length"] = NO_SPAN, lengths
    return spans


def contiguous_offset(dataset: h5py.Dataset) -> int | None:
    """Return the first byte of contiguous data; None if the file has no such data."""
    if dataset.chunks is not None or dataset.external:
        return None
    # With a user block the library returns an offset even for data that was never written.
    if dataset.id.get_space_status() == h5py.h5d.SPACE_STATUS_NOT_ALLOCATED:
        return None
    offset: int | None = dataset.id.get_offset()
    return offset


def filters_of(dataset: h5py.Dataset) -> npt.NDArray[Any]:
    """Return a dataset's filters (k,) FILTER in the order of writing; 16 parameters are kept."""
    creation = dataset.id.get_create_plist()
    filters = np.zeros(creation.get_nfilters(), FILTER)
    max_parameters = FILTER["parameters"].shape[0]
    for number, filter in enumerate(filters):
        filter["id"], _, parameters, _ = creation.get_filter(number)
        kept = parameters[:max_parameters]
        filter["num_parameters"] = len(kept)
        filter["parameters"][: len(kept)] = kept
    return filters


def describe_filters(dataset: h5py.Dataset) -> str:
    """Return the filters' names, such as "shuffle, gzip"; "" without filters."""
    return ", ".join(_filter_name(int(number)) for number in filters_of(dataset)["id"])


def _filter_name(number: int) -> str:
    return _FILTER_NAMES.get(number, f"filter {number}")


def reason_for_the_library(dataset: h5py.Dataset) -> str:
    """Return why only HDF5's library can read the numbers; "" if our kernels can."""
    if not dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype, logical=True)):
        return "its numbers are stored with another precision"
    if dataset.id.get_create_plist().get_layout() == h5py.h5d.COMPACT:
        return "it is small and stored in the file's metadata"
    if dataset.ndim > MAX_RANK or 0 in dataset.shape or len(filters_of(dataset)) > MAX_FILTERS:
        return "it has too many dimensions or filters, or a dimension of 0"
    filters = filters_of(dataset)
    for number, filter in enumerate(filters):
        if not can_decode(filters[number : number + 1]):
            return f"only HDF5's library decodes {_filter_name(int(filter['id']))}"
    return ""


def filled_table(dataset: h5py.Dataset) -> ChunkTable:
    """Return the table of a dataset that was never written: one chunk of the fill value."""
    chunks = np.zeros(1, CHUNK)
    chunks["offset"] = NO_SPAN
    return ChunkTable(dataset.shape, dataset.shape, np.zeros(0, FILTER), chunks, _fill_of(dataset))


def _fill_of(dataset: h5py.Dataset) -> npt.NDArray[np.uint8]:
    return np.frombuffer(np.asarray(dataset.fillvalue, dataset.dtype).tobytes(), np.uint8)


def _locate_in_one_piece(
    dataset: h5py.Dataset, spans: npt.NDArray[Any], file_bytes: int, location: Location
) -> Pixels:
    first = contiguous_offset(dataset)
    if first is None:
        return Pixels(spans, filled_table(dataset))
    if first + dataset.nbytes > file_bytes:
        message = f"{dataset.name} goes past the end of the file; restore the file from its source"
        raise TruncatedFileError(with_location(message, Location(location.path, offset=first)))
    spans["offset"] = first + np.arange(len(spans)) * sample_bytes_of(dataset)
    return Pixels(spans)


def _fill_spans(spans: npt.NDArray[Any], table: ChunkTable, location: Location) -> None:
    """A span for each sample of an unfiltered chunk of whole samples."""
    written = table.chunks["offset"] != NO_SPAN
    if (table.chunks["length"][written] != table.chunk_bytes).any():
        raise TruncatedFileError(
            with_location(
                "a chunk does not have its dataset's length; restore the file from its source",
                location,
            )
        )
    layer, within = np.divmod(np.arange(len(spans)), table.chunk_shape[0])
    offsets = table.chunks["offset"][layer] + within.astype(np.uint64) * spans["length"]
    spans["offset"] = np.where(written[layer], offsets, NO_SPAN)


def chunks_of(
    dataset: h5py.Dataset, file_bytes: int, location: Location
) -> npt.NDArray[Any] | None:
    """Return the chunks (m,) CHUNK in the order of their grid; None if the grid is nearly empty.

    One walk over the library's table: a query for each chunk would walk it each time.
    """
    entries: list[Any] = []
    note: Callable[[Any], None] = entries.append
    dataset.id.chunk_iter(note)
    grid = [-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    if math.prod(grid) > _FEW_CELLS + _MAX_CELLS_FOR_ONE * len(entries):
        return None
    chunks = np.zeros(math.prod(grid), CHUNK)
    chunks["offset"] = NO_SPAN
    if not entries:
        return chunks
    if max(entry.size for entry in entries) >= 2**32:
        message = f"{dataset.name} has chunks of 4 GiB or more; rewrite it in smaller ones"
        raise LimitError(with_location(message, location))
    firsts = np.array([entry.chunk_offset for entry in entries], np.int64)
    corners = firsts // np.array(dataset.chunks)
    inside = ((corners >= 0) & (corners < grid)).all(axis=1)
    numbers = np.ravel_multi_index(tuple(corners[inside].T), grid)
    found = np.zeros(len(entries), CHUNK)
    found["offset"] = [entry.byte_offset for entry in entries]
    found["length"] = [entry.size for entry in entries]
    found["mask"] = [entry.filter_mask for entry in entries]
    chunks[numbers] = found[inside]
    return chunks
