"""Salvage of TFRecord: whole records, also after damaged ones."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import SPAN
from fastpack.core.limits import Limits
from fastpack.core.progress import BytesDone
from fastpack.core.ragged import Text
from fastpack.errors import FastpackError
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import kinds_of
from fastpack.formats.protocols import Container
from fastpack.formats.salvage import Array, Damage, Survey, check_spans
from fastpack.formats.tfrecord.scan import FRAME_BYTES, HEADER_BYTES
from fastpack.formats.tfrecord.walk import (
    BAD_FRAME,
    NUM_WHOLE_KINDS,
    PIECE_KINDS,
    UNKNOWN,
    walk_records,
)

_PAST_END = "the file ends before this record"
_MISSING = "the record is not in the file"


@dataclass(frozen=True, eq=False)
class Records:
    """The whole records of a file.

    Args:
        spans: SPAN (n,), in the order of the file.
        is_framed: Whether the frame of each record is whole too, (n,).
        damages: All damages of the file.
    """

    spans: Array
    is_framed: npt.NDArray[np.bool_]
    damages: tuple[Damage, ...]


def survey(container: Container, path: Path, saved: Index | None, limits: Limits) -> Survey:
    """Check all records of a damaged file."""
    found = find_records(path, saved, limits)
    num_lost = sum(damage.is_lost for damage in found.damages)
    whole = _whole_samples(container, path, found, saved, limits)
    return Survey(len(found.spans) + num_lost, whole, found.damages)


def find_records(
    path: Path, saved: Index | None, limits: Limits, advance: BytesDone | None = None
) -> Records:
    """Find all whole records of a damaged file.

    A saved index helps if one of its records is still there. It locates records between damaged
    headers, and gives lost records numbers and keys.
    """
    pieces = walk_records(path, limits, advance)
    found = _records_of(pieces[pieces["kind"] < NUM_WHOLE_KINDS])
    framed = pieces["offset"][pieces["kind"] == 0] + np.uint64(HEADER_BYTES)
    known = _known_records(saved)
    held = check_spans([path], known) == 0
    if saved is None or not held.any():
        return Records(found, np.isin(found["offset"], framed), tuple(_unnamed(pieces)))
    merged = _merged(found, known, held)
    damages = _named(pieces, saved, known, ~_accounted(known, merged))
    return Records(merged, np.isin(merged["offset"], framed), tuple(damages))


def _whole_samples(
    container: Container, path: Path, found: Records, saved: Index | None, limits: Limits
) -> Index | None:
    """Return the index of the whole records, from the file or else from its saved index."""
    try:
        index = container.index(path, check=False, limits=limits, kinds=kinds_of(saved))
    except FastpackError:
        if saved is None or not saved.schema.blobs or len(saved.shards) != 1:
            return None
        index = replace(saved, shards=(container.shard(path),))
    if (spans := index.record_spans) is None:
        return None
    return index.take(np.flatnonzero(_is_among(spans, found.spans)))


def _is_among(spans: Array, records: Array) -> npt.NDArray[np.bool_]:
    """Return which spans are records: of the same offset, length and checksum.

    - records: in the order of the file.
    """
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


def _known_records(saved: Index | None) -> Array:
    """Return the records of an index, SPAN (n,); none if they cannot be those of a TFRecord."""
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


def _merged(found: Array, known: Array, held: npt.NDArray[np.bool_]) -> Array:
    """Join the known records that hold with the found records beside them.

    A found record that overlaps known ones, and is not one of them, is part of a record's data.
    """
    ends = known["offset"] + known["length"]
    before = np.searchsorted(known["offset"], found["offset"], side="right") - 1
    is_inside = (before >= 0) & (found["offset"] < ends[np.maximum(before, 0)])
    is_inside_held = is_inside & held[np.maximum(before, 0)]
    is_known = np.isin(_identity(found), _identity(known[~held]))
    kept = found[~is_inside_held & (~is_inside | is_known)]
    merged = np.concatenate([known[held], kept])
    return merged[np.argsort(merged["offset"], kind="stable")]


def _identity(records: Array) -> npt.NDArray[np.uint64]:
    """Return length and checksum in one number."""
    identities: npt.NDArray[np.uint64] = records["length"] << np.uint64(32) ^ records["crc32c"]
    return identities


def _accounted(known: Array, found: Array) -> npt.NDArray[np.bool_]:
    """Return which known records were found, at their offset or moved to another one."""
    is_found = _is_among(known, found)
    moved = Counter(_identity(found[~_is_among(found, known)]).tolist())
    for row in np.flatnonzero(~is_found) if moved else ():
        identity = int(_identity(known[row : row + 1])[0])
        is_found[row] = moved[identity] > 0
        moved[identity] -= 1
    return is_found


def _unnamed(pieces: Array) -> Iterator[Damage]:
    """Yield the damages of a file without a saved index.

    Each piece is one record, except for bytes in which no record begins.
    """
    unknown = pieces["kind"] == UNKNOWN
    is_numbered = np.cumsum(unknown) == unknown
    for number in np.flatnonzero(pieces["kind"]).tolist():
        piece, kind = pieces[number], int(pieces["kind"][number])
        record = number if is_numbered[number] else None
        location = record, int(piece["offset"]), int(piece["length"])
        yield Damage(PIECE_KINDS[kind], *location, is_lost=kind >= NUM_WHOLE_KINDS)


def _named(
    pieces: Array, saved: Index, known: Array, lost: npt.NDArray[np.bool_]
) -> Iterator[Damage]:
    """Yield the damages of a file whose saved index knows its records."""
    keys = saved.columns.get("key")
    starts = known["offset"] - np.uint64(HEADER_BYTES)

    def damage_of(row: int, reason: str, is_lost: bool) -> Damage:
        key = keys[row] if isinstance(keys, Text) else None
        length = int(known["length"][row]) + FRAME_BYTES
        return Damage(reason, row, int(starts[row]), length, key, is_lost)

    size, left = int(pieces["length"].sum()), lost.copy()
    ends = np.append(np.uint64(0), starts + known["length"] + np.uint64(FRAME_BYTES))
    for piece in pieces[pieces["kind"] > 0]:
        first, end = np.searchsorted(starts, [piece["offset"], piece["offset"] + piece["length"]])
        reason = PIECE_KINDS[int(piece["kind"])]
        # Else the piece is the rest of a record that was reported before.
        if first == end and piece["offset"] >= ends[first]:
            location = None, int(piece["offset"]), int(piece["length"])
            yield Damage(reason, *location, is_lost=first == len(starts))
        for row in range(int(first), int(end)):
            left[row] = False
            yield damage_of(row, reason if lost[row] else PIECE_KINDS[BAD_FRAME], bool(lost[row]))
    for row in np.flatnonzero(left).tolist():
        is_past_end = int(starts[row]) >= size
        reason = _PAST_END if is_past_end else _MISSING
        yield damage_of(row, reason, True)
