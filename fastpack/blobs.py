"""Blobs: the stored images and arrays of an index's samples, wherever they lie."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack import containers
from fastpack.codecs.batch import DecodeOptions, Origin, Pictures, read_blobs
from fastpack.errors import FormatError, Place, at
from fastpack.headers import probe_blobs
from fastpack.index import Index
from fastpack.ragged import Ragged
from fastpack.schema import Field
from fastpack.shard import OpenShards
from fastpack.structs import IMAGE_INFO, NO_SPAN, SPAN

Rows = npt.NDArray[np.int64]


class Blobs:
    """What has a span is read from its file natively; the rest its container fetches. Thread-safe."""

    def __init__(self, index: Index, files: OpenShards) -> None:
        self._index, self._files = index, files

    def pictures(self, field: Field, rows: Rows) -> Pictures:
        """Where the encoded images (or bytes) of these samples are, and what their headers say."""
        spans = self._index.spans[field.name][rows]
        infos = self._index.infos[field.name][rows] if field.kind == "image" else np.zeros(len(rows), IMAGE_INFO)

        def place_of(row: int) -> Place:
            return self._index.place(int(rows[row]), offset=int(spans["offset"][row]))

        if (spans["offset"] != NO_SPAN).all():
            return Pictures(Origin(fds=self._files.descriptors(spans["shard"])), spans, infos, place_of)
        blobs = Ragged.of_bytes(np.asarray(blob).tobytes() for blob in self._fetch(field, rows))
        fetched = np.zeros(len(rows), SPAN)
        fetched["offset"], fetched["length"] = blobs.offsets[:-1], blobs.lengths
        if field.kind == "image":
            infos, _ = probe_blobs(blobs)
        return Pictures(Origin(memory=blobs.values), fetched, infos, place_of)

    def pixels(self, field: Field, rows: Rows, options: DecodeOptions) -> npt.NDArray[Any]:
        """Stored arrays (n, *field.shape), in the machine's byte order."""
        shape = tuple(size or 0 for size in field.shape)
        stored = np.dtype(field.dtype)
        spans = self._index.spans[field.name][rows]
        if (spans["offset"] == NO_SPAN).any():
            fetched = self._fetch(field, rows)
            if any(pixels.shape != shape or pixels.dtype != stored for pixels in fetched):
                message = f"{field.source_name} does not hold what the index says; delete the index"
                raise FormatError(at(message, self._index.place(int(rows[0]))))
            return np.stack(fetched).astype(stored.newbyteorder("=")) if fetched else np.empty((0, *shape), stored)
        pictures = self.pictures(field, rows)
        values = read_blobs(pictures, np.arange(len(rows)), options).values
        pixels: npt.NDArray[Any] = values.view(stored).reshape(len(rows), *shape)
        return pixels.astype(stored.newbyteorder("="), copy=False)

    def _fetch(self, field: Field, rows: Rows) -> list[Any]:
        """Blobs that have no span, shard by shard, through their container."""
        blobs: list[Any] = [None] * len(rows)
        shard_numbers = self._index.shard_numbers[rows]
        for number in np.unique(shard_numbers):
            shard = self._index.shards[number]
            positions = np.flatnonzero(shard_numbers == number)
            records = self._index.record_numbers[rows[positions]].tolist()
            fetched = containers.named(shard.container).fetch(shard.path, field.source_name, records)
            for position, blob in zip(positions, fetched, strict=True):
                blobs[position] = blob
        return blobs
