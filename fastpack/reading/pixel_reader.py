"""PixelReader: stored arrays of pixels, read from spans, from chunks or through the container."""

import math
from collections.abc import Callable
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
from fastpack.reading.origins import chunk_places, origin_of

Pixels = npt.NDArray[Any]
Spans = npt.NDArray[Any]
# A stored array may have this many numbers for each of Limits.max_pixels.
_NUMBERS_A_PIXEL = 4
# Neighbors in a file are read together up to 1 MiB. Longer reads save nothing, and threads share
# them worse.
_JOINED_BYTES = 2**20


class PixelReader:
    """Reads arrays with spans or in chunks natively, and others through their containers.

    Methods take the entries of a batch: an Index of its samples.
    """

    def __init__(self, files: OpenShards) -> None:
        self._files = files

    def read(
        self, field: Field, entries: Index, options: DecodeOptions, out: Pixels | None = None
    ) -> tuple[Pixels, Failures]:
        """Return arrays (n, *field.shape) in the machine's byte order, and failures by position.

        With keep_going, arrays that fail have undefined values.

        - out: an array of that shape and dtype that receives them, or None for a new one.
        """
        if None in field.shape:
            message = f"{field.name} has another shape in another file; open the files separately"
            raise SchemaError(with_location(message, _first_location(entries)))
        _refuse_large(field, entries, options)
        dtype = np.dtype(field.dtype).newbyteorder("=")
        shape = (len(entries), *(size or 0 for size in field.shape))
        if out is not None and (out.shape != shape or out.dtype != dtype):
            raise ShapeError(f"out must be {dtype} {shape}, not {out.dtype} {out.shape}")
        if out is not None and out.flags.c_contiguous and out.flags.writeable:
            pixels = out
        else:
            pixels = options.memory.empty(shape, dtype)
        failures = self._fill(field, entries, pixels, options) if len(entries) else {}
        if not np.dtype(field.dtype).isnative:
            pixels.byteswap(inplace=True)
        if out is None or pixels is out:
            return pixels, failures
        out[...] = pixels
        return out, failures

    def _fill(
        self, field: Field, entries: Index, pixels: Pixels, options: DecodeOptions
    ) -> Failures:
        """Fill `pixels` with bytes as they are stored."""
        spans = entries.spans[field.name]
        has_span = spans["offset"] != NO_SPAN
        has_chunks = np.zeros(len(entries.shards), np.bool_)
        has_chunks[list(entries.chunks.get(field.name, ()))] = True
        in_chunks = ~has_span & has_chunks[entries.shard_numbers]
        flat = pixels.reshape(-1).view(np.uint8)

        def from_spans(positions: Rows) -> None:
            self._read_spans(entries, spans, positions, flat, options)

        def from_chunks(positions: Rows) -> None:
            self._read_chunks(field, entries, positions, flat, options)

        def from_container(positions: Rows) -> None:
            _fetch(field, entries, positions, pixels)

        ways: list[Way] = [
            (has_span, from_spans),
            (in_chunks, from_chunks),
            (~has_span & ~in_chunks, from_container),
        ]
        failures = read_each(ways, options.keep_going)
        if options.check_pixels:
            failures |= _differing(entries, spans, flat, failures, options)
        return failures

    def _read_spans(
        self,
        entries: Index,
        spans: Spans,
        positions: Rows,
        flat: Pixels,
        options: DecodeOptions,
    ) -> None:
        in_files = wanted = spans if len(positions) == len(spans) else spans[positions]
        sample_bytes = int(spans["length"][0])
        firsts = np.arange(len(positions))
        if entries.fetched is None:
            firsts = _first_of_neighbors(wanted, positions)
        if len(firsts) < len(wanted):
            in_files = wanted = wanted[firsts]
            wanted["length"] *= np.diff(firsts, append=len(positions)).astype(np.uint64)
        positions = positions[firsts]
        origin, wanted = origin_of(entries, self._files, wanted)
        job = Gather(
            wanted,
            flat,
            positions * sample_bytes,
            fds=origin.fds,
            memories=origin.memories,
            check=options.check,
        )
        outcomes = run_in_threads(job.run, options.workers_for(len(wanted)))

        def location_of(row: int, offset: int) -> Location:
            moved_by = int(in_files["offset"][row]) - int(wanted["offset"][row])
            return entries.location(int(positions[row]), offset=offset + moved_by)

        _raise_first(outcomes, location_of)

    def _read_chunks(
        self, field: Field, entries: Index, positions: Rows, flat: Pixels, options: DecodeOptions
    ) -> None:
        shard_numbers = entries.shard_numbers[positions]
        fetched = entries.fetched
        fds = None
        if fetched is None:
            fds = self._files.descriptors(entries.shards, shard_numbers)
        jobs = []
        for number in distinct(shard_numbers):
            table = entries.chunks[field.name][number]
            chosen = positions[shard_numbers == number]
            wanted = table.wanted(entries.record_numbers[chosen], chosen)
            located = None
            if fetched is not None:
                located = chunk_places(table, wanted[0], number, fetched)
            job = ReadChunks(
                -1 if fds is None else int(fds[number]),
                table.chunks,
                table.filters,
                table.fill,
                shape=table.shape,
                chunk_shape=table.chunk_shape,
                wanted=wanted,
                out=flat,
                memories=None if fetched is None else fetched.memories,
                located=located,
            )
            jobs.append(job)
        num_workers = options.workers_for(len(positions))
        outcomes = run_in_threads(lambda: [job.run() for job in jobs], num_workers)
        _raise_first(
            [outcome for of_thread in outcomes for outcome in of_thread],
            lambda row, offset: entries.location(row, offset=offset),
        )


