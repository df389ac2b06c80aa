"""Salvage of TFRecord: the records that are whole, found again behind each damaged place."""

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

HEADER_BYTES, FRAME_BYTES = 12, 16  # of a record: before its data, and around them
# PIECE["kind"] counts these: what the walk says of each piece of a TFRecord.
PIECE_KINDS = (
    "whole",
    "the record's frame is damaged, its data are whole",
    "the record differs from its CRC32C",
    "no whole record begins in these bytes",
    "the file ends inside this record",
)
_BAD_FRAME, _UNKNOWN = 1, 3
_WHOLE_KINDS = 2  # the first so many
_WALKED_PIECES = 4096
_WALKED_BYTES = 64 * 2**20
_COPIED_BYTES = 2**20
_NO_EXAMPLE = "the record is not a tf.train.Example"
_PAST_END = "the file ends before this record"


@dataclass(frozen=True, eq=False)
class Survey:
    """A file's whole records, an array (n,) of SPAN in the order of the file; whether the frame of each is whole too, (n,);
    and the file's damages."""

    records: Array
    is_framed: npt.NDArray[np.bool_]
    damages: tuple[Damage, ...]


def walk_records(
    path: Path, limits: Limits = DEFAULT_LIMITS, advance: BytesDone | None = None
) -> Array:
    """The pieces (n,) of a TFRecord, side by side from its first byte to its last.

    After a damaged place the walk goes on at the next length whose checksum holds, with data whose checksum holds.
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
    told: Index | None,
    limits: Limits = DEFAULT_LIMITS,
    advance: BytesDone | None = None,
) -> Survey:
    """Goes through a damaged TFRecord. What `told` knows and the file bears out finds records between damaged headers,
    and gives numbers and keys to those that are lost."""
    pieces = walk_records(path, limits, advance)
    found = _records_of(pieces[pieces["kind"] < _WHOLE_KINDS])
    framed = pieces["offset"][pieces["kind"] == 0] + np.uint64(HEADER_BYTES)
    spans = _record_spans(told)
    held = check_spans([path], spans) == 0
    if told is None or not held.any():
        return Survey(found, np.isin(found["offset"], framed), tuple(_unnamed(pieces)))
    merged = _merged(found, spans, held)
    damages = _named(pieces, told, spans, ~_accounted(spans, merged))
    return Survey(merged, np.isin(merged["offset"], framed), tuple(damages))


def without_strangers(path: Path, survey: Survey) -> Survey:
    """Leaves out records that are not a tf.train.Example, if others are: no reader opens a file that mixes them.

    Each is then a damage. A file of other records only keeps them all.
    """
    is_example = np.concatenate([_are_examples(path, survey.records[run]) for run in _runs(survey)])
    if (
        is_example.all() or not is_example[survey.records["length"] > 0].any()
    ):  # an empty record is one, too
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
    path: Path, survey: Survey, told: Index | None, limits: Limits = DEFAULT_LIMITS
) -> Index | None:
    """The samples in the whole records, as the file's own index or else the saved one knows them; None when neither does."""
    try:
        index = registry.named("tfrecord").index(
            path, check=False, limits=limits, kinds=kinds_of(told)
        )
    except FastpackError:
        if told is None or not told.schema.blobs or len(told.shards) != 1:
            return None
        index = of_this_file(path, told)
    if (spans := index.record_spans) is None:
        return None
    return index.take(np.flatnonzero(_is_among(spans, survey.records)))


def _is_among(spans: Array, records: Array) -> npt.NDArray[np.bool_]:
    """Which spans are of these records, which are in the order of the file: there, that long, with that checksum."""
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


def _record_spans(told: Index | None) -> Array:
    """The records that an index knows, one span each; none when they are not those of a TFRecord."""
    blobs = None if told is None else told.record_spans
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
    """The records that hold where they are told to be, and of those that were found the ones beside them.

    A record found where others were told to be, and which is none of them, is one inside another's data.
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
    """Length and checksum in one number."""
    identities: npt.NDArray[np.uint64] = records["length"] << np.uint64(32) ^ records["crc32c"]
    return identities


def _accounted(spans: Array, found: Array) -> npt.NDArray[np.bool_]:
    """Which of the told records are among the found ones: in their place, or, when bytes went missing before, elsewhere."""
    in_place = _is_among(spans, found)
    moved = Counter(_identity(found[~_is_among(found, spans)]).tolist())
    for row in np.flatnonzero(~in_place) if moved else ():
        identity = int(_identity(spans[row : row + 1])[0])
        in_place[row] = moved[identity] > 0
        moved[identity] -= 1
    return in_place


def _unnamed(pieces: Array) -> Iterator[Damage]:
    """The damages of a file that nothing else is known of. Each piece is one record, but for those of unknown bytes."""
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
    pieces: Array, told: Index, spans: Array, lost: npt.NDArray[np.bool_]
) -> Iterator[Damage]:
    keys = told.columns.get("key")
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
        if (
            first == end and piece["offset"] >= ends[first]
        ):  # else it is the rest of a record that was named before
            yield Damage(
                reason,
                None,
                int(piece["offset"]),
                int(piece["length"]),
                is_lost=first == len(starts),
            )
        for row in range(int(first), int(end)):
            left[row] = False
            yield damage_of(row, reason if lost[row] else PIECE_KINDS[_BAD_FRAME], bool(lost[row]))
    for row in np.flatnonzero(left).tolist():
        yield damage_of(
            row, _PAST_END if int(starts[row]) >= size else "the record is not in the file", True
        )


def copy_records(
    path: Path, survey: Survey, output: Path, advance: BytesDone | None = None
) -> None:
    """Writes the whole records to a file, with frames that are whole too. Raises what reading or writing meets."""
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
    """Records that follow one another with whole frames between them, some megabytes at a time."""
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
    _copy_bytes(
        source,
        int(first["offset"]),
        int(last["offset"] + last["length"] - first["offset"]),
        file,
        path,
    )
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
