"""The samples of a Reader, and what it shares with the Readers made from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, SupportsIndex, cast

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.core.buffer_pool import BufferPool
from fastpack.core.cached import cached_property
from fastpack.core.dtypes import IMAGE_FACTS, Rows
from fastpack.core.ragged import Text, flat_values, owners
from fastpack.core.schema import Field, Schema
from fastpack.errors import OptionError, OutOfRangeError
from fastpack.files.companions import classes_path
from fastpack.files.shard import OpenShards, Shard
from fastpack.formats.index.arrays import Column
from fastpack.formats.index.index import Index
from fastpack.formats.index.seek_point_cache import SeekPointCache
from fastpack.formats.table import FieldsOf, IndexTable, Table
from fastpack.reading.columns import Columns
from fastpack.reading.remote import RemoteBytes, Window, with_bytes
from fastpack.reading.selection import Selection, compose, everything

# Sample numbers, as users give them.
Indices = Sequence[SupportsIndex] | npt.NDArray[np.integer[Any]]
_BLOCK_ROWS = 2**16
_CACHED_CLASSES = 2**20  # samples of a dataset whose classes are sorted once, on disk


@dataclass(frozen=True)
class Depth:
    """How many images of a field have 16 bits a channel and how many fewer, by their headers."""

    num_deep: int
    num_shallow: int

    @property
    def is_mixed(self) -> bool:
        return bool(self.num_deep and self.num_shallow)

    def refuse_mixture(self, field: Field) -> None:
        """Raise OptionError if some images have 16 bits and some do not."""
        if self.is_mixed:
            raise OptionError(
                f"{self.num_deep} images of {field.name!r} have 16 bits a channel and "
                f"{self.num_shallow} have 8; open the dataset with bits=8 or bits=16"
            )


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples that a Reader reads, and the files that they are in.

    - table: all samples of the dataset.
    - selection: which of them, in which order. Random transforms draw by their numbers in the
      table, so a subset keeps its crops.
    - files: the open shards.
    - part_sizes: samples of each dataset that `concat` joined.
    - memory: where batches are written.
    - seek_point_cache: seek points found while reading, shared with subsets.
    - remote: reads from object stores; None if all files are local.
    """

    table: Table
    selection: Selection
    files: OpenShards
    part_sizes: tuple[int, ...]
    memory: BufferPool
    seek_point_cache: SeekPointCache | None = None
    remote: RemoteBytes | None = None

    @classmethod
    def of(
        cls,
        table: Table | Index,
        part_sizes: tuple[int, ...] = (),
        remote: RemoteBytes | None = None,
    ) -> Self:
        """Take all samples of a table, or of an index in memory.

        - remote: how files in stores are read; by default without a cache.
        """
        table = IndexTable(table) if isinstance(table, Index) else table
        count = len(table)
        samples = cls(table, everything(count), OpenShards(), part_sizes or (count,), BufferPool())
        if not table.is_remote:
            return samples
        return replace(samples, remote=RemoteBytes() if remote is None else remote)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the columns, which are made again."""
        return {name: value for name, value in self.__dict__.items() if name != "columns"}

    def __len__(self) -> int:
        return len(self.selection)

    @property
    def is_whole(self) -> bool:
        """True if these are all samples of the table, in its order."""
        return self.selection == everything(len(self.table))

    @property
    def schema(self) -> Schema:
        return self.table.schema

    def rows(self, indices: Indices) -> Rows:
        """Return sample numbers (n,) int64; negative ones count from the end."""
        try:
            rows = np.asarray(indices)
        except ValueError:  # lists of different lengths
            rows = np.zeros(1, np.object_)
        if rows.size == 0 and rows.ndim == 1:
            return np.zeros(0, np.int64)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise OptionError(f"indices must be a list of integers, not {rows.dtype} {rows.shape}")
        count = len(self)
        if rows.min() < -count or rows.max() >= count:
            missing = rows.max() if rows.max() >= count else rows.min()
            raise OutOfRangeError(f"there is no sample {missing} among {count}")
        rows = rows.astype(np.int64)
        return np.where(rows < 0, rows + count, rows)

    def numbers(self, rows: Rows) -> Rows:
        """Return the numbers of these samples in the table."""
        return self.selection.rows_at(rows)

    def entries(self, rows: Rows, names: Sequence[str] | None = None) -> Index:
        """Return the index of these samples only.

        - names: fields to read; None for all.
        """
        return self.table.take(self.numbers(rows), names)

    def start_reads(self, rows: Rows) -> Window:
        """Request the bytes of samples from the stores that have them."""
        assert self.remote is not None
        return self.remote.start(self.entries(rows, [field.name for field in self.schema.blobs]))

    def with_bytes(self, entries: Index, windows: Sequence[Window] = ()) -> Index:
        """Add the bytes of samples in stores to their index; local files are read later.

        - windows: that have the bytes; without any, they are requested now.
        """
        if self.remote is None:
            return entries
        return with_bytes(entries, windows or [self.remote.start(entries)])

    def blocks(self, names: Sequence[str] | None = None) -> Iterator[Index]:
        """Yield the indexes of all samples, 65,536 at a time."""
        return (self.table.take(numbers, names) for numbers in self.selection.blocks(_BLOCK_ROWS))

    def shard_counts(self) -> list[tuple[Shard, int]]:
        """Return each file with its number of these samples."""
        known = self.table.shard_counts() if self.is_whole else None
        counts: dict[Shard, int] = dict.fromkeys(self.table.shards, 0)
        for shard, count in known or ():
            counts[shard] += count
        for entries in self.blocks(()) if known is None else ():
            found = np.bincount(entries.shard_numbers, minlength=len(entries.shards))
            for shard, count in zip(entries.shards, found.tolist(), strict=True):
                counts[shard] = counts.get(shard, 0) + count
        return list(counts.items())

    def whole(self) -> Index:
        """Return the index of all samples. It takes memory for each."""
        index = self.entries(np.arange(len(self)))
        return replace(index, notes=self.table.notes)

    def with_fields(self, names: Sequence[str]) -> Self:
        """Take only some fields."""
        return replace(self, table=FieldsOf(self.table, names), memory=BufferPool())

    def select(self, selection: Selection) -> Self:
        """Take some samples; files and seek points are shared, memory is not."""
        return replace(
            self,
            selection=compose(selection, self.selection),
            part_sizes=(len(selection),),
            memory=BufferPool(),
        )

    def with_seek_point_cache(self) -> Self:
        """Add a cache for the image fields that have no seek points."""
        if self.seek_point_cache is not None:
            return self
        blobs = self.table.summary.blobs
        missing = [
            field.name
            for field in self.schema.blobs
            if field.is_image_file
            and not field.is_list
            and blobs[field.name].num_with_seek_points is None
        ]
        return replace(self, seek_point_cache=SeekPointCache(missing))

    def depth(self, field: Field) -> Depth:
        """Count the images with 16 bits a channel, and the others."""
        blob = self.table.summary.blobs[field.name]
        depth = Depth(blob.num_deep, blob.num_shallow)
        if not depth.is_mixed or len(self) == len(self.table):
            return depth
        parts = [depth_of(entries, field) for entries in self.blocks([field.name])]
        return Depth(sum(part.num_deep for part in parts), sum(part.num_shallow for part in parts))

    @cached_property
    def columns(self) -> Columns:
        """The columns, read when they are used; for the main image also width, height and so on."""
        names = [field.name for field in self.schema.columns]
        facts = [name for name in self._facts if name not in names]
        return Columns([*facts, *names], len(self), self.column)

    @property
    def _facts(self) -> tuple[str, ...]:
        image_field = self.schema.image_field
        return IMAGE_FACTS if image_field is not None and image_field.is_image_file else ()

    def keys(self, rows: Rows) -> Text:
        """Return the keys of these samples, which must have some."""
        return cast(Text, self.column("key", rows))

    def column(self, name: str, rows: Rows) -> Column:
        """Return the values of a column for these samples."""
        if any(field.name == name for field in self.schema.columns):
            return self.entries(rows, [name]).columns[name]
        image_field = self.schema.image_field
        assert image_field is not None
        infos = self.entries(rows, [image_field.name]).infos[image_field.name]
        return np.ascontiguousarray(infos[name])

    @property
    def sizes(self) -> Rows:
        """Bytes of each main image, (n,); of all blobs if there is no main image."""
        image_field = self.schema.image_field
        if image_field is None:
            return self._bytes_of(self.schema.blobs)
        return self._bytes_of([image_field])

    @property
    def stored_bytes(self) -> int:
        """The sum of `sizes`, without an array of them."""
        image_field = self.schema.image_field
        blobs = self.schema.blobs if image_field is None else [image_field]
        names = [blob.name for blob in blobs]
        known = self.table.blob_bytes(names) if self.is_whole else None
        if known is not None:
            return known
        return sum(
            int(flat_values(spans)["length"].sum(dtype=np.uint64))
            for entries in self.blocks(names)
            for spans in entries.spans.values()
        )

    @property
    def mean_bytes(self) -> float:
        """Mean bytes of a sample's blobs, of all samples of the files. It reads no index."""
        return self.table.mean_bytes([blob.name for blob in self.schema.blobs])

    @property
    def sizes_beside(self) -> Rows:
        """Bytes of each sample's blobs other than the main image, (n,)."""
        image_field = self.schema.image_field
        if image_field is None:
            return self._bytes_of(())
        return self._bytes_of([blob for blob in self.schema.blobs if blob != image_field])

    def _bytes_of(self, blobs: Sequence[Field]) -> Rows:
        total: Rows = np.zeros(len(self), np.int64)
        first = 0
        for entries in self.blocks([blob.name for blob in blobs]) if blobs else ():
            of_block = total[first : first + len(entries)]
            for spans in entries.spans.values():
                np.add.at(of_block, owners(spans), flat_values(spans)["length"].astype(np.int64))
            first += len(entries)
        return total

    def class_cache(self, column: str) -> tuple[Path | None, str]:
        """Return the file that keeps the samples sorted by a column, and its key.

        The file lies beside the saved manifest or index. A part of a dataset has none, nor has a
        small dataset, which is sorted in 0.1 s.
        """
        is_large = len(self) >= _CACHED_CLASSES
        saved = self.table.saved_path if is_large and self.is_whole else None
        key = ":".join([*self.fingerprints().values(), column])
        return None if saved is None else classes_path(saved, column), key

    def fingerprints(self) -> dict[str, str]:
        """Return checksums by name. They differ for other samples or files, not for other paths."""
        files, samples = self.table.digest
        chosen = f"{samples} {self.selection.digest}".encode()
        return {
            "number of samples": str(len(self)),
            "fields": f"{crc32c(self.schema.to_json().encode()):08x}",
            "files": files,
            "choice of samples": f"{crc32c(chosen):08x}",
        }


def depth_of(entries: Index, field: Field) -> Depth:
    """Count the images of an index by their bits."""
    infos = flat_values(entries.infos[field.name])
    is_deep, is_readable = infos["bits"] == 16, infos["width"] > 0
    num_deep = int(np.count_nonzero(is_deep & is_readable))
    return Depth(num_deep, int(np.count_nonzero(is_readable)) - num_deep)
