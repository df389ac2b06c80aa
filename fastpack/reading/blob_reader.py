"""BlobReader: the stored bytes of samples, mostly encoded images, from any container."""

import os
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.gather import advise_willneed
from fastpack.core.dtypes import IMAGE_INFO, NO_SPAN, SPAN, Rows
from fastpack.core.ragged import Ragged, flat_values, owners
from fastpack.core.schema import Field
from fastpack.errors import Location, changed_file_error
from fastpack.files.shard import OpenShards
from fastpack.formats import registry
from fastpack.formats.index.index import Index
from fastpack.formats.table import Table
from fastpack.images.decode import (
    DecodeOptions,
    EncodedImages,
    Failures,
    SpanSource,
    read_good_blobs,
    upright_sizes,
)
from fastpack.images.headers import probe_blobs
from fastpack.reading.fetching import fetch, read_each
from fastpack.reading.origins import origin_of


class BlobReader:
    """Reads blobs with spans natively and others through their containers. Thread-safe.

    Methods take the entries of a batch: an Index of its samples.
    """

    def __init__(self, table: Table, files: OpenShards) -> None:
        self._table, self._files = table, files

    def images(self, field: Field, entries: Index, options: DecodeOptions) -> EncodedImages:
        """Return where the blobs of these samples are, and facts of image headers.

        For a field of lists, these are the blobs of all lists joined: see `list_offsets`.
        """
        spans = entries.spans[field.name]
        if field.is_image_file:
            infos = entries.infos[field.name]
        else:
            infos = np.zeros(len(entries), IMAGE_INFO)
        if isinstance(spans, Ragged):
            return self._of_lists(spans, flat_values(infos), entries, options)

        def location_of(row: int) -> Location:
            offset = int(spans["offset"][row])
            return entries.location(row, offset=None if offset == NO_SPAN else offset)

        has_span = spans["offset"] != NO_SPAN
        origin, moved = origin_of(entries, self._files, spans, has_span)
        encoded = EncodedImages(
            origin,
            moved,
            infos,
            location_of,
            seek_points=entries.seek_points.get(field.name),
        )
        if has_span.all():
            return encoded
        blobs, failures = self._in_memory(field, entries, encoded, options)
        fetched = np.zeros(len(entries), SPAN)
        fetched["offset"], fetched["length"] = blobs.offsets[:-1], blobs.lengths
        if field.is_image_file:
            infos, _ = probe_blobs(blobs)
        return EncodedImages(SpanSource.of(blobs.values), fetched, infos, location_of, failures)

    def _of_lists(
        self, spans: Ragged, infos: npt.NDArray[Any], entries: Index, options: DecodeOptions
    ) -> EncodedImages:
        """Return the blobs of lists.

        A TFRecord's checksum covers the whole record, so the blobs of one record are read together.
        Otherwise each blob would read its record again.
        """
        flat, owner = spans.values, owners(spans)
        infos = infos if len(infos) == len(flat) else np.zeros(len(flat), IMAGE_INFO)

        def location_of(blob: int) -> Location:
            return entries.location(int(owner[blob]), offset=int(flat["offset"][blob]))

        if not _share_records(flat, owner):
            origin, moved = origin_of(entries, self._files, flat)
            return EncodedImages(origin, moved, infos, location_of)
        filled = np.flatnonzero(spans.lengths)
        firsts, lasts = flat[spans.offsets[:-1][filled]], flat[spans.offsets[1:][filled] - 1]
        joined = firsts.copy()
        joined["length"] = lasts["offset"] + lasts["length"] - firsts["offset"]
        origin, in_origin = origin_of(entries, self._files, joined)
        encoded = EncodedImages(
            origin,
            in_origin,
            np.zeros(len(joined), IMAGE_INFO),
            lambda row: entries.location(int(filled[row])),
        )
        lists, failed = read_good_blobs(encoded, options)
        number = np.zeros(len(entries), np.int64)
        number[filled] = np.arange(len(filled))
        of_blob = number[owner]
        moved = np.zeros(len(flat), SPAN)
        starts = lists.offsets[:-1][of_blob].astype(np.uint64)
        moved["offset"] = flat["offset"] - firsts["offset"][of_blob] + starts
        moved["length"] = flat["length"]
        lost = np.isin(of_blob, list(failed))
        moved[lost] = np.zeros(1, SPAN)
        failures = {blob: failed[int(of_blob[blob])] for blob in np.flatnonzero(lost).tolist()}
        return EncodedImages(SpanSource.of(lists.values), moved, infos, location_of, failures)

    @property
    def formats(self) -> list[int]:
        """The image formats in the dataset, by their numbers in IMAGE_INFO."""
        blobs = self._table.summary.blobs.values()
        formats = reduce(or_, (blob.formats for blob in blobs), 0)
        return [number for number in range(formats.bit_length()) if formats >> number & 1]

    def import_modules(self) -> None:
        """Import what reading these blobs imports."""
        if not any(blob.num_fetched for blob in self._table.summary.blobs.values()):
            return
        import numpy.ma  # noqa: F401  # by np.unique

        for container in self._table.containers:
            registry.named(container).import_for_fetching()

    def upright_sizes(
        self, entries: Index, rows: Rows, orient: bool
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
        """Return widths and heights of the images that masks belong to, or None without images.

        They are 0 where a header cannot be read.

        - rows: of the entries, one for each mask.
        """
        image_field = entries.schema.image_field
        if image_field is None:
            return None
        if image_field.kind == "pixels":
            height, width = (*image_field.image_shape, None, None)[:2]
            return np.full(len(rows), width or 0), np.full(len(rows), height or 0)
        widths, heights = upright_sizes(entries.infos[image_field.name].take(rows), orient, {})
        return widths.astype(np.int64), heights.astype(np.int64)

    def file_of(self, entries: Index) -> Location:
        """Return the file of the first of these samples."""
        return Location(entries.location(0).path if len(entries) else entries.shards[0].path)

    def heads(self, field: Field, entries: Index, num_bytes: int, options: DecodeOptions) -> Ragged:
        """Return the first bytes of encoded images, unchecked; empty for unreadable ones."""
        options = replace(options, keep_going=True)
        encoded = self.images(field, entries, options)
        spans = encoded.spans.copy()
        spans["length"] = np.minimum(spans["length"], np.uint64(num_bytes))
        spans["record_length"] = 0
        return read_good_blobs(replace(encoded, spans=spans), options)[0]

    def are_cached(self, entries: Index) -> bool:
        """Return True if the first bytes of these blobs are in the OS's page cache."""
        for field in entries.schema.blobs:
            spans = flat_values(entries.spans[field.name])
            spans = spans[spans["offset"] != NO_SPAN]
            fds = self._files.descriptors(entries.shards, spans["shard"])
            places = zip(fds[spans["shard"]].tolist(), spans["offset"].tolist(), strict=True)
            if not all(_is_cached(descriptor, offset) for descriptor, offset in places):
                return False
        return True

    def advise_willneed(self, entries: Index) -> None:
        """Ask the OS to load the blobs of these samples."""
        for field in entries.schema.blobs:
            spans = flat_values(entries.spans[field.name])
            spans = spans[spans["offset"] != NO_SPAN]
            in_order = spans[np.lexsort((spans["offset"], spans["shard"]))]
            fds = self._files.descriptors(entries.shards, in_order["shard"])
            advise_willneed(in_order, fds)

    def _in_memory(
        self, field: Field, entries: Index, encoded: EncodedImages, options: DecodeOptions
    ) -> tuple[Ragged, Failures]:
        """Read blobs with and without spans into memory; those that fail are empty."""
        has_span, lengths = encoded.spans["offset"] != NO_SPAN, encoded.spans["length"]
        blobs = [b""] * len(entries)

        def read_spans(positions: Rows) -> None:
            found, _ = read_good_blobs(encoded.take(positions), replace(options, keep_going=False))
            for row, position in enumerate(positions.tolist()):
                blobs[position] = found.bytes(row)

        def read_others(positions: Rows) -> None:
            fetched = fetch(entries, field, positions)
            for position, blob in zip(positions.tolist(), fetched, strict=True):
                data = np.asarray(blob).tobytes()
                if len(data) != lengths[position]:
                    raise changed_file_error(encoded.location_of(position))
                blobs[position] = data

        failures = read_each([(has_span, read_spans), (~has_span, read_others)], keep_going=True)
        return Ragged.of_bytes(blobs), failures


def _is_cached(descriptor: int, offset: int) -> bool:
    """Return True if a byte is read without the disk; False if the OS does not support that."""
    try:
        os.preadv(descriptor, [bytearray(1)], offset, os.RWF_NOWAIT)
    except (OSError, AttributeError):  # not there, or no such file system or platform
        return False
    return True


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
