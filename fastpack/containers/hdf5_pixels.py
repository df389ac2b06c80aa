"""Writes the HDF5 layout `pixels`: decoded images of one size, in chunks that are made by many threads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c, crc32c_rows
from fastpack._native.filters import Pipeline
from fastpack._native.salvage import CheckSpans
from fastpack.batch import Batch
from fastpack.chunks import has_checksums
from fastpack.containers import ShardPlan, Writer
from fastpack.containers.hdf5_columns import CHECKSUMS, Columns, dataset_name
from fastpack.containers.hdf5_disk import WrittenFile
from fastpack.errors import Place, SchemaError, ShapeError, raise_status
from fastpack.pool import share
from fastpack.schema import Field
from fastpack.structs import SPAN


@dataclass(frozen=True)
class Chunks:
    """A batch of pixels as the chunks that are stored, with the checksums of those, and of the samples themselves."""

    batch: Batch
    chunks: list[Any]  # buffers
    crcs: list[int]
    sample_crcs: npt.NDArray[np.uint32]


class PixelsWriter(Writer[Chunks]):
    """`/images` (N, H, W, C), in chunks of whole samples, and, where chunks have no checksum, `/images_crc32c` (N,).

    Chunks go through the filters in the threads that encode, and then as they are into the file: the library's own
    pipeline works on one after the other. A batch must begin with a chunk: but for the last of a shard, batches hold a
    multiple of the chunk's samples.
    """

    def __init__(self, path: Path, plan: ShardPlan, field: Field) -> None:
        if None in field.shape:
            raise SchemaError("the layout `pixels` needs images of one size; give a size")
        self._path, self._field, self._plan = path, field, plan
        self._columns = Columns(plan.schema)
        item_bytes = np.dtype(field.dtype).itemsize
        sample_bytes = int(np.prod([size or 1 for size in field.shape])) * item_bytes
        self._chunk = plan.chunk
        self._filters = plan.storage.filters(item_bytes, self._chunk * sample_bytes)
        self._file = WrittenFile(path)
        self._images = _create_images(self._file.file, plan, field, self._chunk, self._filters)
        self._num_samples = 0
        self._crcs: list[int] = []
        self._sample_crcs: list[npt.NDArray[np.uint32]] = []

    def encode(self, batch: Batch) -> Chunks:
        images = batch[self._field.name]
        if images.shape[1:] != self._images.shape[1:]:
            raise ShapeError(f"the images are {images.shape[1:]}, not {self._images.shape[1:]} as planned; give a size")
        pixels = np.ascontiguousarray(images, self._field.dtype)
        parts = [pixels[first : first + self._chunk] for first in range(0, len(pixels), self._chunk)]
        chunks = [np.ascontiguousarray(self._filled(part)).reshape(-1).view(np.uint8) for part in parts]
        if len(self._filters):
            pipeline = Pipeline(self._filters)  # of this thread
            stored: list[Any] = [pipeline.encode(chunk.data) for chunk in chunks]
        else:
            stored = list(chunks)
        offsets = np.arange(len(pixels) + 1) * (pixels.nbytes // len(pixels))
        sample_crcs = crc32c_rows(pixels.reshape(-1).view(np.uint8), offsets)
        return Chunks(batch, stored, [crc32c(chunk) for chunk in stored], sample_crcs)

    def _filled(self, part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The last chunk is as large as the others; what no sample needs is zeros."""
        missing = self._chunk - len(part)
        return np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)]) if missing else part

    def place(self, piece: Chunks) -> None:
        if self._num_samples % self._chunk:
            raise SchemaError(f"only the last batch may hold less than a multiple of the chunk's {self._chunk} samples")
        rest = (0,) * (self._images.ndim - 1)
        with self._file.calls():
            for i, chunk in enumerate(piece.chunks):
                self._images.id.write_direct_chunk((self._num_samples + i * self._chunk, *rest), chunk)
        self._crcs += piece.crcs
        self._sample_crcs.append(piece.sample_crcs)
        self._num_samples += piece.batch.num_samples
        self._columns.add(_without(piece.batch, self._field.name))

    def store(self, piece: Chunks) -> None:
        """All was done in `place`: HDF5 takes chunks one after the other."""

    def close(self) -> None:
        if self._num_samples != self._plan.num_samples:
            raise SchemaError(f"{self._num_samples} samples were written, not the {self._plan.num_samples} that were planned")
        with self._file as file:
            if not has_checksums(self._filters):
                file.create_dataset(dataset_name(self._field) + CHECKSUMS, data=np.concatenate(self._sample_crcs))
            self._columns.write(file, "pixels")
        self._check()

    def _check(self) -> None:
        """Compares the chunks in the file with what was handed to the library."""
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
            share(check.run)
        if (bad := np.flatnonzero((check.statuses != 0) | (spans["record_length"] == 0))).size:
            row = int(bad[0])
            raise_status(5, "the chunk was not stored as it was written", Place(self._path, row * self._chunk, int(spans["offset"][row])))

    def abandon(self) -> None:
        self._file.abandon()


def _create_images(file: h5py.File, plan: ShardPlan, field: Field, chunk: int, filters: npt.NDArray[Any]) -> h5py.Dataset:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((chunk, *[size or 0 for size in field.shape]))
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    creation.set_obj_track_times(False)  # the same input gives the same bytes
    for row in filters:
        # Optional: a library that does not know the filter still opens the file, and says so when it reads.
        creation.set_filter(int(row["id"]), h5py.h5z.FLAG_OPTIONAL, tuple(row["parameters"][: row["num_parameters"]].tolist()))
    space = h5py.h5s.create_simple((plan.num_samples, *[size or 0 for size in field.shape]))
    kind = h5py.h5t.py_create(np.dtype(field.dtype), logical=True)
    images = h5py.Dataset(h5py.h5d.create(file.id, dataset_name(field).encode(), kind, space, creation))
    if field.color:
        images.attrs["color"] = np.bytes_(field.color)
    return images


def _without(batch: Batch, name: str) -> Batch:
    return Batch({other: batch[other] for other in batch if other != name}, batch.num_samples)
