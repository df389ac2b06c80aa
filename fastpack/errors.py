"""The exceptions, and the one place where a kernel's status becomes an exception.

Every class is also the builtin that a Python user would catch. Every message says what is wrong,
what to do, and at which location.
"""

import errno
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NoReturn

# (status, errno, row, offset, message) of a kernel; None is success.
Outcome = tuple[int, int, int, int, str] | None


@dataclass(frozen=True)
class Location:
    """The location of an error in a dataset; unknown parts are None.

    Args:
        path: the file or folder.
        record: number of the record in the file, from 0.
        offset: bytes from the beginning of the file.
        key: key of the sample.

    Example:
        >>> str(Location("train-00003.tfrecord", record=1712, offset=7936, key="tench.JPEG"))
        'train-00003.tfrecord, record 1712, byte 0x1f00, key tench.JPEG'
    """

    path: Any = None
    record: int | None = None
    offset: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        path = self.path
        parts = [] if path is None else [os.fspath(path) if _is_local(path) else str(path)]
        if self.record is not None:
            parts.append(f"record {self.record}")
        if self.offset is not None:
            parts.append(f"byte {self.offset:#x}")
        if self.key:
            parts.append(f"key {self.key}")
        return ", ".join(parts)


def _is_local(path: object) -> bool:
    """Return False for the path of an object in a store, which has a URL."""
    return isinstance(path, str | os.PathLike)


class LocatedMessage(str):
    """A message that ends with a location, and that location."""

    location: Location


def with_location(message: str, location: Location) -> str:
    """Append a location to a message; an error with this message has it as `location`."""
    if not str(location):
        return message
    located = LocatedMessage(f"{message} - at {location}")
    located.location = location
    return located


class FastpackError(Exception):
    """Base class of all errors that fastpack raises.

    Example:
        >>> raised = FormatError(with_location("not a TFRecord", Location("x.tfrecord", record=3)))
        >>> str(raised), raised.location.record
        ('not a TFRecord - at x.tfrecord, record 3', 3)
    """

    def __str__(self) -> str:
        """The message without an errno, which OSError would put before it."""
        return str(self.args[-1]) if self.args else ""

    @property
    def location(self) -> Location | None:
        """The location that the message names; None if it names none."""
        return getattr(self.args[-1], "location", None) if self.args else None


class MissingFileError(FastpackError, FileNotFoundError):
    """A file or folder does not exist."""


class UnreadableFileError(FastpackError, OSError):
    """The OS refuses to open, read or write a file."""


class StoreError(UnreadableFileError):
    """An object store does not answer, or refuses a request."""


class OutputExistsError(FastpackError, FileExistsError):
    """The output exists, and `overwrite` is not set."""


class PlanChangedError(FastpackError, ValueError):
    """An interrupted pack cannot resume: its source or its options have changed."""


class StagingBusyError(FastpackError, BlockingIOError):
    """Another pack writes to the same output."""


class MixedSetError(FastpackError, ValueError):
    """Files of a set are missing, come from another pack, or are being replaced."""


class EmptySourceError(FastpackError, ValueError):
    """There is nothing to pack, read or show."""


class NoRecordsError(EmptySourceError):
    """A TFRecord file has no records; among other files it counts as no samples."""


class DuplicateKeyError(FastpackError, ValueError):
    """Two samples of one source have the same key."""


class SourceError(FastpackError, ValueError):
    """Parts of a source do not match: lengths differ, or a column is missing."""


class FormatError(FastpackError, ValueError):
    """A file does not have the format that its name or an option gives."""


class ChangedFileError(FormatError):
    """A file was replaced or modified after it was indexed."""


class SchemaError(FastpackError, ValueError):
    """Samples do not match a schema, or a format cannot store the schema."""


class CorruptRecordError(FastpackError, ValueError):
    """A record's bytes are damaged."""


class TruncatedFileError(CorruptRecordError, EOFError):
    """A file ends before the end of its data."""


class CorruptImageError(FastpackError, ValueError):
    """An image's bytes are damaged."""


class UnsupportedImageError(FastpackError, ValueError):
    """A file is not an image, or is of a kind that no codec decodes."""


class LimitError(FastpackError, ValueError):
    """A file needs more than one of the `Limits` allows."""


class OutOfMemoryError(LimitError, MemoryError):
    """The system is out of memory."""


class ShapeError(FastpackError, ValueError):
    """Images, boxes or arrays do not have the required shape."""


class OptionError(FastpackError, ValueError):
    """An option has an invalid value."""


class OutOfRangeError(FastpackError, IndexError):
    """A dataset does not have the sample or the position."""


class StateError(FastpackError, ValueError):
    """A state is of another dataset or order, or an iterator is out of date."""


class MissingPackageError(FastpackError, ImportError):
    """An optional package is needed but not installed."""


class FastpackWarning(UserWarning):
    """A guess or an omission; the text names the argument that decides it."""


def warn(notes: Iterable[str]) -> None:
    """Issue a FastpackWarning for each note, at the caller of a public function."""
    for note in notes:
        warnings.warn(note, FastpackWarning, stacklevel=3)


_DAMAGED = "restore the file from its source, or run `fastpack verify` to list what is damaged"


