"""Writes an HDF5 file without a main image: lists of images, files or arrays, and columns."""

from pathlib import Path

from fastpack.formats.hdf5.columns import Columns, write_root
from fastpack.formats.hdf5.file_object import WrittenFile
from fastpack.formats.protocols import ShardPlan, Writer
from fastpack.images.batch import Batch


class FieldsWriter(Writer[Batch]):
    """All fields as they stand beside the main image in other files."""

    def __init__(self, path: Path, plan: ShardPlan) -> None:
        self._schema = plan.schema
        self._columns = Columns(plan.schema, path.parent)
        self._file = WrittenFile(path)

    def encode(self, batch: Batch) -> Batch:
        return batch

    def append(self, piece: Batch) -> None:
        self._columns.add(piece)

    def close(self) -> None:
        with self._file as file:
            write_root(file, self._schema, "encoded", self._columns.vectors(self._columns.whole()))

    def abandon(self) -> None:
        self._file.abandon()
        self._columns.close()
