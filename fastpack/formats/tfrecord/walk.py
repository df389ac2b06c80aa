"""The whole and damaged pieces of a TFRecord, from its first byte to its last."""

from pathlib import Path

import numpy as np

from fastpack._native.salvage import Walk
from fastpack.core.dtypes import PIECE
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.progress import BytesDone
from fastpack.errors import Location, raise_status
from fastpack.formats.salvage import Array, opened

# Values of PIECE["kind"]. The first two are pieces with whole data.
PIECE_KINDS = (
    "whole",
    "the record's frame is damaged, its data are whole",
    "the record differs from its CRC32C",
    "no whole record begins in these bytes",
    "the file ends inside this record",
)
BAD_FRAME, UNKNOWN = 1, 3
NUM_WHOLE_KINDS = 2
_WALKED_PIECES = 4096
_WALKED_BYTES = 64 * 2**20


def walk_records(
    path: Path, limits: Limits = DEFAULT_LIMITS, advance: BytesDone | None = None
) -> Array:
    """Return the pieces PIECE (n,) of a TFRecord, without gaps.

    After a damaged piece, the walk continues at the next length whose checksum holds, if the
    checksum of its data holds too.
    """
    buffer, walked = np.zeros(_WALKED_PIECES, PIECE), [np.zeros(0, PIECE)]
    with opened(path) as file:
        size = file.seek(0, 2)
        walk = Walk(file.fileno(), size, record_limit=limits.max_record_bytes)
        while walk.position < size:
            count, failure = walk.go_on(buffer, stride=_WALKED_BYTES)
            if failure:
                status, error_number, _, offset, message = failure
                raise_status(status, message, Location(path, offset=offset), error_number)
            walked.append(buffer[:count].copy())
            if advance:
                advance(walk.position)
    return np.concatenate(walked)
