"""Salvage of TFRecord: finds whole records, also after damaged ones."""

import io
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c, mask
from fastpack._native.salvage import Walk
from fastpack.core.dtypes import PIECE, SPAN
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.progress import BytesDone
from fastpack.core.ragged import Text
from fastpack.errors import FastpackError, Location, Status, os_errors_at, raise_status
from fastpack.formats import registry
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import kinds_of
from fastpack.formats.tfrecord.scan import are_examples
from fastpack.integrity.salvage.survey import (
    Array,
    Damage,
    check_spans,
    of_this_file,
    opened,
)

HEADER_BYTES, FRAME_BYTES = 12, 16  # of a record: before its data, and before and after
# Kinds of pieces of a TFRecord; PIECE["kind"] is an index.
PIECE_KINDS = (
    "whole",
    "the record's frame is damaged, its data are whole",
    "the record differs from its CRC32C",
    "no whole record begins in these bytes",
    "the file ends inside this record",
)
_BAD_FRAME, _UNKNOWN = 1, 3
_WHOLE_KINDS = 2  # the first two kinds have whole data
_WALKED_PIECES = 4096
_WALKED_BYTES = 64 * 2**20
_COPIED_BYTES = 2**20
_NO_EXAMPLE = "the record is not a tf.train.Example"
_PAST_END = "the file ends before this record"


@dataclass(frozen=True, eq=False)
class Survey:
    """The whole records of a file and its damages.

    Args:
        records: SPAN (n,), in the order of the file.
        is_framed: whether the frame of each record is whole too (n,).
        damages: the damages, in the order of the file.
    """

    records: Array
    is_framed: npt.NDArray[np.bool_]
    damages: tuple[Damage, ...]


def walk_records(
    path: Path, limits: Limits = DEFAULT_LIMITS, advance: BytesDone | None = None
) -> Array:
    """Cut a TFRecord into pieces (n,) without gaps, from its first byte to its last.

    After a damage the walk continues at the next length and data whose checksums match.
    """
    room, walked = np.zeros(_WALKED_PIECES, PIECE), [np.zeros(0, PIECE)]
    with opened(path) as file:
        size = file.seek(0, 2)
        walk = Walk(file.fileno(), size, record_limit=limits.max_record_bytes)
        while walk.position < size:
            count, failure = walk.go_on(room, stride=_WALKED_BYTES)
            if failure:
                status, error_number, _, offset, message = failure
                raise_status(status, message, Location(path, offset=offset), error_number)
            walked.append(room[:count].copy())
            if advance:
                advance(walk.position)
    return np.concatenate(walked)


def survey_tfrecord(
    path: Path,
    saved: Index | None,
    limits: Limits = DEFAULT_LIMITS,
    advance: BytesDone | None = None,
) -> Survey:
    """Survey a damaged TFRecord.

    The saved index finds records between damaged headers, if their checksums match. It also has
    the numbers and keys of lost records.
    """
    pieces = walk_records(path, limits, advance)
    found = _records_of(pieces[pieces["kind"] < _WHOLE_KINDS])
    framed = pieces["offset"][pieces["kind"] == 0] + np.uint64(HEADER_BYTES)
    spans = _record_spans(saved)
    held = check_spans([path], spans) == 0
    if saved is None or not held.any():
        return Survey(found, np.isin(found["offset"], framed), tuple(_unnamed(pieces)))
    merged = _merged(found, spans, held)
    damages = _named(pieces, saved, spans, ~_accounted(spans, merged))
    return Survey(merged, np.isin(merged["offset"], framed), tuple(damages))


def without_strangers(path: Path, survey: Survey) -> Survey:
    """Drop records that are not a tf.train.Example, if others are; a reader refuses mixtures.

    Each of them becomes a damage. A file without Examples keeps all its records.
    """
    is_example = np.concatenate([_are_examples(path, survey.records[run]) for run in _runs(survey)])
    # An empty record is a valid Example.
    if is_example.all() or not is_example[survey.records["length"] > 0].any():
        return survey
    strange = survey.records[~is_example]
    damages = [
        Damage(
            _NO_EXAMPLE,
            offset=int(record["offset"]) - HEADER_BYTES,
            length=int(record["length"]) + FRAME_BYTES,
        )
        for record in strange
    ]
    in_order = sorted([*survey.damages, *damages], key=lambda damage: damage.offset or 0)
    return Survey(survey.records[is_example], survey.is_framed[is_example], tuple(in_order))


