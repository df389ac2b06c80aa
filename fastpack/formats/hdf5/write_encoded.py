"""Writer of the HDF5 layout `encoded`: image files, unchanged, in one dataset of bytes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.write_rows import write_rows
from fastpack.core.dtypes import IMAGE_FACTS, IMAGE_INFO, SPAN
from fastpack.core.limits import DEFAULT_LIMITS
from fastpack.core.schema import Field
from fastpack.errors import CorruptRecordError, Location, SchemaError, raise_first, with_location
from fastpack.files.atomic import write_all
from fastpack.files.shard import Shard
from fastpack.files.spool import Spool
from fastpack.formats.hdf5.checksums import refuse_damaged
from fastpack.formats.hdf5.columns import Columns, dataset_name, write_root
from fastpack.formats.hdf5.file_object import WrittenFile
from fastpack.formats.hdf5.index import IndexBuilder
from fastpack.formats.hdf5.locate import contiguous_offset
from fastpack.formats.hdf5.values import as_read
from fastpack.formats.hdf5.vectors import Vector
from fastpack.formats.index.index import Index
from fastpack.formats.index_options import IndexOptions
from fastpack.formats.protocols import ShardPlan, Writer
from fastpack.formats.spools import parts
from fastpack.images.batch import Batch
from fastpack.images.headers import ProbedFiles


@dataclass(frozen=True)
class Images:
    """A batch of image files with their checksums and header facts."""

    batch: Batch
    files: ProbedFiles
    crcs: npt.NDArray[np.uint32]
    infos: npt.NDArray[Any]


class EncodedWriter(Writer[Images]):
    """Writer of `/images/bytes`, `offsets`, `crc32c`, and header facts such as `width`.

    HDF5 allocates the dataset of bytes without data. Then a kernel writes the files into it.
    """

    def __init__(self, path: Path, plan: ShardPlan, field: Field) -> None:
        self._path, self._schema, self._field = path, plan.schema, field
        self._columns = Columns(plan.schema, path.parent, field)
        self._spans, self._infos = Spool(path.parent, SPAN), Spool(path.parent, IMAGE_INFO)
        self._planned_bytes = max(1, plan.num_bytes)  # HDF5 allocates nothing for 0 bytes
        self._first = self._next = _lay_out(path, field, self._planned_bytes)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def encode(self, batch: Batch) -> Images:
        """Compute checksums and header facts of a batch."""
        files = ProbedFiles.of(batch[self._field.name])
        return Images(batch, files, files.crcs, files.probed[0])

    def append(self, piece: Images) -> None:
        """Write a batch after the others."""
        files, first = piece.files, self._next

        def location_of(row: int) -> Location:
            return Location(self._path, offset=first + int(files.offsets[row]))

        outcome = write_rows(self._descriptor, first, files.values, files.offsets, piece.crcs)
        raise_first([outcome], location_of)
        self._spans.append(_spans(first, files, piece.crcs))
        self._next += len(files.values)
        self._infos.append(piece.infos)
        self._columns.add(piece.batch)

    def close(self) -> Index | None:
        """Write the columns, check the file, and return its index; None for lists and blobs."""
        if self._next - self._first != self._planned_bytes:
            self._lay_out_again()
        self._close_file()
        spans, infos, columns = self._spans.whole(), self._infos.whole(), self._columns.whole()
        facts, vectors = self._facts(spans, infos), self._columns.vectors(columns)
        with WrittenFile(self._path, "r+") as file:
            for fact in facts:
                fact.write(file[dataset_name(self._field)])
            write_root(file, self._schema, "encoded", vectors)
        with h5py.File(self._path, "r", locking=False) as file:
            shard = Shard.of(self._path, "hdf5")
            self._refuse_other(file, facts, vectors)
            refuse_damaged(file, shard)
            limits, options = DEFAULT_LIMITS, IndexOptions()
            builder = IndexBuilder(file, shard, check=False, limits=limits, options=options)
            schema = builder.schema()
        if not self._columns.are_plain:
            return None
        # The same index as the indexer would build.
        names = {field.source_name: field.name for field in schema.fields}
        image = names[dataset_name(self._field)]
        found = {field.name: as_read(columns[field.source_name]) for field in schema.columns}
        numbers = np.zeros(len(spans), np.uint32), np.arange(len(spans))
        return Index((shard,), schema, *numbers, found, {image: spans}, {image: infos})

    def _facts(self, spans: npt.NDArray[Any], infos: npt.NDArray[Any]) -> list[Vector]:
        """The datasets of the images' group, except their bytes."""
        num_samples = len(spans)
        offsets = partial(_offsets, spans, self._first, self._next)
        return [
            Vector("offsets", num_samples + 1, np.uint64, offsets),
            Vector("crc32c", num_samples, np.uint32, partial(_parts_of, spans, "crc32c")),
            *(
                Vector(fact, num_samples, infos.dtype[fact], partial(_parts_of, infos, fact))
                for fact in IMAGE_FACTS
            ),
        ]

    def _refuse_other(self, file: h5py.File, facts: list[Vector], vectors: list[Vector]) -> None:
        """Raise CorruptRecordError if the file has other values than were written.

        Images were compared when they were written; here only their offset is checked.
        """
        group = file[dataset_name(self._field)]
        other = [fact.name for fact in facts if not fact.is_stored_in(group)]
        other += [vector.name for vector in vectors if not vector.is_stored_in(file)]
        if contiguous_offset(group["bytes"]) != self._first:
            other.append("bytes")
        if other:
            message = f"{', '.join(other)}: not what was written; check the disk"
            raise CorruptRecordError(with_location(message, Location(self._path)))

    def _lay_out_again(self) -> None:
        """Replace the metadata around the images: their total size differs from the plan.

        Samples were left out, or changed their size.
        """
        frame = self._path.with_name(f".{self._path.name}.frame")
        try:
            first = _lay_out(frame, self._field, self._next - self._first)
            if first != self._first:
                message = f"HDF5 moved the images from byte {self._first} to {first}; pack again"
                raise SchemaError(with_location(message, Location(self._path)))
            with open(frame, "rb") as file:
                write_all(self._descriptor, file.read(first), 0)
                file.seek(self._next)
                tail = file.read()
        finally:
            frame.unlink(missing_ok=True)
        write_all(self._descriptor, tail, self._next)
        os.ftruncate(self._descriptor, self._next + len(tail))

    def abandon(self) -> None:
        """Close all files; the shard is incomplete."""
        self._close_file()
        for spool in (self._columns, self._spans, self._infos):
            spool.close()

    def _close_file(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _lay_out(path: Path, field: Field, num_bytes: int) -> int:
    """Make the file with a contiguous dataset of bytes; return the dataset's offset."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    creation.set_obj_track_times(False)  # the same input gives the same bytes
    space = h5py.h5s.create_simple((num_bytes,))
    with WrittenFile(path) as file:
        group = file.create_group(dataset_name(field))
        dataset = h5py.h5d.create(group.id, b"bytes", h5py.h5t.STD_U8LE, space, creation)
        first: int = dataset.get_offset()
    return first


def _spans(first: int, files: ProbedFiles, crcs: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
    """Spans of consecutive image files from byte `first` on, as the indexer makes them."""
    spans = np.zeros(len(files), SPAN)
    spans["offset"] = spans["record_offset"] = first + files.offsets[:-1]
    spans["length"] = spans["record_length"] = files.lengths
    spans["crc32c"] = crcs
    return spans


def _parts_of(records: npt.NDArray[Any], name: str) -> Iterator[npt.NDArray[Any]]:
    return (part[name] for part in parts(records))


def _offsets(spans: npt.NDArray[Any], first: int, end: int) -> Iterator[npt.NDArray[np.uint64]]:
    """Offsets (n + 1,) of images between two bytes of the file, counted from the first byte."""
    for offsets in _parts_of(spans, "offset"):
        yield offsets - np.uint64(first)
    yield np.array([end - first], np.uint64)
