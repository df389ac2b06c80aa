"""Writer of an HDF5 file without a main image: lists of images, files or arrays, and columns."""

from pathlib import Path

from fastpack.formats.hdf5.columns import Columns, write_root
from fastpack.formats.hdf5.file_object import WrittenFile
from fastpack.formats.protocols import ShardPlan, Writer
from fastpack.images.batch import Batch


class FieldsWriter(Writer[Batch]):
    """Writer of all fields in the layout of fields that are not the main image."""

    def __init__(self, path: Path, plan: ShardPlan) -> None:
        self._schema = plan.schema
        self._columns = Columns(plan.schema, path.parent)
        self._file = WrittenFile(path)

    def encode(self, batch: Batch) -> Batch:
        """Return the batch."""
        return batch

    def append(self, piece: Batch) -> None:
        """Keep the values of a batch."""
        self._columns.add(piece)

    def close(self) -> None:
        """Write all fields."""
        vectors = self._columns.vectors(self._columns.whole())
        with self._file as file:
            write_root(file, self._schema, "encoded", vectors)

    def abandon(self) -> None:
        """Close all files; the shard is incomplete."""
        self._file.abandon()
        self._columns.close()
