"""Copies the whole records of a damaged TFRecord to a new file, byte for byte."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c, mask
from fastpack.core.limits import Limits
from fastpack.core.progress import BytesDone
from fastpack.errors import (
    CorruptRecordError,
    Location,
    Status,
    os_errors_at,
    raise_status,
    with_location,
)
from fastpack.formats.index.index import Index
from fastpack.formats.salvage import Array, Damage, opened
from fastpack.formats.tfrecord.salvage import Records, find_records
from fastpack.formats.tfrecord.scan import FRAME_BYTES, HEADER_BYTES, are_examples
from fastpack.formats.tfrecord.walk import walk_records

_COPIED_BYTES = 2**20


def copy_whole(
    path: Path,
    output: Path,
    saved: Index | None,
    limits: Limits,
    advance: BytesDone | None = None,
) -> tuple[int, tuple[Damage, ...]]:
    """Write the whole records to `output`; return their number and the file's damages.

    - advance: called with the bytes done, of twice the file's size.
    """
    size = path.stat().st_size
    found = find_records(path, saved, limits, advance)
    if not len(found.spans):
        return 0, found.damages
    found = _without_others(path, found)
    _copy(path, found, output, (lambda done: advance(size + done)) if advance else None)
    written = walk_records(output, limits)
    if len(written) != len(found.spans) or written["kind"].any():
        message = "the written records read back differently; check the disk"
        raise CorruptRecordError(with_location(message, Location(output)))
    return len(found.spans), found.damages


def _without_others(path: Path, found: Records) -> Records:
    """Leave out records that are not a tf.train.Example, if some are.

    No reader opens a file that mixes them. A file without any Example keeps all records.
    """
    is_example = np.concatenate([_are_examples(path, found.spans[run]) for run in _runs(found)])
    # An empty record is an Example too, so it decides nothing.
    if is_example.all() or not is_example[found.spans["length"] > 0].any():
        return found
    damages = [
        Damage(
            "the record is not a tf.train.Example",
            offset=int(record["offset"]) - HEADER_BYTES,
            length=int(record["length"]) + FRAME_BYTES,
        )
        for record in found.spans[~is_example]
    ]
    in_order = sorted([*found.damages, *damages], key=lambda damage: damage.offset or 0)
    return Records(found.spans[is_example], found.is_framed[is_example], tuple(in_order))


def _are_examples(path: Path, records: Array) -> npt.NDArray[np.bool_]:
    first, last = records[0], records[-1]
    data = np.empty(int(last["offset"] + last["length"] - first["offset"]), np.uint8)
    with io.BufferedReader(opened(path)) as file:
        file.seek(int(first["offset"]))
        if file.readinto(data.data) != len(data):
            _raise_shorter(path)
    lengths = np.ascontiguousarray(records["length"])
    return are_examples(data, records["offset"] - first["offset"], lengths)


def _copy(path: Path, found: Records, output: Path, advance: BytesDone | None) -> None:
    """Write all records to a file, each with a whole frame."""
    with (
        os_errors_at(output),
        opened(path) as source,
        open(output, "wb", buffering=_COPIED_BYTES) as file,
    ):
        for run in _runs(found):
            _copy_run(source, found.spans[run], file, path)
            if advance:
                advance(int(found.spans["offset"][run][-1]))


def _runs(found: Records) -> Iterator[slice]:
    """Yield runs of adjacent records with whole frames between them, about 64 MiB each."""
    spans, is_framed = found.spans, found.is_framed
    ends = spans["offset"] + spans["length"] + np.uint64(FRAME_BYTES)
    portions = np.cumsum(spans["length"]) // np.uint64(64 * _COPIED_BYTES)
    joined = (
        (spans["offset"][1:] == ends[:-1])
        & is_framed[1:]
        & is_framed[:-1]
        & (portions[1:] == portions[:-1])
    )
    cuts = (np.flatnonzero(~joined) + 1).tolist()
    for first, end in zip([0, *cuts], [*cuts, len(spans)], strict=True):
        yield slice(first, end)


def _copy_run(source: Any, records: Array, file: Any, path: Path) -> None:
    first, last = records[0], records[-1]
    num_bytes = int(last["offset"] + last["length"] - first["offset"])
    _write_header(file, int(first["length"]))
    _copy_bytes(source, int(first["offset"]), num_bytes, file, path)
    file.write(struct.pack("<I", mask(int(last["crc32c"]))))


def _write_header(file: Any, length: int) -> None:
    packed = struct.pack("<Q", length)
    file.write(packed + struct.pack("<I", mask(crc32c(packed))))


def _copy_bytes(source: Any, offset: int, length: int, file: Any, path: Path) -> None:
    source.seek(offset)
    while length:
        piece = source.read(min(length, _COPIED_BYTES))
        if not piece:
            _raise_shorter(path)
        file.write(piece)
        length -= len(piece)


def _raise_shorter(path: Path) -> None:
    raise_status(Status.TRUNCATED, "the file became shorter while it was read", Location(path))
