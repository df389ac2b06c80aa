"""Writer of the HDF5 layout `vlen`: a row of variable length for each image file."""

import os
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c_rows
from fastpack.core.ragged import Ragged
from fastpack.core.schema import Field
from fastpack.errors import Location, Status, raise_status
from fastpack.formats.hdf5.columns import Columns, dataset_name, write_root
from fastpack.formats.hdf5.file_object import WrittenFile
from fastpack.formats.hdf5.vectors import CHECKSUMS
from fastpack.formats.protocols import ShardPlan, Writer
from fastpack.images.batch import Batch

_CHECKED_ROWS = 64


@dataclass(frozen=True)
class Rows:
    """A batch of image files with their checksums."""

    batch: Batch
    blobs: Ragged
    crcs: npt.NDArray[np.uint32]


class VlenWriter(Writer[Rows]):
    """Writer of `/images` (N,) with rows of uint8, and of `/images_crc32c` (N,).

    HDF5's library writes and reads such rows one by one. Prefer the layout `encoded`, unless other
    tools need this one.
    """

    def __init__(self, path: Path, plan: ShardPlan, field: Field) -> None:
        self._path, self._field, self._plan = path, field, plan
        self._columns = Columns(plan.schema, path.parent, field)
        self._crcs: list[npt.NDArray[np.uint32]] = []
        self._num_samples = 0
        self._file = WrittenFile(path)
        self._images = _create_images(self._file.file, field, plan.num_samples)

    def encode(self, batch: Batch) -> Rows:
        """Compute the checksums of a batch."""
        blobs: Ragged = batch[self._field.name]
        return Rows(batch, blobs, crc32c_rows(blobs.values, blobs.offsets))

    def append(self, piece: Rows) -> None:
        """Write a batch after the others."""
        with self._file.calls():
            for row, blob in enumerate(piece.blobs, start=self._num_samples):
                self._images[row] = blob
        self._num_samples += len(piece.blobs)
        self._crcs.append(piece.crcs)
        self._columns.add(piece.batch)

    def close(self) -> None:
        """Write the columns, and check the rows."""
        if self._num_samples < self._plan.num_samples:  # bad samples were left out
            self._shorten()
        crcs = np.concatenate(self._crcs)
        vectors = self._columns.vectors(self._columns.whole())
        with self._file as file:
            file.create_dataset(dataset_name(self._field) + CHECKSUMS, data=crcs)
            write_root(file, self._plan.schema, "vlen", vectors)
        self._check(crcs)

    def _check(self, crcs: npt.NDArray[np.uint32]) -> None:
        """Compare the rows in the closed file with their checksums; HDF5 may buffer writes."""
        with h5py.File(self._path, "r", locking=False) as file:
            images = file[dataset_name(self._field)]
            for first in range(0, len(crcs), _CHECKED_ROWS):
                rows = slice(first, first + _CHECKED_ROWS)
                blobs = Ragged.of_bytes(row.tobytes() for row in images[rows])
                bad = np.flatnonzero(crc32c_rows(blobs.values, blobs.offsets) != crcs[rows])
                if bad.size:
                    raise_status(
                        Status.BAD_DATA_CRC,
                        "the image was not stored as it was written",
                        Location(self._path, first + int(bad[0])),
                    )

    def _shorten(self) -> None:
        """Copy the rows to a new file, which replaces this one: HDF5 cannot shorten the dataset."""
        fewer = self._path.with_name(f".{self._path.name}.fewer")
        written = WrittenFile(fewer)
        try:
            with written.calls(), self._file.calls():
                images = _create_images(written.file, self._field, self._num_samples)
                for row in range(self._num_samples):
                    images[row] = self._images[row]
            os.replace(fewer, self._path)
        except BaseException:
            written.abandon()
            fewer.unlink(missing_ok=True)
            raise
        self._file.abandon()
        self._file, self._images = written, images

    def abandon(self) -> None:
        """Close all files; the shard is incomplete."""
        self._file.abandon()
        self._columns.close()


def _create_images(file: h5py.File, field: Field, num_samples: int) -> h5py.Dataset:
    return file.create_dataset(
        dataset_name(field), (num_samples,), h5py.vlen_dtype(np.uint8), track_times=False
    )
