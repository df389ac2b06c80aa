"""The exception tree, and the one place where a kernel's status becomes an exception.

Every class is also the builtin that a Python user would catch, and every message ends with the place
and says what to do.
"""

import errno
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn

# (status, errno, row, offset, message), as the kernels give it; None is success.
Outcome = tuple[int, int, int, int, str] | None


class FastpackError(Exception):
    """Root of everything that fastpack raises on purpose."""

    def __str__(self) -> str:
        """The message alone: OSError would put its number before it."""
        return str(self.args[-1]) if self.args else ""


class MissingFileError(FastpackError, FileNotFoundError):
    """A file or folder that was named is not there."""


class UnreadableFileError(FastpackError, OSError):
    """The operating system refused to open, read or write a file."""


class OutputExistsError(FastpackError, FileExistsError):
    """The output is there already and `overwrite` was not asked for."""


class PlanChangedError(FastpackError, ValueError):
    """A pack that was interrupted cannot go on: its source or its options are not what they were."""


class StagingBusyError(FastpackError, BlockingIOError):
    """Another pack is writing to the same output."""


class MixedSetError(FastpackError, ValueError):
    """Files of one set do not belong together: some are missing, of another pack, or being replaced."""


class EmptySourceError(FastpackError, ValueError):
    """Nothing to pack, or nothing to read."""


class NoRecordsError(EmptySourceError):
    """A TFRecord without a record. Beside others it counts as no samples."""


class DuplicateKeyError(FastpackError, ValueError):
    """Two samples of one source have the same key."""


class SourceError(FastpackError, ValueError):
    """A source does not fit together: lengths differ, a column is missing, a label is no integer."""


class FormatError(FastpackError, ValueError):
    """A file is not what its name or its user says, or lacks what is needed to read it."""


class ChangedFileError(FormatError):
    """A file is not the one that was indexed: it was replaced or written to under an open dataset."""


class SchemaError(FastpackError, ValueError):
    """Samples and schema do not agree, or a schema cannot be written to a format."""


class CorruptRecordError(FastpackError, ValueError):
    """A record's bytes are damaged."""


class TruncatedFileError(CorruptRecordError, EOFError):
    """A file ends before what it promised."""


class CorruptImageError(FastpackError, ValueError):
    """An image's bytes are damaged."""


class UnsupportedImageError(FastpackError, ValueError):
    """Not an image, or one of a kind that no codec here decodes."""


class LimitError(FastpackError, ValueError):
    """A file claims more than a limit allows. Limits have names and can be raised."""


class OutOfMemoryError(LimitError, MemoryError):
    """The system has no more memory to give."""


class ShapeError(FastpackError, ValueError):
    """Images, boxes or arrays do not have the shape that was asked for."""


class OptionError(FastpackError, ValueError):
    """An option has a value that makes no sense."""


class OutOfRangeError(FastpackError, IndexError):
    """A sample or a position that the dataset does not have."""


class StateError(FastpackError, ValueError):
    """A saved state is of another dataset or order, or an iterator of a place that its loader has left."""


class MissingPackageError(FastpackError, ImportError):
    """An optional package is needed and not installed."""


class FastpackWarning(UserWarning):
    """A note: something was guessed or left out. The text says what, and which argument decides it."""


def warn(notes: Iterable[str]) -> None:
    """Shows the notes of a result to the caller of a public function of this package."""
    for note in notes:
        warnings.warn(note, FastpackWarning, stacklevel=3)


@dataclass(frozen=True)
class Location:
    """Where something went wrong; what is not known is left out.

    >>> str(Place("train-00003.tfrecord", record=1712, offset=7936, key="tench.JPEG"))
    'train-00003.tfrecord, record 1712, byte 0x1f00, key tench.JPEG'
    """

    path: str | os.PathLike[str] | None = None
    record: int | None = None
    offset: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        parts = [os.fspath(self.path)] if self.path is not None else []
        if self.record is not None:
            parts.append(f"record {self.record}")
        if self.offset is not None:
            parts.append(f"byte {self.offset:#x}")
        if self.key:
            parts.append(f"key {self.key}")
        return ", ".join(parts)


def with_location(message: str, location: Location) -> str:
    """`message` with the place behind it."""
    return f"{message} - at {location}" if str(location) else message


_DAMAGED = "restore the file from its source, or run `fastpack verify` to list what is damaged"

# Numbers are those of src_cython/kernels/status.h. (class, what the user can do)
_STATUSES: dict[int, tuple[type[FastpackError], str]] = {
    1: (UnreadableFileError, "check the file, its permissions and the disk"),
    2: (OutOfMemoryError, "free memory, or use smaller batches"),
    3: (TruncatedFileError, _DAMAGED),
    4: (CorruptRecordError, f"a gzip'ed file fails here too: decompress it first; else {_DAMAGED}"),
    5: (CorruptRecordError, _DAMAGED),
    6: (LimitError, "raise max_record_bytes if the record is real"),
    7: (FormatError, "only tf.train.Example records can be read"),
    8: (UnsupportedImageError, "remove the file from the source, or convert it to an image"),
    9: (CorruptImageError, "restore the image from its source, or leave it out"),
    10: (CorruptImageError, "restore the image from its source, or leave it out"),
    11: (UnsupportedImageError, "convert the image to 8-bit JPEG or PNG"),
    12: (LimitError, "raise max_pixels if the image is real"),
    13: (LimitError, "raise max_scans if the image is real"),
    14: (ShapeError, "give a box inside the image and an output of the box's or the asked size"),
    15: (SourceError, "pack again when nothing writes to the source"),
    16: (
        SchemaError,
        "leave the feature out with fields=..., or rewrite the records with one type for it",
    ),
    17: (CorruptRecordError, _DAMAGED),
    18: (
        FormatError,
        "make the archive again of plain files: `tar --create --dereference --hard-dereference`",
    ),
}


def status_error(
    status: int, message: str, location: Location, error_number: int = 0
) -> FastpackError:
    """What a kernel's `status` means, with the place and the remedy in its message."""
    error, remedy = _STATUSES[status]
    if error_number:
        message = f"{message}: {os.strerror(error_number)}"
    text = with_location(f"{message}; {remedy}", location)
    return error(error_number or None, text) if issubclass(error, OSError) else error(text)


def raise_status(status: int, message: str, location: Location, error_number: int = 0) -> NoReturn:
    raise status_error(status, message, location, error_number)


def outcome_error(outcome: Outcome, location: Location) -> FastpackError:
    assert outcome is not None
    status, error_number, _, _, message = outcome
    return status_error(status, message, location, error_number)


def raise_first(outcomes: Iterable[Outcome], location_of: Callable[[int], Location]) -> None:
    """Raises for the failure in the lowest row among the threads' outcomes; nothing when all went well."""
    failures = [outcome for outcome in outcomes if outcome]
    if failures:
        first = min(failures, key=lambda failure: failure[2])
        raise outcome_error(first, location_of(first[2]))


def changed_file_error(location: Location) -> ChangedFileError:
    return ChangedFileError(
        with_location("the file has changed since it was indexed; open the dataset again", location)
    )


def from_os_error(error: OSError, doing: str, path: str | os.PathLike[str]) -> FastpackError:
    """The FastpackError for an OSError that `doing` something to `path` met."""
    reason = error.strerror or str(error)
    remedy = "check the path and its permissions"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        remedy = "raise the limit (`ulimit -n`), or use fewer files at once"
    text = with_location(f"cannot {doing}: {reason}; {remedy}", Location(path))
    kind = MissingFileError if isinstance(error, FileNotFoundError) else UnreadableFileError
    return kind(error.errno, text)
