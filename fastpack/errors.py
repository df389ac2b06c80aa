"""The exception tree, and the one place where a kernel's status becomes an exception.

Every class is also the builtin that a Python user would catch, and every message ends with the place
and says what to do.
"""

import errno
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

# (status, errno, row, offset, message), as the kernels give it; None is success.
Outcome = tuple[int, int, int, int, str] | None


@dataclass(frozen=True)
class Location:
    """The place of an error in a dataset; unknown parts are None.

    Args:
        path: the file or folder.
        record: number of the record in the file, from 0.
        offset: byte in the file.
        key: key of the sample.

    Example:
        >>> str(Location("train-00003.tfrecord", record=1712, offset=7936, key="tench.JPEG"))
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


class LocatedMessage(str):
    """A message that ends with a place, and the place itself."""

    location: Location


def with_location(message: str, location: Location) -> str:
    """Append the place to a message; an error raised with it has it as `location`."""
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
        """The place that the message names; None if it names none."""
        return getattr(self.args[-1], "location", None) if self.args else None


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
        f"a gzip'ed file fails here too: decompress it first; else {_DAMAGED}",
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
        "give a box inside the image and an output of the box's or the asked size",
    ),
    Status.FILE_CHANGED: (SourceError, "pack again when nothing writes to the source"),
    Status.WRONG_KIND: (
        SchemaError,
        "leave the feature out with fields=..., or rewrite the records with one type for it",
    ),
    Status.BAD_CHUNK: (CorruptRecordError, _DAMAGED),
    Status.BAD_ARCHIVE: (
        FormatError,
        "make the archive again of plain files: `tar --create --dereference --hard-dereference`",
    ),
}


def status_error(
    status: int, message: str, location: Location, error_number: int = 0
) -> FastpackError:
    """Make the exception for a kernel's status, with remedy and place in its message."""
    error, remedy = _ERRORS[Status(status)]
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


@contextmanager
def os_errors_at(path: str | os.PathLike[str], doing: str = "write") -> Iterator[None]:
    """Turn an OSError of the block into a FastpackError that names `path` and what was tried."""
    try:
        yield
    except FastpackError:
        raise
    except OSError as error:
        raise from_os_error(error, doing, path) from error