def _are_examples(path: Path, records: Array) -> npt.NDArray[np.bool_]:
    first, last = records[0], records[-1]
    data = np.empty(int(last["offset"] + last["length"] - first["offset"]), np.uint8)
    with io.BufferedReader(opened(path)) as file:
        file.seek(int(first["offset"]))
        if file.readinto(data.data) != len(data):
            raise_status(
                Status.TRUNCATED, "the file became shorter while it was read", Location(path)
            )
    return are_examples(
        data, records["offset"] - first["offset"], np.ascontiguousarray(records["length"])
    )


def whole_samples(
    path: Path, survey: Survey, saved: Index | None, limits: Limits = DEFAULT_LIMITS
) -> Index | None:
    """Return the samples in whole records, from a new index or the saved one; None without both."""
    try:
        index = registry.named("tfrecord").index(
            path, check=False, limits=limits, kinds=kinds_of(saved)
        )
    except FastpackError:
        if saved is None or not saved.schema.blobs or len(saved.shards) != 1:
            return None
        index = of_this_file(path, saved)
    if (spans := index.record_spans) is None:
        return None
    return index.take(np.flatnonzero(_is_among(spans, survey.records)))


def _is_among(spans: Array, records: Array) -> npt.NDArray[np.bool_]:
    """Test which spans are among sorted records: same place, length and checksum."""
    if not len(records):
        return np.zeros(len(spans), np.bool_)
    nearest = np.minimum(
        np.searchsorted(records["record_offset"], spans["record_offset"]), len(records) - 1
    )
    names = ("record_offset", "record_length", "crc32c")
    is_among: npt.NDArray[np.bool_] = np.logical_and.reduce(
        [records[name][nearest] == spans[name] for name in names]
    )
    return is_among


def _records_of(pieces: Array) -> Array:
    records = np.zeros(len(pieces), SPAN)
    records["offset"] = records["record_offset"] = pieces["offset"] + np.uint64(HEADER_BYTES)
    records["length"] = records["record_length"] = pieces["length"] - np.uint64(FRAME_BYTES)
    records["crc32c"] = pieces["crc32c"]
    return records


def _record_spans(saved: Index | None) -> Array:
    """Return the records of an index, one span each; empty if it is not that of a TFRecord."""
    blobs = None if saved is None else saved.record_spans
    if (
        blobs is None
        or (blobs["record_offset"] < HEADER_BYTES).any()
        or (blobs["record_offset"][1:] <= blobs["record_offset"][:-1]).any()
    ):
        return np.zeros(0, SPAN)
    spans = np.zeros(len(blobs), SPAN)
    spans["offset"] = spans["record_offset"] = blobs["record_offset"]
    spans["length"] = spans["record_length"] = blobs["record_length"]
    spans["crc32c"] = blobs["crc32c"]
    return spans


def _merged(found: Array, spans: Array, held: npt.NDArray[np.bool_]) -> Array:
    """Merge the whole records of the saved index with the records found elsewhere.

    A record that is found inside a known record is part of its data, so it is dropped.
    """
    good = spans[held]
    ends = spans["offset"] + spans["length"]
    after = np.searchsorted(spans["offset"], found["offset"], side="right") - 1
    inside_told = (after >= 0) & (found["offset"] < ends[np.maximum(after, 0)])
    inside_good = inside_told & held[np.maximum(after, 0)]
    known = np.isin(_identity(found), _identity(spans[~held]))
    kept = found[~inside_good & (~inside_told | known)]
    merged = np.concatenate([good, kept])
    return merged[np.argsort(merged["offset"], kind="stable")]


def _identity(records: Array) -> npt.NDArray[np.uint64]:
    """Pack length and checksum of each record into one number."""
    identities: npt.NDArray[np.uint64] = records["length"] << np.uint64(32) ^ records["crc32c"]
    return identities


def _accounted(spans: Array, found: Array) -> npt.NDArray[np.bool_]:
    """Test which known records were found: in their place, or elsewhere if bytes are missing."""
    in_place = _is_among(spans, found)
    moved = Counter(_identity(found[~_is_among(found, spans)]).tolist())
    for row in np.flatnonzero(~in_place) if moved else ():
        identity = int(_identity(spans[row : row + 1])[0])
        in_place[row] = moved[identity] > 0
        moved[identity] -= 1
    return in_place


