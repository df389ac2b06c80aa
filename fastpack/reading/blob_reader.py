"""Blobs: the stored images and arrays of an index's samples, wherever they lie."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.chunks import ReadChunks
from fastpack._native.crc32c import crc32c_rows
from fastpack._native.gather import Gather, advise_willneed
from fastpack.core.bisect import bisect
from fastpack.core.dtypes import IMAGE_INFO, NO_SPAN, SPAN, Rows
from fastpack.core.ragged import Ragged, flat_values, offsets_of, owners
from fastpack.core.schema import Field
from fastpack.core.threads import run_in_threads
from fastpack.errors import (
    FastpackError,
    FormatError,
    LimitError,
    Location,
    OptionError,
    Outcome,
    SchemaError,
    ShapeError,
    Status,
    changed_file_error,
    outcome_error,
    status_error,
    with_location,
)
from fastpack.files.shard import OpenShards
from fastpack.formats import registry
from fastpack.formats.index.index import Index
from fastpack.images.decode import (
    DecodeOptions,
    EncodedImages,
    Failures,
    SpanSource,
    read_good_blobs,
    upright_sizes,
)
from fastpack.images.headers import probe_blobs

Pixels = npt.NDArray[Any]
# Which positions of a batch are read in this way, and how.
Way = tuple[npt.NDArray[np.bool_], Callable[[Rows], None]]
# A stored array may have so many numbers for each of Limits.max_pixels.
_NUMBERS_A_PIXEL = 4
# Neighbours in the file are read at once, up to so many bytes: longer reads save nothing, and threads share them worse.
_JOINED_BYTES = 2**20


@dataclass(frozen=True)
class Depth:
    """How many of the images of a field have 16 bits a channel, and how many fewer, by their headers."""

    num_deep: int
    num_shallow: int

    @property
    def is_mixed(self) -> bool:
        return bool(self.num_deep and self.num_shallow)

    def refuse_mixture(self, field: Field) -> None:
        """Raises OptionError when some images have 16 bits and some do not."""
        if self.is_mixed:
            raise OptionError(
                f"{self.num_deep} images of {field.name!r} have 16 bits a channel and {self.num_shallow} have 8; "
                "open the dataset with bits=8 or bits=16 to say how all are read"
            )


class BlobReader:
    """What has a span is read from its file natively, and so is what lies in chunks; the rest its container fetches.
    Thread-safe."""

    def __init__(self, index: Index, files: OpenShards) -> None:
        self._index, self._files = index, files

    def images(self, field: Field, rows: Rows, options: DecodeOptions) -> EncodedImages:
        """Where the encoded images (or bytes) of these samples are, and what their headers say.

        Of a field that is a list, these are the blobs of all its lists, one after the other: see `list_offsets`.
        """
        spans = self._index.spans[field.name].take(
            rows
        )  # seven times as fast as [rows] for records
        infos = (
            self._index.infos[field.name].take(rows)
            if field.is_image_file
            else np.zeros(len(rows), IMAGE_INFO)
        )
        if isinstance(spans, Ragged):
            return self._of_lists(spans, flat_values(infos), rows, options)

        def location_of(row: int) -> Location:
            offset = int(spans["offset"][row])
            return self._index.location(
                int(rows[row]), offset=None if offset == NO_SPAN else offset
            )

        has_span = spans["offset"] != NO_SPAN
        seek_points = self._index.seek_points.get(field.name)
        marks = None if seek_points is None else seek_points.take(rows)
        on_disk = EncodedImages(
            SpanSource(fds=self._files.descriptors(spans["shard"][has_span])),
            spans,
            infos,
            location_of,
            seek_points=marks,
        )
        if has_span.all():
            return on_disk
        blobs, failures = self._in_memory(field, rows, on_disk, options)
        fetched = np.zeros(len(rows), SPAN)
        fetched["offset"], fetched["length"] = blobs.offsets[:-1], blobs.lengths
        if field.is_image_file:
            infos, _ = probe_blobs(blobs)
        return EncodedImages(SpanSource(memory=blobs.values), fetched, infos, location_of, failures)

    def list_offsets(self, field: Field, rows: Rows) -> Rows:
        """Where the list of each of these samples begins among the blobs that `pictures` finds, and ends: (n + 1,)."""
        offsets: Rows = self._index.spans[field.name].offsets
        return offsets_of(offsets[1:][rows] - offsets[:-1][rows])

    def _of_lists(
        self, spans: Ragged, infos: npt.NDArray[Any], rows: Rows, options: DecodeOptions
    ) -> EncodedImages:
        """The checksum of a TFRecord covers all of a record: so the blobs of one are read at once, not record after record for each."""
        flat, owner = spans.values, owners(spans)
        infos = infos if len(infos) == len(flat) else np.zeros(len(flat), IMAGE_INFO)

        def location_of(blob: int) -> Location:
            return self._index.location(int(rows[owner[blob]]), offset=int(flat["offset"][blob]))

        files = self._files.descriptors(flat["shard"])
        if not _share_records(flat, owner):
            return EncodedImages(SpanSource(fds=files), flat, infos, location_of)
        filled = np.flatnonzero(spans.lengths)
        firsts, lasts = flat[spans.offsets[:-1][filled]], flat[spans.offsets[1:][filled] - 1]
        joined = firsts.copy()
        joined["length"] = lasts["offset"] + lasts["length"] - firsts["offset"]
        on_disk = EncodedImages(
            SpanSource(fds=files),
            joined,
            np.zeros(len(joined), IMAGE_INFO),
            lambda row: self._index.location(int(rows[filled[row]])),
        )
        lists, failed = read_good_blobs(on_disk, options)
        number = np.zeros(len(rows), np.int64)
        number[filled] = np.arange(len(filled))
        of_blob = number[owner]
        placed = np.zeros(len(flat), SPAN)
        placed["offset"] = (
            flat["offset"]
            - firsts["offset"][of_blob]
            + lists.offsets[:-1][of_blob].astype(np.uint64)
        )
        placed["length"] = flat["length"]
        lost = np.isin(of_blob, list(failed))
        placed[lost] = np.zeros(1, SPAN)
        failures = {blob: failed[int(of_blob[blob])] for blob in np.flatnonzero(lost).tolist()}
        return EncodedImages(SpanSource(memory=lists.values), placed, infos, location_of, failures)

    @property
    def formats(self) -> list[int]:
        """The image formats that there are, as IMAGE_INFO has them."""
        found = [np.bincount(flat_values(infos)["format"]) for infos in self._index.infos.values()]
        return [number for counts in found for number in np.flatnonzero(counts).tolist()]

    def import_modules(self) -> None:
        """Imports what reading these blobs imports."""
        # Lists have spans wherever they lie.
        fetched = [
            spans["offset"] == NO_SPAN
            for spans in self._index.spans.values()
            if not isinstance(spans, Ragged)
        ]
        if not any(lost.any() for lost in fetched):
            return
        import numpy.ma  # noqa: F401  # by np.unique

        for number in _distinct(self._index.shard_numbers[np.logical_or.reduce(fetched)]):
            registry.named(self._index.shards[number].container).import_for_fetching()

    def depth(self, field: Field) -> Depth:
        infos = flat_values(self._index.infos[field.name])
        is_deep, is_readable = infos["bits"] == 16, infos["width"] > 0
        num_deep = int(np.count_nonzero(is_deep & is_readable))
        return Depth(num_deep, int(np.count_nonzero(is_readable)) - num_deep)

    def upright_sizes(
        self, rows: Rows, orient: bool
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
        """Widths and heights of the images that masks follow, 0 where a header cannot be read; None without an image."""
        image_field = self._index.schema.image_field
        if image_field is None:
            return None
        if image_field.kind == "pixels":
            height, width = (*image_field.image_shape, None, None)[:2]
            return np.full(len(rows), width or 0), np.full(len(rows), height or 0)
        widths, heights = upright_sizes(self._index.infos[image_field.name].take(rows), orient, {})
        return widths.astype(np.int64), heights.astype(np.int64)

    def file_of(self, rows: Rows) -> Location:
        """The file that the first of these samples is in."""
        return Location(
            self._index.location(int(rows[0])).path if len(rows) else self._index.shards[0].path
        )

    def heads(self, field: Field, rows: Rows, num_bytes: int, options: DecodeOptions) -> Ragged:
        """The first bytes of the encoded images, which no checksum covers; none of those that cannot be read."""
        options = replace(options, keep_going=True)
        encoded = self.images(field, rows, options)
        spans = encoded.spans.copy()
        spans["length"], spans["record_length"] = (
            np.minimum(spans["length"], np.uint64(num_bytes)),
            0,
        )
        return read_good_blobs(replace(encoded, spans=spans), options)[0]

    def advise_willneed(self, rows: Rows) -> None:
        """Tells the system that these samples will be read soon."""
        for field in self._index.schema.blobs:
            spans = flat_values(self._index.spans[field.name].take(rows))
            spans = spans[spans["offset"] != NO_SPAN]
            in_order = spans[np.lexsort((spans["offset"], spans["shard"]))]
            advise_willneed(in_order, self._files.descriptors(in_order["shard"]))

    def _in_memory(
        self, field: Field, rows: Rows, encoded: EncodedImages, options: DecodeOptions
    ) -> tuple[Ragged, Failures]:
        """Those that are fetched, and those that lie in other files of the same batch; nothing for one that fails."""
        has_span, lengths = encoded.spans["offset"] != NO_SPAN, encoded.spans["length"]
        blobs = [b""] * len(rows)

        def read(positions: Rows) -> None:
            read, _ = read_good_blobs(encoded.take(positions), replace(options, keep_going=False))
            for row, position in enumerate(positions.tolist()):
                blobs[position] = read.bytes(row)

        def fetch(positions: Rows) -> None:
            for position, blob in zip(
                positions.tolist(), self._fetch(field, rows[positions]), strict=True
            ):
                data = np.asarray(blob).tobytes()
                if len(data) != lengths[position]:
                    raise changed_file_error(encoded.location_of(position))
                blobs[position] = data

        failures = _read_each([(has_span, read), (~has_span, fetch)], keep_going=True)
        return Ragged.of_bytes(blobs), failures

    def pixels(
        self, field: Field, rows: Rows, options: DecodeOptions, out: Pixels | None = None
    ) -> tuple[Pixels, Failures]:
        """Stored arrays (n, *field.shape), in the machine's byte order; with keep_going, any pixels for those that fail.

        - out: an array of that shape and dtype that receives them; else there is a new one.

        Raises ShapeError when `out` is another, SchemaError when shards hold arrays of different shapes.
        """
        if None in field.shape:
            message = f"{field.name} has another shape in another file; open the files apart"
            raise SchemaError(
                with_location(
                    message, self._index.location(int(rows[0])) if len(rows) else Location()
                )
            )
        self._refuse_large(field, rows, options)
        stored = np.dtype(field.dtype)
        shape = (len(rows), *(size or 0 for size in field.shape))
        if out is not None and (out.shape != shape or out.dtype != stored.newbyteorder("=")):
            raise ShapeError(
                f"out must be {stored.newbyteorder('=')} {shape}, not {out.dtype} {out.shape}"
            )
        is_direct = out is not None and out.flags.c_contiguous and out.flags.writeable
        pixels = (
            out
            if out is not None and is_direct
            else options.memory.empty(shape, stored.newbyteorder("="))
        )
        failures = self._read_pixels(field, rows, pixels, options) if len(rows) else {}
        if not stored.isnative:
            pixels.byteswap(inplace=True)
        if out is None or is_direct:
            return pixels, failures
        out[...] = pixels
        return out, failures

    def _refuse_large(self, field: Field, rows: Rows, options: DecodeOptions) -> None:
        """A dataset may claim any size for samples that were never written."""
        most, numbers = (
            _NUMBERS_A_PIXEL * options.limits.max_pixels,
            math.prod(size or 0 for size in field.shape),
        )
        if numbers > most and len(rows):
            message = f"a sample of {field.name} has {numbers} numbers, more than {most}; raise max_pixels if the file is real"
            raise LimitError(with_location(message, self._index.location(int(rows[0]))))

    def _read_pixels(
        self, field: Field, rows: Rows, pixels: Pixels, options: DecodeOptions
    ) -> Failures:
        """Fills `pixels` with bytes as they are stored."""
        spans = self._index.spans[field.name].take(rows)
        has_span = spans["offset"] != NO_SPAN
        has_chunks = np.zeros(len(self._index.shards), np.bool_)
        has_chunks[list(self._index.chunks.get(field.name, ()))] = True
        in_chunks = ~has_span & has_chunks[self._index.shard_numbers[rows]]
        flat = pixels.reshape(-1).view(np.uint8)
        ways: list[Way] = [
            (has_span, lambda positions: self._read_spans(spans, positions, rows, flat, options)),
            (in_chunks, lambda positions: self._read_chunks(field, rows, positions, flat, options)),
            (
                ~has_span & ~in_chunks,
                lambda positions: self._fetch_pixels(field, rows, positions, pixels),
            ),
        ]
        failures = _read_each(ways, options.keep_going)
        return (
            failures | self._differing(rows, spans, flat, failures, options)
            if options.check_pixels
            else failures
        )

    def _differing(
        self,
        rows: Rows,
        spans: npt.NDArray[Any],
        flat: Pixels,
        failures: Failures,
        options: DecodeOptions,
    ) -> Failures:
        """Which of the pixels that were read differ from a checksum that reading them did not compare."""
        is_known = (spans["record_length"] == 0) & (spans["crc32c"] != 0)
        is_known[list(failures)] = False
        sample_bytes = len(flat) // len(rows)
        differs = is_known & (
            crc32c_rows(flat, np.arange(len(rows) + 1) * sample_bytes) != spans["crc32c"]
        )
        message = "the pixels differ from their CRC32C"
        found = {
            row: status_error(Status.BAD_DATA_CRC, message, self._index.location(int(rows[row])))
            for row in np.flatnonzero(differs).tolist()
        }
        if found and not options.keep_going:
            raise found[min(found)]
        return found

    def _read_spans(
        self,
        spans: npt.NDArray[Any],
        positions: Rows,
        rows: Rows,
        flat: Pixels,
        options: DecodeOptions,
    ) -> None:
        wanted = spans if len(positions) == len(spans) else spans[positions]
        firsts = _first_of_neighbours(wanted, positions)
        sample_bytes = int(spans["length"][0])
        if len(firsts) < len(wanted):
            wanted = wanted[firsts]
            wanted["length"] *= np.diff(firsts, append=len(positions)).astype(np.uint64)
        positions = positions[firsts]
        job = Gather(
            wanted,
            flat,
            positions * sample_bytes,
            fds=self._files.descriptors(wanted["shard"]),
            check=options.check,
        )
        self._raise_first(
            run_in_threads(job.run, options.workers_for(len(wanted))), rows, positions
        )

    def _read_chunks(
        self, field: Field, rows: Rows, positions: Rows, flat: Pixels, options: DecodeOptions
    ) -> None:
        shard_numbers = self._index.shard_numbers[rows[positions]]
        fds = self._files.descriptors(shard_numbers)
        jobs = []
        for number in _distinct(shard_numbers):
            table = self._index.chunks[field.name][number]
            chosen = positions[shard_numbers == number]
            jobs.append(
                ReadChunks(
                    int(fds[number]),
                    table.chunks,
                    table.filters,
                    table.fill,
                    shape=table.shape,
                    chunk_shape=table.chunk_shape,
                    wanted=table.wanted(self._index.record_numbers[rows[chosen]], chosen),
                    out=flat,
                )
            )
        outcomes = run_in_threads(
            lambda: [job.run() for job in jobs], options.workers_for(len(positions))
        )
        self._raise_first([outcome for of_thread in outcomes for outcome in of_thread], rows)

    def _raise_first(
        self, outcomes: list[Outcome], rows: Rows, positions: Rows | None = None
    ) -> None:
        failures = [outcome for outcome in outcomes if outcome]
        if failures:
            first = min(failures, key=lambda failure: failure[2])
            row = first[2] if positions is None else int(positions[first[2]])
            raise outcome_error(first, self._index.location(int(rows[row]), offset=first[3]))

    def _fetch_pixels(self, field: Field, rows: Rows, positions: Rows, pixels: Pixels) -> None:
        as_stored = pixels.view(np.dtype(field.dtype))
        for position, values in zip(
            positions.tolist(), self._fetch(field, rows[positions]), strict=True
        ):
            if values.shape != pixels.shape[1:] or values.dtype != as_stored.dtype:
                message = f"{field.source_name} does not hold what the index says; delete the index"
                raise FormatError(with_location(message, self._index.location(int(rows[position]))))
            as_stored[position] = values

    def _fetch(self, field: Field, rows: Rows) -> list[Any]:
        """Blobs that have no span, shard by shard, through their container."""
        blobs: list[Any] = [None] * len(rows)
        shard_numbers = self._index.shard_numbers[rows]
        for number in _distinct(shard_numbers):
            shard = self._index.shards[number]
            positions = np.flatnonzero(shard_numbers == number)
            records = self._index.record_numbers[rows[positions]].tolist()
            files = None if self._index.files is None else self._index.files.take(rows[positions])
            try:
                fetched = registry.named(shard.container).fetch(shard, field, records, files)
            except FastpackError as error:
                if len(rows) > 1:
                    raise
                location = self._index.location(
                    int(rows[0])
                )  # what was asked for alone is what failed
                raise type(error)(*error.args[:-1], with_location(str(error), location)) from error
            for position, blob in zip(positions, fetched, strict=True):
                blobs[position] = blob
        return blobs


def _share_records(spans: npt.NDArray[Any], owner: Rows) -> bool:
    """True where the blobs of each list lie one behind the other in one record, which has one checksum."""
    is_next = owner[1:] == owner[:-1]
    before, behind = spans[:-1][is_next], spans[1:][is_next]
    ends = before["offset"] + before["length"]
    inside = (spans["offset"] >= spans["record_offset"]) & (
        spans["offset"] + spans["length"] <= spans["record_offset"] + spans["record_length"]
    )
    same = (
        (before["record_offset"] == behind["record_offset"])
        & (before["shard"] == behind["shard"])
        & (ends <= behind["offset"])
    )
    return len(behind) > 0 and bool(inside.all() and same.all())


def _distinct(numbers: npt.NDArray[np.uint32]) -> list[int]:
    return np.flatnonzero(np.bincount(numbers)).tolist()


def _read_each(ways: list[Way], keep_going: bool) -> Failures:
    """Read the rows of each way together. Returns the failures, or raises the one of the lowest row."""
    failures: Failures = {}
    for is_read, read in ways:
        for rows, result in bisect(read, np.flatnonzero(is_read)):
            if isinstance(result, FastpackError):
                failures[int(rows[0])] = result
                if not keep_going:
                    break
    if failures and not keep_going:
        raise failures[min(failures)]
    return failures


def _first_of_neighbours(spans: npt.NDArray[Any], positions: Rows) -> Rows:
    """Which spans begin a run of some that follow one another both in their file and in the batch."""
    offsets, lengths = spans["offset"], spans["length"]
    most = max(1, _JOINED_BYTES // max(1, int(lengths[0])))
    follows = np.zeros(len(spans), np.bool_)
    if most > 1:
        follows[1:] = (offsets[1:] == offsets[:-1] + lengths[:-1]) & (
            spans["shard"][1:] == spans["shard"][:-1]
        )
        follows[1:] &= (positions[1:] == positions[:-1] + 1) & (
            np.maximum(spans["record_length"][1:], spans["record_length"][:-1]) == 0
        )
        follows[::most] = False
    return np.flatnonzero(~follows)
