"""BlobReader: the stored bytes of samples, mostly encoded images, from any container."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.gather import advise_willneed
from fastpack.core.dtypes import IMAGE_INFO, NO_SPAN, SPAN, Rows
from fastpack.core.ragged import Ragged, flat_values, offsets_of, owners
from fastpack.core.schema import Field
from fastpack.errors import Location, OptionError, changed_file_error
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
from fastpack.reading.fetching import distinct, fetch, read_each


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


class BlobReader:
    """Reads blobs with spans natively and others through their containers. Thread-safe."""

    def __init__(self, index: Index, files: OpenShards) -> None:
        self._index, self._files = index, files

    def images(self, field: Field, rows: Rows, options: DecodeOptions) -> EncodedImages:
        """Return where the blobs of these samples are, and facts of image headers.

        For a field of lists, these are the blobs of all lists joined: see `list_offsets`.
        """
        # For structured arrays, take() is seven times as fast as [rows].
        spans = self._index.spans[field.name].take(rows)
        if field.is_image_file:
            infos = self._index.infos[field.name].take(rows)
        else:
            infos = np.zeros(len(rows), IMAGE_INFO)
        if isinstance(spans, Ragged):
            return self._of_lists(spans, flat_values(infos), rows, options)

        def location_of(row: int) -> Location:
            offset = int(spans["offset"][row])
            known = None if offset == NO_SPAN else offset
            return self._index.location(int(rows[row]), offset=known)

        has_span = spans["offset"] != NO_SPAN
        seek_points = self._index.seek_points.get(field.name)
        on_disk = EncodedImages(
            SpanSource(fds=self._files.descriptors(spans["shard"][has_span])),
            spans,
            infos,
            location_of,
            seek_points=None if seek_points is None else seek_points.take(rows),
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
        """Return where each sample's list begins and ends among the blobs of `images`: (n + 1,)."""
        offsets: Rows = self._index.spans[field.name].offsets
        return offsets_of(offsets[1:][rows] - offsets[:-1][rows])

    def _of_lists(
        self, spans: Ragged, infos: npt.NDArray[Any], rows: Rows, options: DecodeOptions
    ) -> EncodedImages:
        """Return the blobs of lists.

        A TFRecord's checksum covers the whole record, so the blobs of one record are read together.
        Otherwise each blob would read its record again.
        """
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
        moved = np.zeros(len(flat), SPAN)
        starts = lists.offsets[:-1][of_blob].astype(np.uint64)
        moved["offset"] = flat["offset"] - firsts["offset"][of_blob] + starts
        moved["length"] = flat["length"]
        lost = np.isin(of_blob, list(failed))
        moved[lost] = np.zeros(1, SPAN)
        failures = {blob: failed[int(of_blob[blob])] for blob in np.flatnonzero(lost).tolist()}
        return EncodedImages(SpanSource(memory=lists.values), moved, infos, location_of, failures)

    @property
    def formats(self) -> list[int]:
        """The image formats in the dataset, by their numbers in IMAGE_INFO."""
        found = [np.bincount(flat_values(infos)["format"]) for infos in self._index.infos.values()]
        return [number for counts in found for number in np.flatnonzero(counts).tolist()]

    def import_modules(self) -> None:
        """Import what reading these blobs imports."""
        # Blobs in lists always have spans.
        fetched = [
            spans["offset"] == NO_SPAN
            for spans in self._index.spans.values()
            if not isinstance(spans, Ragged)
        ]
        if not any(lost.any() for lost in fetched):
            return
        import numpy.ma  # noqa: F401  # by np.unique

        for number in distinct(self._index.shard_numbers[np.logical_or.reduce(fetched)]):
            registry.named(self._index.shards[number].container).import_for_fetching()

    def depth(self, field: Field) -> Depth:
        """Count the images with 16 bits a channel, and the others."""
        infos = flat_values(self._index.infos[field.name])
        is_deep, is_readable = infos["bits"] == 16, infos["width"] > 0
        num_deep = int(np.count_nonzero(is_deep & is_readable))
        return Depth(num_deep, int(np.count_nonzero(is_readable)) - num_deep)

    def upright_sizes(
        self, rows: Rows, orient: bool
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
        """Return widths and heights of the images that masks belong to, or None without images.

        They are 0 where a header cannot be read.
        """
        image_field = self._index.schema.image_field
        if image_field is None:
            return None
        if image_field.kind == "pixels":
            height, width = (*image_field.image_shape, None, None)[:2]
            return np.full(len(rows), width or 0), np.full(len(rows), height or 0)
        widths, heights = upright_sizes(self._index.infos[image_field.name].take(rows), orient, {})
        return widths.astype(np.int64), heights.astype(np.int64)

    def file_of(self, rows: Rows) -> Location:
        """Return the file of the first of these samples."""
        first = self._index.location(int(rows[0])).path if len(rows) else self._index.shards[0].path
        return Location(first)

    def heads(self, field: Field, rows: Rows, num_bytes: int, options: DecodeOptions) -> Ragged:
        """Return the first bytes of encoded images, unchecked; empty for unreadable ones."""
        options = replace(options, keep_going=True)
        encoded = self.images(field, rows, options)
        spans = encoded.spans.copy()
        spans["length"] = np.minimum(spans["length"], np.uint64(num_bytes))
        spans["record_length"] = 0
        return read_good_blobs(replace(encoded, spans=spans), options)[0]

    def advise_willneed(self, rows: Rows) -> None:
        """Ask the OS to load the blobs of these samples."""
        for field in self._index.schema.blobs:
            spans = flat_values(self._index.spans[field.name].take(rows))
            spans = spans[spans["offset"] != NO_SPAN]
            in_order = spans[np.lexsort((spans["offset"], spans["shard"]))]
            advise_willneed(in_order, self._files.descriptors(in_order["shard"]))

    def _in_memory(
        self, field: Field, rows: Rows, encoded: EncodedImages, options: DecodeOptions
    ) -> tuple[Ragged, Failures]:
        """Read blobs with and without spans into memory; those that fail are empty."""
        has_span, lengths = encoded.spans["offset"] != NO_SPAN, encoded.spans["length"]
        blobs = [b""] * len(rows)

        def read_spans(positions: Rows) -> None:
            found, _ = read_good_blobs(encoded.take(positions), replace(options, keep_going=False))
            for row, position in enumerate(positions.tolist()):
                blobs[position] = found.bytes(row)

        def read_others(positions: Rows) -> None:
            fetched = fetch(self._index, field, rows[positions])
            for position, blob in zip(positions.tolist(), fetched, strict=True):
                data = np.asarray(blob).tobytes()
                if len(data) != lengths[position]:
                    raise changed_file_error(encoded.location_of(position))
                blobs[position] = data

        failures = read_each([(has_span, read_spans), (~has_span, read_others)], keep_going=True)
        return Ragged.of_bytes(blobs), failures


def _share_records(spans: npt.NDArray[Any], owner: Rows) -> bool:
    """Return True if the blobs of each list are in order in one record with one checksum."""
    is_next = owner[1:] == owner[:-1]
    before, after = spans[:-1][is_next], spans[1:][is_next]
    ends = before["offset"] + before["length"]
    inside = (spans["offset"] >= spans["record_offset"]) & (
        spans["offset"] + spans["length"] <= spans["record_offset"] + spans["record_length"]
    )
    same = (
        (before["record_offset"] == after["record_offset"])
        & (before["shard"] == after["shard"])
        & (ends <= after["offset"])
    )
    return len(after) > 0 and bool(inside.all() and same.all())
