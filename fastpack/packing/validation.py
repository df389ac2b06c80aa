"""Screen: between a supply and a pack. Good samples go through; of bad ones it names the first, or says of each what is wrong."""

import errno

import numpy as np

from fastpack.core.dtypes import Rows
from fastpack.errors import (
    CorruptImageError,
    CorruptRecordError,
    DuplicateKeyError,
    FastpackError,
    LimitError,
    MissingFileError,
    OutOfMemoryError,
    SourceError,
    UnreadableFileError,
    UnsupportedImageError,
)
from fastpack.images.batch import Batch
from fastpack.packing.inputs import PackInput
from fastpack.packing.rejects import OnError

# Errors that are about one sample; all others are about what was asked for, or the machine.
_SAMPLE_ERRORS = (
    CorruptImageError,
    CorruptRecordError,
    DuplicateKeyError,
    LimitError,
    MissingFileError,
    SourceError,
    UnreadableFileError,
    UnsupportedImageError,
)
# What the system says when it has no more to give: any other file would have met it too.
_SYSTEM_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def is_sample_error(error: FastpackError) -> bool:
    """True when another sample in its stead could have been read."""
    if isinstance(error, OutOfMemoryError) or (
        isinstance(error, OSError) and error.errno in _SYSTEM_ERRORS
    ):
        return False
    return isinstance(error, _SAMPLE_ERRORS)


class Validator:
    """Reads batches of a supply, several threads at once.

    - on_error: "raise" raises what the first bad sample of a batch meets, in the order of the samples, whatever it is and
      whatever else is wrong behind it; "skip" leaves bad samples out.
    """

    def __init__(self, pack_input: PackInput, on_error: OnError = "raise") -> None:
        self._pack_input, self._on_error = pack_input, on_error

    def read(self, rows: Rows) -> tuple[Batch, dict[int, FastpackError]]:
        """The good ones of `rows`, and what was wrong with each other one, by row."""
        faults: dict[int, FastpackError] = {}
        good = rows
        while len(good):
            try:
                return self._pack_input.read(good), faults
            except FastpackError as error:
                found = self._faults(
                    good
                )  # one by one: a batch tells of one only, and not always of the first
                if not found:
                    raise  # of no sample by itself
                if self._on_error == "raise":
                    raise next(iter(found.values())) from error
                faults |= found
                good = np.array([row for row in good.tolist() if row not in found], np.int64)
        return Batch({}, 0), faults

    def _faults(self, rows: Rows) -> dict[int, FastpackError]:
        found: dict[int, FastpackError] = {}
        for row in rows.tolist():
            try:
                self._pack_input.read(np.array([row], np.int64))
            except FastpackError as error:
                if not is_sample_error(error):
                    raise
                found[row] = error
                if self._on_error == "raise":
                    break
        return found
