"""Origins: where the bytes of a batch are, and which bytes of its files it needs."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import NO_SPAN, Rows
from fastpack.core.ragged import flat_values
from fastpack.files.shard import OpenShards
from fastpack.formats.index.chunks import ChunkTable
from fastpack.formats.index.index import Index
from fastpack.images.decode import SpanSource
from fastpack.stores.fetched import Fetched
from fastpack.stores.ranges import Ranges

Spans = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
_ALL = slice(None)


def origin_of(
    entries: Index, files: OpenShards, spans: Spans, is_stored: Mask | slice = _ALL
) -> tuple[SpanSource, Spans]:
    """Return where the bytes of spans (n,) are, and the spans as they count there.

    Those of open files are unchanged. In memory that was fetched from stores, the shard of a span
    is the number of its memory.

    - is_stored: spans with an offset, (n,) bool; the others stay as they are.
    """
    if entries.fetched is None:
        return SpanSource(fds=files.descriptors(entries.shards, spans["shard"][is_stored])), spans
    moved = spans.copy()
    moved[is_stored] = _moved(spans[is_stored], entries.fetched)
    return SpanSource(memories=entries.fetched.memories), moved


def _moved(spans: Spans, fetched: Fetched) -> Spans:
    firsts, lengths = _extents(spans)
    numbers, offsets = fetched.locate(spans["shard"], firsts, lengths)
    moved = spans.copy()
    moved["shard"] = numbers
    moved["offset"] = spans["offset"] - firsts + offsets
    moved["record_offset"] = np.where(spans["record_length"] > 0, offsets, 0)
    return moved


def _extents(spans: Spans) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return offsets and lengths to read: the record if it has a checksum, else the blob."""
    has_record = spans["record_length"] > 0
    return (
        np.where(has_record, spans["record_offset"], spans["offset"]),
        np.where(has_record, spans["record_length"], spans["length"]),
    )


def chunk_places(
    table: ChunkTable, layers: Rows, shard: int, fetched: Fetched
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint64]]:
    """Return the memory and the offset of each chunk of some layers of the grid.

    Those of chunks that were never written are 0.
    """
    chunks = _chunks_of(table, layers)
    numbers, offsets = np.zeros(len(chunks), np.uint32), np.zeros(len(chunks), np.uint64)
    is_written = chunks["offset"] != NO_SPAN
    written = chunks[is_written]
    numbers[is_written], offsets[is_written] = fetched.locate(
        np.full(len(written), shard), written["offset"], written["length"]
    )
    return numbers, offsets


def _chunks_of(table: ChunkTable, layers: Rows) -> Spans:
    """Return the chunks of some layers of the grid, CHUNK."""
    per_layer = len(table.chunks) // table.grid[0]
    chunks: Spans = table.chunks.reshape(-1, per_layer)[layers].reshape(-1)
    return chunks


def ranges_of(entries: Index) -> Ranges:
    """Return the byte ranges that reading these samples needs, by number of the shard.

    Blobs that only their container can read are left out.
    """
    parts = [*_span_ranges(entries), *_chunk_ranges(entries)]
    if not parts:
        return Ranges(*(np.zeros(0, np.int64) for _ in range(3)))
    files, firsts, lengths = (np.concatenate(column) for column in zip(*parts, strict=True))
    starts = firsts.astype(np.int64)
    return Ranges(files.astype(np.int64), starts, starts + lengths.astype(np.int64))


def _span_ranges(entries: Index) -> Iterator[Sequence[npt.NDArray[Any]]]:
    for field in entries.schema.blobs:
        spans = flat_values(entries.spans[field.name])
        spans = spans[spans["offset"] != NO_SPAN]
        yield spans["shard"], *_extents(spans)


def _chunk_ranges(entries: Index) -> Iterator[Sequence[npt.NDArray[Any]]]:
    for name, tables in entries.chunks.items():
        in_chunks = entries.spans[name]["offset"] == NO_SPAN
        for number, table in tables.items():
            rows = np.flatnonzero(in_chunks & (entries.shard_numbers == number))
            if len(rows):
                layers = table.wanted(entries.record_numbers[rows], rows)[0]
                chunks = _chunks_of(table, layers)
                chunks = chunks[chunks["offset"] != NO_SPAN]
                yield np.full(len(chunks), number), chunks["offset"], chunks["length"]
