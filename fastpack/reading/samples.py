"""The samples of a Reader, and what it shares with the Readers made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Self, SupportsIndex

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.core.buffer_pool import BufferPool
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged, digest, flat_values, owners
from fastpack.core.schema import Field
from fastpack.errors import OptionError, OutOfRangeError
from fastpack.files.shard import OpenShards
from fastpack.formats.index.arrays import Column
from fastpack.formats.index.index import Index
from fastpack.formats.index.seek_point_cache import SeekPointCache

# Sample numbers, as users give them.
Indices = Sequence[SupportsIndex] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples that a Reader reads, and the files that they are in.

    - index: one row for each sample.
    - files: the open shards.
    - numbers (n,): int64. Random transforms draw by these, so a subset keeps its crops.
    - part_sizes: samples of each dataset that `concat` joined.
    - memory: where batches are written.
    - seek_point_cache: seek points found while reading, shared with subsets.
    """

    index: Index
    files: OpenShards
    numbers: Rows
    part_sizes: tuple[int, ...]
    memory: BufferPool
    seek_point_cache: SeekPointCache | None = None

    @classmethod
    def of(cls, index: Index, part_sizes: tuple[int, ...] = ()) -> Self:
        """Take all samples of an index."""
        count = len(index)
        files = OpenShards(index.shards)
        return cls(index, files, np.arange(count), part_sizes or (count,), BufferPool())

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
        count = len(self.index)
        if rows.min() < -count or rows.max() >= count:
            missing = rows.max() if rows.max() >= count else rows.min()
            raise OutOfRangeError(f"there is no sample {missing} among {count}")
        rows = rows.astype(np.int64)
        return np.where(rows < 0, rows + count, rows)

    def take(self, rows: Rows) -> Self:
        """Take some samples; files and seek points are shared, memory is not."""
        return replace(
            self,
            index=self.index.take(rows),
            numbers=self.numbers[rows],
            part_sizes=(len(rows),),
            memory=BufferPool(),
        )

    def with_seek_point_cache(self) -> Self:
        """Add a cache for the image fields that have no seek points."""
        if self.seek_point_cache is not None:
            return self
        missing = [
            name
            for name, infos in self.index.infos.items()
            if name not in self.index.seek_points and not isinstance(infos, Ragged)
        ]
        num_samples = int(self.numbers.max(initial=-1)) + 1
        return replace(self, seek_point_cache=SeekPointCache(missing, num_samples))

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns in memory; for the main image also width, height and so on."""
        columns = dict(self.index.columns)
        image_field = self.index.schema.image_field
        if image_field is not None and image_field.name in self.index.infos:
            infos = self.index.infos[image_field.name]
            names = [name for name in infos.dtype.names or () if name != "reserved"]
            facts: dict[str, Column] = {name: infos[name] for name in names}
            columns = facts | columns
        return MappingProxyType(columns)

    @property
    def sizes(self) -> Rows:
        """Bytes of each main image, (n,); of all blobs if there is no main image."""
        image_field = self.index.schema.image_field
        if image_field is not None:
            return np.asarray(self.index.spans[image_field.name]["length"], np.int64)
        return self._bytes_of(self.index.schema.blobs)

    @property
    def sizes_beside(self) -> Rows:
        """Bytes of each sample's blobs other than the main image, (n,)."""
        image_field = self.index.schema.image_field
        if image_field is None:
            return self._bytes_of(())
        return self._bytes_of([blob for blob in self.index.schema.blobs if blob != image_field])

    def _bytes_of(self, blobs: Sequence[Field]) -> Rows:
        total: Rows = np.zeros(len(self.index), np.int64)
        for spans in (self.index.spans[blob.name] for blob in blobs):
            np.add.at(total, owners(spans), flat_values(spans)["length"].astype(np.int64))
        return total

    def fingerprints(self) -> dict[str, str]:
        """Return checksums by name. They differ for other samples or files, not for other paths."""
        index = self.index
        files = repr([(shard.size, shard.fingerprint) for shard in index.shards]).encode()
        return {
            "number of samples": str(len(index)),
            "fields": f"{crc32c(index.schema.to_json().encode()):08x}",
            "files": f"{crc32c(files):08x}",
            "choice of samples": digest(np.stack([index.shard_numbers, index.record_numbers])),
        }
