"""Rows of variable length: their spans in the file's global heap.

A row is stored as its length, the address of a collection of the heap, and a number in that
collection. See HDF5 File Format Specification 3.0, III.E. HDF5's library loops without end in some
damaged heaps; this code does not.
"""

import os
import struct
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.chunks import ReadChunks
from fastpack._native.gather import Gather
from fastpack.core.dtypes import NO_SPAN, SPAN
from fastpack.core.limits import Limits
from fastpack.core.ragged import Text, offsets_of
from fastpack.errors import (
    FormatError,
    LimitError,
    Location,
    TruncatedFileError,
    raise_first,
    with_location,
)
from fastpack.files.shard import Shard
from fastpack.formats.hdf5.locate import (
    chunks_of,
    contiguous_offset,
    filters_of,
    reason_for_the_library,
)
from fastpack.formats.index.chunks import ChunkTable
from fastpack.stores.range_file import need, open_bytes

_ROW = np.dtype([("length", "<u4"), ("address", "<u8"), ("number", "<u4")])
_COLLECTION = struct.Struct("<4sB3xQ")  # signature, version, size with this header
# Number, references, reserved, size without this header; padded to 8 bytes.
_OBJECT = struct.Struct("<HHIQ")
_MAX_OFFSET = 2**63 - 1

Spans = npt.NDArray[Any]


def locate_rows(dataset: h5py.Dataset, shard: Shard, limits: Limits) -> Spans | None:
    """Return the spans (n,) of rows of bytes; None if only HDF5's library can find them.

    Raises FormatError, TruncatedFileError or LimitError if the file is damaged.
    """
    if not _is_plain(dataset):
        return None
    with open_bytes(shard.path) as file:
        rows = _stored_rows(dataset, file, shard, limits)
        return None if rows is None else _Heap(file, shard, dataset.file.userblock_size).spans(rows)


def read_texts(dataset: h5py.Dataset, shard: Shard, limits: Limits) -> Text | None:
    """Read text of variable length; None and errors as in `locate_rows`."""
    spans = locate_rows(dataset, shard, limits)
    if spans is None:
        return None
    offsets = offsets_of(spans["length"])
    if offsets[-1] > shard.size:
        message = (
            f"{dataset.name} announces {offsets[-1]} bytes of text in a file of {shard.size}; "
            "restore the file from its source"
        )
        raise LimitError(with_location(message, Location(shard.path)))
    values = np.empty(offsets[-1], np.uint8)
    with open_bytes(shard.path) as file:
        need(file, spans["offset"], spans["length"])
        reading = Gather(spans, values, offsets, fds=np.array([file.fileno()], np.int32))
        raise_first([reading.run()], lambda row: Location(shard.path, row))
    return Text(values, offsets)


def _is_plain(dataset: h5py.Dataset) -> bool:
    """Whether the rows are stored as this module reads them."""
    has_usual_addresses = dataset.file.id.get_create_plist().get_sizes() == (8, 8)
    fill = dataset.id.get_create_plist().fill_value_defined()
    is_usual = has_usual_addresses and fill != h5py.h5d.FILL_VALUE_USER_DEFINED
    return is_usual and not reason_for_the_library(dataset)


def _stored_rows(
    dataset: h5py.Dataset, file: Any, shard: Shard, limits: Limits
) -> npt.NDArray[Any] | None:
    """The stored dataset (n,) of _ROW; None if nearly all of its chunks are missing."""
    rows = np.zeros(len(dataset), _ROW)
    location = Location(shard.path)
    if dataset.chunks is None:
        first = contiguous_offset(dataset)
        if first is not None:  # never written: all rows are empty
            rows = np.frombuffer(_read(file, rows.nbytes, first, location), _ROW)
        return rows
    chunks = chunks_of(dataset, shard.size, location)
    if chunks is None:
        return None
    table = ChunkTable(
        dataset.shape,
        dataset.chunks,
        filters_of(dataset),
        chunks,
        np.zeros(_ROW.itemsize, np.uint8),
    )
    table.check(shard.size, location)
    table.check_limits(limits, location)
    numbers = np.arange(len(rows))
    written = table.chunks[table.chunks["offset"] != NO_SPAN]
    need(file, written["offset"], written["length"])
    reading = ReadChunks(
        file.fileno(),
        table.chunks,
        table.filters,
        table.fill,
        shape=table.shape,
        chunk_shape=table.chunk_shape,
        wanted=table.wanted(numbers, numbers),
        out=rows.view(np.uint8),
    )
    raise_first([reading.run()], lambda row: Location(shard.path, row))
    return rows


class _Heap:
    """The global heap of one file; addresses count from the byte `base`."""

    def __init__(self, file: Any, shard: Shard, base: int) -> None:
        self._file, self._base, self._end = file, base, shard.size
        self._location = Location(shard.path)

    def spans(self, rows: npt.NDArray[Any]) -> Spans:
        """Return the spans of rows (n,) of _ROW."""
        spans = np.zeros(len(rows), SPAN)
        spans["length"] = rows["length"]
        stored = np.flatnonzero(rows["length"])
        if not len(stored):
            return spans
        stored = stored[np.argsort(rows["address"][stored], kind="stable")]
        sorted_addresses, firsts = np.unique(rows["address"][stored], return_index=True)
        addresses = [self._base + address for address in sorted_addresses.tolist()]
        groups = np.split(stored, firsts[1:])
        ends = [*addresses[1:], self._end]
        for address, end, group in zip(addresses, ends, groups, strict=True):
            objects = dict(self._objects(address, min(end, self._end)))
            for row in group.tolist():
                offset, size = objects.get(int(rows["number"][row]), (0, -1))
                if size < rows["length"][row]:
                    raise self._damaged(address, row)
                spans["offset"][row] = offset
        return spans

    def _objects(self, address: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """Number -> (offset, size) of each object in a collection.

        A collection must end at `end`, where the next one begins, so that no byte is read twice.
        """
        signature, version, size = _COLLECTION.unpack(self._head(_COLLECTION, address, end))
        if signature != b"GCOL" or version != 1 or size > end - address:
            raise self._damaged(address)
        at_byte, end = address + _COLLECTION.size, address + size
        while end - at_byte >= _OBJECT.size:
            number, _, _, num_bytes = _OBJECT.unpack(self._head(_OBJECT, at_byte, end))
            if number == 0:  # the free rest of the collection
                return
            at_byte += _OBJECT.size
            if num_bytes > end - at_byte:
                raise self._damaged(at_byte)
            yield number, (at_byte, num_bytes)
            at_byte += num_bytes + -num_bytes % 8

    def _head(self, kind: struct.Struct, offset: int, end: int) -> bytes:
        if not 0 <= offset <= min(end - kind.size, _MAX_OFFSET):
            raise self._damaged(offset)
        return _read(self._file, kind.size, offset, self._location)

    def _damaged(self, offset: int, row: int | None = None) -> FormatError:
        message = "the heap of rows of variable length is damaged; restore the file from its source"
        return FormatError(with_location(message, Location(self._location.path, row, offset)))


def _read(file: Any, num_bytes: int, offset: int, location: Location) -> bytes:
    data = b""
    if offset <= _MAX_OFFSET:
        need(file, np.array([offset]), np.array([num_bytes]))
        data = os.pread(file.fileno(), num_bytes, offset)
    if len(data) < num_bytes:
        message = "the file ends before its rows of variable length; restore it from its source"
        raise TruncatedFileError(with_location(message, Location(location.path, offset=offset)))
    return data
