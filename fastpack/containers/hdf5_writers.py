"""The two HDF5 layouts that we write, both of which plain h5py opens: `encoded` and `pixels`.

HDF5's library lays files out and writes metadata. Image files go around it, straight to their place.
"""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.batch import Batch
from fastpack.containers import ShardPlan
from fastpack.errors import SchemaError, ShapeError
from fastpack.ragged import Ragged, Text, offsets_of
from fastpack.schema import Field, Schema

FORMAT_VERSION = 1
# What the datasets of our fields are called, as most people call them.
DATASETS = {"image": "images", "label": "labels", "key": "keys"}
_CHUNK_BYTES = 2**20


def dataset_name(field: Field) -> str:
    return field.stored_as or DATASETS.get(field.name, field.name)


def _create(path: Path) -> h5py.File:
    # "earliest" is what every HDF5 reader since 1.6 opens.
    return h5py.File(path, "w", libver=("earliest", "v108"), locking=False)


class _ColumnWriter:
    """Collects the columns of a shard; they are written at its end, when their sizes are known."""

    def __init__(self, plan: ShardPlan) -> None:
        self._plan = plan
        self._fields = plan.schema.columns
        self._pieces: dict[str, list[Any]] = {field.name: [] for field in self._fields}

    def add(self, batch: Batch) -> None:
        for field in self._fields:
            self._pieces[field.name].append(batch[field.name])

    def write(self, file: h5py.File, layout: str) -> None:
        schema = self._plan.schema
        file.attrs["format_version"] = FORMAT_VERSION
        for name, text in {"format": "fastpack", "layout": layout, "schema": Schema(schema.fields).to_json()}.items():
            file.attrs[name] = np.bytes_(text)  # of fixed length: see text_attribute in hdf5.py
        for field in self._fields:
            name = dataset_name(field)
            pieces = self._pieces[field.name]
            if field.kind == "text":
                file.create_dataset(name, data=_fixed_strings(Text.concatenate(pieces)))
            elif any(isinstance(piece, Ragged) for piece in pieces):
                raise SchemaError(f"HDF5 columns have one value a sample, {field.name!r} has lists; leave it out")
            else:
                file.create_dataset(name, data=np.concatenate(pieces).astype(field.dtype))
        if schema.class_names:
            file.create_dataset("class_names", data=_fixed_strings(Text.of(schema.class_names)))


def _fixed_strings(text: Text) -> npt.NDArray[Any]:
    """Fixed-length UTF-8: read in one go, where HDF5 looks up variable-length strings one by one."""
    length = max(1, int(text.lengths.max(initial=1)))
    rows = [text.bytes(i) for i in range(len(text))]
    return np.array(rows, h5py.string_dtype("utf-8", length))


class EncodedWriter:
    """`/images/bytes`: all files one after the other; `/images/offsets` and `/images/crc32c` find and check them.

    HDF5 lays the empty dataset out; then its bytes are written straight to their place in the file.
    """

    def __init__(self, path: Path, plan: ShardPlan, field: Field) -> None:
        self._path, self._field = path, field
        self._columns = _ColumnWriter(plan)
        self._lengths: list[npt.NDArray[np.int64]] = []
        self._crcs: list[int] = []
        with _create(path) as file:
            creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            creation.set_layout(h5py.h5d.CONTIGUOUS)
            creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            creation.set_obj_track_times(False)  # the same input gives the same bytes
            space = h5py.h5s.create_simple((plan.num_bytes,))
            group = file.create_group(dataset_name(field))
            dataset = h5py.h5d.create(group.id, b"bytes", h5py.h5t.STD_U8LE, space, creation)
            first = dataset.get_offset()
        self._first, self._next, self._end = first, first, first + plan.num_bytes
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def write(self, batch: Batch) -> None:
        blobs: Ragged = batch[self._field.name]
        if self._next + len(blobs.values) > self._end:
            raise SchemaError(f"the images have more bytes than the {self._end - self._first} that were planned")
        left = np.ascontiguousarray(blobs.values).data
        while left:
            written = os.pwrite(self._descriptor, left, self._next)
            left, self._next = left[written:], self._next + written
        self._lengths.append(blobs.lengths)
        self._crcs += [crc32c(blob) for blob in blobs]
        self._columns.add(batch)

    def close(self) -> None:
        self.abandon()
        if self._next != self._end:
            raise SchemaError(f"the images have {self._next - self._first} bytes, not the {self._end - self._first} that were planned")
        offsets = offsets_of(np.concatenate(self._lengths))
        with h5py.File(self._path, "r+", locking=False) as file:
            group = file[dataset_name(self._field)]
            group.create_dataset("offsets", data=offsets.astype(np.uint64))
            group.create_dataset("crc32c", data=np.array(self._crcs, np.uint32))
            self._columns.write(file, "encoded")

    def abandon(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class PixelsWriter:
    """`/images` (N, H, W, C), in chunks of whole samples, each handed to the file as it is."""

    def __init__(self, path: Path, plan: ShardPlan, field: Field) -> None:
        if None in field.shape:
            raise SchemaError("the layout `pixels` needs images of one size; give a size")
        self._columns = _ColumnWriter(plan)
        sample_bytes = int(np.prod([size or 1 for size in field.shape])) * np.dtype(field.dtype).itemsize
        self._chunk = pixels_chunk(sample_bytes, plan.num_samples)
        self._file = _create(path)
        self._images = self._file.create_dataset(
            dataset_name(field),
            shape=(plan.num_samples, *field.shape),
            dtype=field.dtype,
            chunks=(self._chunk, *field.shape),
        )
        if field.color:
            self._images.attrs["color"] = np.bytes_(field.color)
        self._field = field
        self._waiting = np.zeros((self._chunk, *self._images.shape[1:]), field.dtype)
        self._num_waiting = 0
        self._num_written = 0

    def write(self, batch: Batch) -> None:
        images = batch[self._field.name]
        if images.shape[1:] != self._images.shape[1:]:
            raise ShapeError(f"the images are {images.shape[1:]}, not {self._images.shape[1:]} as planned; give a size")
        self._columns.add(batch)
        while len(images):
            if self._num_waiting == 0 and len(images) >= self._chunk:
                self._write_chunk(images[: self._chunk])
                images = images[self._chunk :]
                continue
            taken = min(len(images), self._chunk - self._num_waiting)
            self._waiting[self._num_waiting : self._num_waiting + taken] = images[:taken]
            self._num_waiting += taken
            images = images[taken:]
            if self._num_waiting == self._chunk:
                self._write_chunk(self._waiting)
                self._num_waiting = 0

    def _write_chunk(self, chunk: npt.NDArray[Any]) -> None:
        first = (self._num_written, *([0] * (chunk.ndim - 1)))
        self._images.id.write_direct_chunk(first, np.ascontiguousarray(chunk))
        self._num_written += self._chunk

    def close(self) -> None:
        with self._file as file:
            if self._num_waiting:
                self._waiting[self._num_waiting :] = 0
                self._write_chunk(self._waiting)
            self._columns.write(file, "pixels")

    def abandon(self) -> None:
        self._file.close()


def pixels_chunk(sample_bytes: int, num_samples: int) -> int:
    """Samples in a chunk, of 1 MiB at most. A sample of an unfiltered chunk has a span of its own, so
    random reads do not care; larger chunks mean fewer entries in HDF5's table of them. The last chunk is
    stored whole, so samples are dealt out evenly."""
    most = max(1, _CHUNK_BYTES // max(1, sample_bytes))
    num_chunks = -(-num_samples // most)
    return -(-num_samples // max(1, num_chunks))