def _unnamed(pieces: Array) -> Iterator[Damage]:
    """Yield the damages of a file without an index.

    Each piece is one record, except pieces of unknown bytes.
    """
    unknown = pieces["kind"] == _UNKNOWN
    is_numbered = np.cumsum(unknown) == unknown
    for number in np.flatnonzero(pieces["kind"]).tolist():
        piece, kind = pieces[number], int(pieces["kind"][number])
        record = number if is_numbered[number] else None
        yield Damage(
            PIECE_KINDS[kind],
            record,
            int(piece["offset"]),
            int(piece["length"]),
            is_lost=kind >= _WHOLE_KINDS,
        )


def _named(
    pieces: Array, saved: Index, spans: Array, lost: npt.NDArray[np.bool_]
) -> Iterator[Damage]:
    keys = saved.columns.get("key")
    starts = spans["offset"] - np.uint64(HEADER_BYTES)

    def damage_of(row: int, reason: str, is_lost: bool) -> Damage:
        key = keys[row] if isinstance(keys, Text) else None
        return Damage(
            reason, row, int(starts[row]), int(spans["length"][row]) + FRAME_BYTES, key, is_lost
        )

    size, left = int(pieces["length"].sum()), lost.copy()
    ends = np.append(np.uint64(0), starts + spans["length"] + np.uint64(FRAME_BYTES))
    for piece in pieces[pieces["kind"] > 0]:
        first, end = np.searchsorted(starts, [piece["offset"], piece["offset"] + piece["length"]])
        reason = PIECE_KINDS[int(piece["kind"])]
        # Else the piece is the rest of a record that was named before.
        if first == end and piece["offset"] >= ends[first]:
            offset, length = int(piece["offset"]), int(piece["length"])
            yield Damage(reason, None, offset, length, is_lost=first == len(starts))
        for row in range(int(first), int(end)):
            left[row] = False
            yield damage_of(row, reason if lost[row] else PIECE_KINDS[_BAD_FRAME], bool(lost[row]))
    for row in np.flatnonzero(left).tolist():
        is_past_end = int(starts[row]) >= size
        yield damage_of(row, _PAST_END if is_past_end else "the record is not in the file", True)


def copy_records(
    path: Path, survey: Survey, output: Path, advance: BytesDone | None = None
) -> None:
    """Write the whole records to a file, with new frames where these are damaged."""
    with (
        os_errors_at(output),
        opened(path) as source,
        open(output, "wb", buffering=_COPIED_BYTES) as file,
    ):
        for run in _runs(survey):
            _copy_run(source, survey.records[run], file, path)
            if advance:
                advance(int(survey.records["offset"][run][-1]))


def _runs(survey: Survey) -> Iterator[slice]:
    """Yield runs of adjacent records with whole frames between them, of about 64 MiB."""
    records, is_framed = survey.records, survey.is_framed
    ends = records["offset"] + records["length"] + np.uint64(FRAME_BYTES)
    portions = np.cumsum(records["length"]) // np.uint64(64 * _COPIED_BYTES)
    joined = (
        (records["offset"][1:] == ends[:-1])
        & is_framed[1:]
        & is_framed[:-1]
        & (portions[1:] == portions[:-1])
    )
    cuts = (np.flatnonzero(~joined) + 1).tolist()
    for first, end in zip([0, *cuts], [*cuts, len(records)], strict=True):
        yield slice(first, end)


def _copy_run(source: Any, records: Array, file: Any, path: Path) -> None:
    first, last = records[0], records[-1]
    _write_header(file, int(first["length"]))
    length = int(last["offset"] + last["length"] - first["offset"])
    _copy_bytes(source, int(first["offset"]), length, file, path)
    file.write(struct.pack("<I", mask(int(last["crc32c"]))))


def _write_header(file: Any, length: int) -> None:
    packed = struct.pack("<Q", length)
    file.write(packed + struct.pack("<I", mask(crc32c(packed))))


def _copy_bytes(source: Any, offset: int, length: int, file: Any, path: Path) -> None:
    source.seek(offset)
    while length:
        piece = source.read(min(length, _COPIED_BYTES))
        if not piece:
            raise_status(
                Status.TRUNCATED, "the file became shorter while it was read", Location(path)
            )
        file.write(piece)
        length -= len(piece)