class Status(IntEnum):
    """Results of a kernel, as in src_cython/kernels/status.h."""

    IO_ERROR = 1
    NO_MEMORY = 2
    TRUNCATED = 3
    BAD_LENGTH_CRC = 4
    BAD_DATA_CRC = 5
    RECORD_LIMIT = 6
    BAD_PROTO = 7
    NOT_AN_IMAGE = 8
    CORRUPT_IMAGE = 9
    TRUNCATED_IMAGE = 10
    UNSUPPORTED_IMAGE = 11
    PIXEL_LIMIT = 12
    SCAN_LIMIT = 13
    BAD_BOX = 14
    FILE_CHANGED = 15
    WRONG_KIND = 16
    BAD_CHUNK = 17
    BAD_ARCHIVE = 18


_RESTORE_IMAGE = "restore the image from its source, or leave it out"
_ERRORS: dict[Status, tuple[type[FastpackError], str]] = {
    Status.IO_ERROR: (UnreadableFileError, "check the file, its permissions and the disk"),
    Status.NO_MEMORY: (OutOfMemoryError, "free memory, or use smaller batches"),
    Status.TRUNCATED: (TruncatedFileError, _DAMAGED),
    Status.BAD_LENGTH_CRC: (
        CorruptRecordError,
        f"decompress the file if it is gzip'ed, which fails here too; else {_DAMAGED}",
    ),
    Status.BAD_DATA_CRC: (CorruptRecordError, _DAMAGED),
    Status.RECORD_LIMIT: (LimitError, "raise max_record_bytes if the record is real"),
    Status.BAD_PROTO: (FormatError, "only tf.train.Example records can be read"),
    Status.NOT_AN_IMAGE: (
        UnsupportedImageError,
        "remove the file from the source, or convert it to an image",
    ),
    Status.CORRUPT_IMAGE: (CorruptImageError, _RESTORE_IMAGE),
    Status.TRUNCATED_IMAGE: (CorruptImageError, _RESTORE_IMAGE),
    Status.UNSUPPORTED_IMAGE: (UnsupportedImageError, "convert the image to 8-bit JPEG or PNG"),
    Status.PIXEL_LIMIT: (LimitError, "raise max_pixels if the image is real"),
    Status.SCAN_LIMIT: (LimitError, "raise max_scans if the image is real"),
    Status.BAD_BOX: (
        ShapeError,
        "give a box inside the image, and an output of the box's or the requested size",
    ),
    Status.FILE_CHANGED: (SourceError, "pack again when nothing writes to the source"),
    Status.WRONG_KIND: (
        SchemaError,
        "leave the feature out with fields=..., or rewrite all records with one type for it",
    ),
    Status.BAD_CHUNK: (CorruptRecordError, _DAMAGED),
    Status.BAD_ARCHIVE: (
        FormatError,
        "make the archive of plain files: `tar --create --dereference --hard-dereference`",
    ),
}


def status_error(
    status: int, message: str, location: Location, error_number: int = 0
) -> FastpackError:
    """Make the exception for a kernel's status, with remedy and location in its message."""
    error, remedy = _ERRORS[Status(status)]
    if error_number:
        message = f"{message}: {os.strerror(error_number)}"
    text = with_location(f"{message}; {remedy}", location)
    return error(error_number or None, text) if issubclass(error, OSError) else error(text)


def raise_status(status: int, message: str, location: Location, error_number: int = 0) -> NoReturn:
    """Raise the `status_error`."""
    raise status_error(status, message, location, error_number)


def outcome_error(outcome: Outcome, location: Location) -> FastpackError:
    """Make the exception for a failed kernel call."""
    assert outcome is not None
    status, error_number, _, _, message = outcome
    return status_error(status, message, location, error_number)


def raise_first(outcomes: Iterable[Outcome], location_of: Callable[[int], Location]) -> None:
    """Raise the error of the lowest row among the threads' outcomes, if one failed."""
    failures = [outcome for outcome in outcomes if outcome]
    if failures:
        first = min(failures, key=lambda failure: failure[2])
        raise outcome_error(first, location_of(first[2]))


def changed_file_error(location: Location) -> ChangedFileError:
    """Make the exception for a file that changed after it was indexed."""
    message = "the file has changed since it was indexed; open the dataset again"
    return ChangedFileError(with_location(message, location))


def from_os_error(error: OSError, doing: str, path: str | os.PathLike[str]) -> FastpackError:
    """Make the FastpackError for an OSError that occurred while `doing` something to `path`."""
    reason = error.strerror or str(error)
    remedy = "check the path and its permissions"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        remedy = "raise the limit (`ulimit -n`), or use fewer files at once"
    text = with_location(f"cannot {doing}: {reason}; {remedy}", Location(path))
    kind = MissingFileError if isinstance(error, FileNotFoundError) else UnreadableFileError
    return kind(error.errno, text)


@contextmanager
def os_errors_at(path: str | os.PathLike[str], doing: str = "write") -> Iterator[None]:
    """Turn an OSError of the block into a FastpackError that names `path` and what was tried."""
    try:
        yield
    except FastpackError:
        raise
    except OSError as error:
        raise from_os_error(error, doing, path) from error
