"""The .idx text of DALI and vahidk/tfrecord: a line "offset size" for each record.

https://docs.nvidia.com/deeplearning/dali/user-guide/docs/ (fn.readers.tfrecord, index_path);
https://github.com/vahidk/tfrecord (tools/tfrecord2idx).
"""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastpack.core.limits import DEFAULT_LIMITS
from fastpack.errors import FormatError, Location, from_os_error, with_location
from fastpack.files.atomic import atomic_write
from fastpack.formats.tfrecord.scan import FRAME_BYTES, HEADER_BYTES, windows

_NO_LIST = "this is not a list of records; each line must be an offset and a size"


def write_offsets(tfrecord: str | os.PathLike[str], output: str | os.PathLike[str]) -> int:
    """Write the offset and the size of each record of a TFRecord; return their number.

    Sizes include the frame. Raises what damaged files raise, and UnreadableFileError.

    >>> write_offsets(getfixture("digits"), getfixture("tmp_path") / "digits.idx")
    10
    """
    offsets, sizes = _frames(Path(tfrecord))
    with atomic_write(Path(output)) as temporary:
        np.savetxt(temporary, np.column_stack([offsets, sizes]), fmt="%d")
    return len(offsets)


def read_offsets(
    tfrecord: str | os.PathLike[str], text: str | os.PathLike[str]
) -> npt.NDArray[np.int64]:
    """Return the numbers (n,) of the records that a text lists, in its order, for `Reader.take`.

    Raises FormatError if a line is not a record of the file.
    """
    offsets, sizes = _frames(Path(tfrecord))
    listed = _parse(Path(text))
    numbers = np.searchsorted(offsets, listed[:, 0])
    found = numbers < len(offsets)
    found[found] = (offsets[numbers[found]] == listed[found, 0]) & (
        sizes[numbers[found]] == listed[found, 1]
    )
    if not found.all():
        line = int(np.argmin(found))
        message = f"line {line + 1} is not a record of {tfrecord}"
        remedy = "rebuild the text with `fastpack index --offsets`"
        raise FormatError(with_location(f"{message}; {remedy}", Location(text)))
    return numbers.astype(np.int64)


def _parse(text: Path) -> npt.NDArray[np.int64]:
    try:
        lines = text.read_text("ascii").split("\n")
        pairs = [tuple(map(int, line.split())) for line in lines if line.strip()]
        listed = np.array(pairs, np.int64).reshape(-1, 2) if pairs else np.zeros((0, 2), np.int64)
    except OSError as error:
        raise from_os_error(error, "read", text) from error
    except (ValueError, OverflowError) as error:
        raise FormatError(with_location(_NO_LIST, Location(text))) from error
    if len(listed) != len(pairs):
        raise FormatError(with_location(_NO_LIST, Location(text)))
    return listed


def _frames(tfrecord: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the offset and the size of each record's frame."""
    pieces = [
        (window.offsets + np.uint64(window.base), window.lengths)
        for window in windows(tfrecord, False, DEFAULT_LIMITS)
    ]
    if not pieces:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    offsets, lengths = (
        np.concatenate(arrays).astype(np.int64) for arrays in zip(*pieces, strict=True)
    )
    return offsets - HEADER_BYTES, lengths + FRAME_BYTES
