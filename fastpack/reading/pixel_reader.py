"""PixelReader: stored arrays of pixels, read from spans, from chunks or through the container."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.chunks import ReadChunks
from fastpack._native.crc32c import crc32c_rows
from fastpack._native.gather import Gather
from fastpack.core.dtypes import NO_SPAN, Rows
from fastpack.core.schema import Field
from fastpack.core.threads import run_in_threads
from fastpack.errors import (
    FormatError,
    LimitError,
    Location,
    Outcome,
    SchemaError,
    ShapeError,
    Status,
    outcome_error,
    status_error,
    with_location,
)
from fastpack.files.shard import OpenShards
from fastpack.formats.index.index import Index
from fastpack.images.decode import DecodeOptions, Failures
from fastpack.reading.fetching import Way, distinct, fetch, read_each

Pixels = npt.NDArray[Any]
Spans = npt.NDArray[Any]
# A stored array may have this many numbers for each of Limits.max_pixels.
_NUMBERS_A_PIXEL = 4
# Neighbors in a file are read together up to 1 MiB. Longer reads save nothing, and threads share
# them worse.
_JOINED_BYTES = 2**20


class PixelReader:
    """Reads arrays with spans or in chunks natively, and others through their containers."""

    def __init__(self, index: Index, files: OpenShards) -> None:
        self._index, self._files = index, files

    def read(
        self, field: Field, rows: Rows, options: DecodeOptions, out: Pixels | None = None
    ) -> tuple[Pixels, Failures]:
        """Return arrays (n, *field.shape) in the machine's byte order, and failures by position.

        With keep_going, arrays that fail have undefined values.

        - out: an array of that shape and dtype that receives them, or None for a new one.
        """
        if None in field.shape:
            message = f"{field.name} has another shape in another file; open the files separately"
            raise SchemaError(with_location(message, self._first_location(rows)))
        self._refuse_large(field, rows, options)
        dtype = np.dtype(field.dtype).newbyteorder("=")
        shape = (len(rows), *(size or 0 for size in field.shape))
        if out is not None and (out.shape != shape or out.dtype != dtype):
            raise ShapeError(f"out must be {dtype} {shape}, not {out.dtype} {out.shape}")
        if out is not None and out.flags.c_contiguous and out.flags.writeable:
            pixels = out
        else:
            pixels = options.memory.empty(shape, dtype)
        failures = self._fill(field, rows, pixels, options) if len(rows) else {}
        if not np.dtype(field.dtype).isnative:
            pixels.byteswap(inplace=True)
        if out is None or pixels is out:
            return pixels, failures
        out[...] = pixels
        return out, failures

    def _first_location(self, rows: Rows) -> Location:
        return self._index.location(int(rows[0])) if len(rows) else Location()

    def _refuse_large(self, field: Field, rows: Rows, options: DecodeOptions) -> None:
        """Raise LimitError: a damaged file may claim any size for samples that it lacks."""
        limit = _NUMBERS_A_PIXEL * options.limits.max_pixels
        count = math.prod(size or 0 for size in field.shape)
        if count > limit and len(rows):
            message = f"a sample of {field.name} has {count} numbers, more than {limit}"
            remedy = "raise max_pixels if the file is real"
            raise LimitError(with_location(f"{message}; {remedy}", self._first_location(rows)))

    def _fill(self, field: Field, rows: Rows, pixels: Pixels, options: DecodeOptions) -> Failures:
        """Fill `pixels` with bytes as they are stored."""
        index = self._index
        spans = index.spans[field.name].take(rows)
        has_span = spans["offset"] != NO_SPAN
        has_chunks = np.zeros(len(index.shards), np.bool_)
        has_chunks[list(index.chunks.get(field.name, ()))] = True
        in_chunks = ~has_span & has_chunks[index.shard_numbers[rows]]
        flat = pixels.reshape(-1).view(np.uint8)

        def from_spans(positions: Rows) -> None:
            self._read_spans(spans, positions, rows, flat, options)

        def from_chunks(positions: Rows) -> None:
            self._read_chunks(field, rows, positions, flat, options)

        def from_container(positions: Rows) -> None:
            self._fetch(field, rows, positions, pixels)

        ways: list[Way] = [
            (has_span, from_spans),
            (in_chunks, from_chunks),
            (~has_span & ~in_chunks, from_container),
        ]
        failures = read_each(ways, options.keep_going)
        if options.check_pixels:
            failures |= self._differing(rows, spans, flat, failures, options)
        return failures

    def _differing(
        self, rows: Rows, spans: Spans, flat: Pixels, failures: Failures, options: DecodeOptions
    ) -> Failures:
        """Return the pixels that differ from a checksum that reading has not compared."""
        is_known = (spans["record_length"] == 0) & (spans["crc32c"] != 0)
        is_known[list(failures)] = False
        offsets = np.arange(len(rows) + 1) * (len(flat) // len(rows))
        differs = is_known & (crc32c_rows(flat, offsets) != spans["crc32c"])
        message = "the pixels differ from their CRC32C"
        found: Failures = {
            row: status_error(Status.BAD_DATA_CRC, message, self._index.location(int(rows[row])))
            for row in np.flatnonzero(differs).tolist()
        }
        if found and not options.keep_going:
            raise found[min(found)]
        return found

    def _read_spans(
        self, spans: Spans, positions: Rows, rows: Rows, flat: Pixels, options: DecodeOptions
    ) -> None:
        wanted = spans if len(positions) == len(spans) else spans[positions]
        firsts = _first_of_neighbors(wanted, positions)
        sample_bytes = int(spans["length"][0])
        if len(firsts) < len(wanted):
            wanted = wanted[firsts]
            wanted["length"] *= np.diff(firsts, append=len(positions)).astype(np.uint64)
        positions = positions[firsts]
        fds = self._files.descriptors(wanted["shard"])
        job = Gather(wanted, flat, positions * sample_bytes, fds=fds, check=options.check)
        outcomes = run_in_threads(job.run, options.workers_for(len(wanted)))
        self._raise_first(outcomes, rows[positions])

    def _read_chunks(
        self, field: Field, rows: Rows, positions: Rows, flat: Pixels, options: DecodeOptions
    ) -> None:
        shard_numbers = self._index.shard_numbers[rows[positions]]
        fds = self._files.descriptors(shard_numbers)
        jobs = []
        for number in distinct(shard_numbers):
            table = self._index.chunks[field.name][number]
            chosen = positions[shard_numbers == number]
            job = ReadChunks(
                int(fds[number]),
                table.chunks,
                table.filters,
                table.fill,
                shape=table.shape,
                chunk_shape=table.chunk_shape,
                wanted=table.wanted(self._index.record_numbers[rows[chosen]], chosen),
                out=flat,
            )
            jobs.append(job)
        num_workers = options.workers_for(len(positions))
        outcomes = run_in_threads(lambda: [job.run() for job in jobs], num_workers)
        self._raise_first([outcome for of_thread in outcomes for outcome in of_thread], rows)

    def _raise_first(self, outcomes: list[Outcome], rows: Rows) -> None:
        """Raise the failure of the lowest position among `rows`."""
        failures = [outcome for outcome in outcomes if outcome]
        if failures:
            first = min(failures, key=lambda failure: failure[2])
            location = self._index.location(int(rows[first[2]]), offset=first[3])
            raise outcome_error(first, location)

    def _fetch(self, field: Field, rows: Rows, positions: Rows, pixels: Pixels) -> None:
        as_stored = pixels.view(np.dtype(field.dtype))
        fetched = fetch(self._index, field, rows[positions])
        for position, values in zip(positions.tolist(), fetched, strict=True):
            if values.shape != pixels.shape[1:] or values.dtype != as_stored.dtype:
                message = f"{field.source_name} differs from the index; delete the index"
                location = self._index.location(int(rows[position]))
                raise FormatError(with_location(message, location))
            as_stored[position] = values


def _first_of_neighbors(spans: Spans, positions: Rows) -> Rows:
    """Return which spans begin a run of spans that are adjacent in their file and in the batch."""
    offsets, lengths, shards = spans["offset"], spans["length"], spans["shard"]
    record_lengths = spans["record_length"]
    max_joined = max(1, _JOINED_BYTES // max(1, int(lengths[0])))
    follows = np.zeros(len(spans), np.bool_)
    if max_joined > 1:
        follows[1:] = (offsets[1:] == offsets[:-1] + lengths[:-1]) & (shards[1:] == shards[:-1])
        follows[1:] &= positions[1:] == positions[:-1] + 1
        follows[1:] &= np.maximum(record_lengths[1:], record_lengths[:-1]) == 0
        follows[::max_joined] = False
    return np.flatnonzero(~follows)
