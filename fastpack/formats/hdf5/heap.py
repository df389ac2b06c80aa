"""Rows of variable length: where each lies in the file's global heap, so that they are read like everything else.

Such a row is stored as its length, the address of a collection of the heap, and a number in that collection: HDF5 File Format
Specification 3.0, III.E. HDF5's library would go round in circles for ever in some heaps that are damaged.
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
from fastpack.core.dtypes import SPAN
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

_ROW = np.dtype([("length", "<u4"), ("address", "<u8"), ("number", "<u4")])
_COLLECTION = struct.Struct("<4sB3xQ")  # signature, version, size with this header
_OBJECT = struct.Struct(
    "<HHIQ"
)  # number, references, nothing, size without this header; padded to 8 bytes
_MAX_OFFSET = 2**63 - 1

Spans = npt.NDArray[Any]


def locate_rows(dataset: h5py.Dataset, shard: Shard, limits: Limits) -> Spans | None:
    """A span (n,) for each row of bytes; None when only HDF5's library finds them.

    Raises FormatError, TruncatedFileError or LimitError when the file is damaged.
    """
    if not _is_plain(dataset):
        return None
    with open(shard.path, "rb", buffering=0) as file:
        rows = _stored_rows(dataset, file.fileno(), shard, limits)
        return (
            _Heap(file.fileno(), shard, dataset.file.userblock_size).spans(rows)
            if rows is not None
            else None
        )


def read_texts(dataset: h5py.Dataset, shard: Shard, limits: Limits) -> Text | None:
    """Text of variable length, or None when only HDF5's library finds it. Raises as `locate_rows` does."""
    spans = locate_rows(dataset, shard, limits)
    if spans is None:
        return None
    offsets = offsets_of(spans["length"])
    if offsets[-1] > shard.size:
        message = f"{dataset.name} claims {offsets[-1]} bytes of text in a file of {shard.size}; restore the file from its source"
        raise LimitError(with_location(message, Location(shard.path)))
    values = np.empty(offsets[-1], np.uint8)
    with open(shard.path, "rb", buffering=0) as file:
        reading = Gather(spans, values, offsets, fds=np.array([file.fileno()], np.int32))
        raise_first([reading.run()], lambda row: Location(shard.path, row))
    return Text(values, offsets)


def _is_plain(dataset: h5py.Dataset) -> bool:
    has_usual_addresses = dataset.file.id.get_create_plist().get_sizes() == (8, 8)
    fill = dataset.id.get_create_plist().fill_value_defined()
    return (
        has_usual_addresses
        and fill != h5py.h5d.FILL_VALUE_USER_DEFINED
        and not reason_for_the_library(dataset)
    )


def _stored_rows(
    dataset: h5py.Dataset, descriptor: int, shard: Shard, limits: Limits
) -> npt.NDArray[Any] | None:
    """The dataset (n,) of _ROW as it is stored; None where its chunks are nearly all missing."""
    rows = np.zeros(len(dataset), _ROW)
    location = Location(shard.path)
    if dataset.chunks is None:
        first = contiguous_offset(dataset)
        if first is not None:  # never written: all rows are empty
            rows = np.frombuffer(_read(descriptor, rows.nbytes, first, location), _ROW)
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
    reading = ReadChunks(
        descriptor,
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
    """The collections of one file.

    - base: the byte of the file that addresses count from.
    """

    def __init__(self, descriptor: int, shard: Shard, base: int) -> None:
        self._descriptor, self._base, self._end = descriptor, base, shard.size
        self._location = Location(shard.path)

    def spans(self, rows: npt.NDArray[Any]) -> Spans:
        spans = np.zeros(len(rows), SPAN)
        spans["length"] = rows["length"]
        stored = np.flatnonzero(rows["length"])
        if not len(stored):
            return spans
        stored = stored[np.argsort(rows["address"][stored], kind="stable")]
        firsts = np.flatnonzero(
            np.diff(rows["address"][stored], prepend=np.uint64(0)) | (np.arange(len(stored)) == 0)
        )
        addresses = [self._base + address for address in rows["address"][stored[firsts]].tolist()]
        for i, (address, end) in enumerate(
            zip(addresses, [*addresses[1:], self._end], strict=True)
        ):
            group = stored[firsts[i] : firsts[i + 1] if i + 1 < len(firsts) else None]
            objects = dict(self._objects(address, min(end, self._end)))
            for row in group.tolist():
                offset, size = objects.get(int(rows["number"][row]), (0, -1))
                if size < rows["length"][row]:
                    raise self._damaged(address, row)
                spans["offset"][row] = offset
        return spans

    def _objects(self, address: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """The number of each object in a collection, and the place and size of its bytes. What the collection claims beyond
        `end`, where the next one begins, is another's: so no byte of the file is looked at twice."""
        signature, version, size = _COLLECTION.unpack(self._head(_COLLECTION, address, end))
        if signature != b"GCOL" or version != 1 or size > end - address:
            raise self._damaged(address)
        at_byte, end = address + _COLLECTION.size, address + size
        while end - at_byte >= _OBJECT.size:
            number, _, _, num_bytes = _OBJECT.unpack(self._head(_OBJECT, at_byte, end))
            if number == 0:  # what is left of the collection
                return
            at_byte += _OBJECT.size
            if num_bytes > end - at_byte:
                raise self._damaged(at_byte)
            yield number, (at_byte, num_bytes)
            at_byte += num_bytes + -num_bytes % 8

    def _head(self, kind: struct.Struct, offset: int, end: int) -> bytes:
        if not 0 <= offset <= min(end - kind.size, _MAX_OFFSET):
            raise self._damaged(offset)
        return _read(self._descriptor, kind.size, offset, self._location)

    def _damaged(self, offset: int, row: int | None = None) -> FormatError:
        message = "the heap of rows of variable length is damaged; restore the file from its source"
        return FormatError(with_location(message, Location(self._location.path, row, offset)))


def _read(descriptor: int, num_bytes: int, offset: int, location: Location) -> bytes:
    data = os.pread(descriptor, num_bytes, offset) if offset <= _MAX_OFFSET else b""
    if len(data) < num_bytes:
        message = "the file ends before its rows of variable length; restore it from its source"
        raise TruncatedFileError(with_location(message, Location(location.path, offset=offset)))
    return data
