"""Writer of the HDF5 layout `pixels`: decoded images of one size, in chunks."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c, crc32c_rows
from fastpack._native.filters import Pipeline
from fastpack._native.salvage import CheckSpans
from fastpack.core.dtypes import SPAN
from fastpack.core.schema import Field
from fastpack.core.threads import run_in_threads
from fastpack.errors import Location, SchemaError, ShapeError, Status, raise_status
from fastpack.formats.hdf5.columns import Columns, dataset_name, write_root
from fastpack.formats.hdf5.file_object import WrittenFile
from fastpack.formats.hdf5.vectors import CHECKSUMS
from fastpack.formats.index.chunks import has_checksums
from fastpack.formats.protocols import ShardPlan, Writer
from fastpack.images.batch import Batch


@dataclass(frozen=True)
class Chunks:
    """A batch of pixels with its complete chunks, as stored, and the checksums of both."""

    batch: Batch
    pixels: npt.NDArray[Any]
    chunks: list[Any]  # buffers
    crcs: list[int]
    sample_crcs: npt.NDArray[np.uint32]


class PixelsWriter(Writer[Chunks]):
    """Writer of `/images` (N, H, W, C) in chunks of whole samples.

    If chunks have no checksum, `/images_crc32c` (N,) has those of the samples. Filters run in the
    threads that encode, since the library would run them one chunk after another. So a batch should
    have a multiple of the chunk's samples. After a batch that has not (bad samples were left out),
    one thread must encode all chunks.
    """

    def __init__(self, path: Path, plan: ShardPlan, field: Field) -> None:
        if None in field.shape:
            raise SchemaError("the layout `pixels` needs images of one size; give a size")
        self._path, self._field, self._plan = path, field, plan
        self._columns = Columns(plan.schema, path.parent, field)
        self._chunk = chunk_of(plan)
        self._filters = plan.options.storage.filters(
            np.dtype(field.dtype).itemsize, self._chunk * _sample_bytes(field)
        )
        self._file = WrittenFile(path)
        self._images = _create_images(self._file.file, plan, field, self._chunk, self._filters)
        self._num_samples = 0
        self._rest: npt.NDArray[Any] | None = None  # samples of a chunk that is not full yet
        self._crcs: list[int] = []
        self._sample_crcs: list[npt.NDArray[np.uint32]] = []

    def encode(self, batch: Batch) -> Chunks:
        """Filter the complete chunks of a batch, and compute checksums."""
        images = batch[self._field.name]
        if images.shape[1:] != self._images.shape[1:]:
            planned = self._images.shape[1:]
            raise ShapeError(
                f"the images are {images.shape[1:]}, not {planned} as planned; give a size"
            )
        pixels = np.ascontiguousarray(images, self._field.dtype)
        stored = self._stored(pixels)
        offsets = np.arange(len(pixels) + 1) * (pixels.nbytes // len(pixels))
        sample_crcs = crc32c_rows(pixels.reshape(-1).view(np.uint8), offsets)
        return Chunks(batch, pixels, stored, [crc32c(chunk) for chunk in stored], sample_crcs)

    def _stored(self, pixels: npt.NDArray[Any]) -> list[Any]:
        """The complete chunks of `pixels`, as the file stores them."""
        firsts = range(0, len(pixels) // self._chunk * self._chunk, self._chunk)
        chunks = [
            pixels[first : first + self._chunk].reshape(-1).view(np.uint8) for first in firsts
        ]
        if not len(self._filters):
            return list(chunks)
        pipeline = Pipeline(self._filters)  # one for each thread
        return [pipeline.encode(chunk.data) for chunk in chunks]

    def append(self, piece: Chunks) -> None:
        """Write a batch after the others."""
        pixels, chunks, crcs = piece.pixels, piece.chunks, piece.crcs
        if self._rest is not None:
            pixels = np.concatenate([self._rest, pixels])
            chunks = self._stored(pixels)
            crcs = [crc32c(chunk) for chunk in chunks]
        self._write(chunks, crcs)
        num_whole = len(chunks) * self._chunk
        self._rest = pixels[num_whole:] if num_whole < len(pixels) else None
        self._sample_crcs.append(piece.sample_crcs)
        self._num_samples += piece.batch.num_samples
        self._columns.add(piece.batch)

    def _write(self, chunks: list[Any], crcs: list[int]) -> None:
        sample, rest = len(self._crcs) * self._chunk, (0,) * (self._images.ndim - 1)
        with self._file.calls():
            for i, chunk in enumerate(chunks):
                self._images.id.write_direct_chunk((sample + i * self._chunk, *rest), chunk)
        self._crcs += crcs

    def close(self) -> None:
        """Write the last chunk and the columns, and check the chunks."""
        if self._num_samples < self._plan.num_samples:  # bad samples were left out
            with self._file.calls():  # before the last chunk, which HDF5 would else rewrite
                self._images.id.set_extent((self._num_samples, *self._images.shape[1:]))
        if self._rest is not None:
            self._write_last(self._rest)
        vectors = self._columns.vectors(self._columns.whole())
        with self._file as file:
            if not has_checksums(self._filters):
                crcs = np.concatenate(self._sample_crcs)
                file.create_dataset(dataset_name(self._field) + CHECKSUMS, data=crcs)
            write_root(file, self._plan.schema, "pixels", vectors)
        self._check()

    def _write_last(self, pixels: npt.NDArray[Any]) -> None:
        """Write the last chunk, filled up with zeros."""
        padding = np.zeros((self._chunk - len(pixels), *pixels.shape[1:]), pixels.dtype)
        chunks = self._stored(np.concatenate([pixels, padding]))
        self._write(chunks, [crc32c(chunk) for chunk in chunks])

    def _check(self) -> None:
        """Compare the chunks in the closed file with their checksums; HDF5 may buffer writes."""
        spans = np.zeros(len(self._crcs), SPAN)
        spans["crc32c"] = self._crcs

        def note(chunk: Any) -> None:
            row = chunk.chunk_offset[0] // self._chunk
            spans["offset"][row] = spans["record_offset"][row] = chunk.byte_offset
            spans["length"][row] = spans["record_length"][row] = chunk.size

        with h5py.File(self._path, "r", locking=False) as file:
            file[dataset_name(self._field)].id.chunk_iter(note)
        with open(self._path, "rb") as opened:
            check = CheckSpans(spans, np.array([opened.fileno()], np.int32))
            run_in_threads(check.run)
        if (bad := np.flatnonzero((check.statuses != 0) | (spans["record_length"] == 0))).size:
            row = int(bad[0])
            raise_status(
                Status.BAD_DATA_CRC,
                "the chunk was not stored as it was written",
                Location(self._path, row * self._chunk, int(spans["offset"][row])),
            )

    def abandon(self) -> None:
        """Close all files; the shard is incomplete."""
        self._file.abandon()
        self._columns.close()


def chunk_of(plan: ShardPlan) -> int:
    """Return how many samples a chunk has; 1 for layouts without chunks."""
    field = plan.schema.image_field
    if field is None or field.kind != "pixels" or None in field.shape:
        return 1
    return plan.options.storage.chunk_for(_sample_bytes(field), plan.num_samples)


def _sample_bytes(field: Field) -> int:
    return math.prod(size or 1 for size in field.shape) * np.dtype(field.dtype).itemsize


def _create_images(
    file: h5py.File, plan: ShardPlan, field: Field, chunk: int, filters: npt.NDArray[Any]
) -> h5py.Dataset:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((chunk, *[size or 0 for size in field.shape]))
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    creation.set_obj_track_times(False)  # the same input gives the same bytes
    for row in filters:
        # A library without an optional filter can still open the file, and fails when it reads.
        parameters = tuple(row["parameters"][: row["num_parameters"]].tolist())
        creation.set_filter(int(row["id"]), h5py.h5z.FLAG_OPTIONAL, parameters)
    space = h5py.h5s.create_simple((plan.num_samples, *[size or 0 for size in field.shape]))
    kind = h5py.h5t.py_create(np.dtype(field.dtype), logical=True)
    name = dataset_name(field).encode()
    images = h5py.Dataset(h5py.h5d.create(file.id, name, kind, space, creation))
    if field.color:
        images.attrs["color"] = np.bytes_(field.color)
    return images
