"""Validator: stops at the first bad sample of a PackInput, or skips and records each."""

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

# Errors of one sample. All others are about the options or the machine.
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
# The OS is out of resources, so other files would fail too.
_SYSTEM_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def is_sample_error(error: FastpackError) -> bool:
    """True if another sample could have been read instead."""
    is_of_system = isinstance(error, OSError) and error.errno in _SYSTEM_ERRORS
    is_of_memory = isinstance(error, OutOfMemoryError)
    return isinstance(error, _SAMPLE_ERRORS) and not is_of_system and not is_of_memory


class Validator:
    """Reads batches of a PackInput, from several threads at once.

    Args:
        on_error: "raise" raises the error of the first bad sample of a batch, for every number of
            threads; "skip" leaves bad samples out.
    """

    def __init__(self, pack_input: PackInput, on_error: OnError = "raise") -> None:
        self._pack_input, self._on_error = pack_input, on_error

    def read(self, rows: Rows) -> tuple[Batch, dict[int, FastpackError]]:
        """Read the good samples of `rows`; returns them, and the error of each other row."""
        faults: dict[int, FastpackError] = {}
        good = rows
        while len(good):
            try:
                return self._pack_input.read(good), faults
            except FastpackError as error:
                # One by one: a batch reports one error, and not always the first.
                found = self._faults(good)
                if not found:
                    raise  # no single sample causes it
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