def _first_location(entries: Index) -> Location:
    return entries.location(0) if len(entries) else Location()


def _refuse_large(field: Field, entries: Index, options: DecodeOptions) -> None:
    """Raise LimitError: a damaged file may claim any size for samples that it lacks."""
    limit = _NUMBERS_A_PIXEL * options.limits.max_pixels
    count = math.prod(size or 0 for size in field.shape)
    if count > limit and len(entries):
        message = f"a sample of {field.name} has {count} numbers, more than {limit}"
        remedy = "raise max_pixels if the file is real"
        raise LimitError(with_location(f"{message}; {remedy}", _first_location(entries)))


def _differing(
    entries: Index, spans: Spans, flat: Pixels, failures: Failures, options: DecodeOptions
) -> Failures:
    """Return the pixels that differ from a checksum that reading has not compared."""
    is_known = (spans["record_length"] == 0) & (spans["crc32c"] != 0)
    is_known[list(failures)] = False
    offsets = np.arange(len(entries) + 1) * (len(flat) // len(entries))
    differs = is_known & (crc32c_rows(flat, offsets) != spans["crc32c"])
    message = "the pixels differ from their CRC32C"
    found: Failures = {
        row: status_error(Status.BAD_DATA_CRC, message, entries.location(row))
        for row in np.flatnonzero(differs).tolist()
    }
    if found and not options.keep_going:
        raise found[min(found)]
    return found


def _raise_first(outcomes: list[Outcome], location_of: Callable[[int, int], Location]) -> None:
    """Raise the failure of the lowest row; `location_of` takes its row and offset."""
    failures = [outcome for outcome in outcomes if outcome]
    if failures:
        first = min(failures, key=lambda failure: failure[2])
        raise outcome_error(first, location_of(first[2], first[3]))


def _fetch(field: Field, entries: Index, positions: Rows, pixels: Pixels) -> None:
    as_stored = pixels.view(np.dtype(field.dtype))
    fetched = fetch(entries, field, positions)
    for position, values in zip(positions.tolist(), fetched, strict=True):
        if values.shape != pixels.shape[1:] or values.dtype != as_stored.dtype:
            message = f"{field.source_name} differs from the index; delete the index"
            location = entries.location(position)
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
