"""The containers by name, by suffix and by first bytes."""

from pathlib import Path

from fastpack.errors import (
    FormatError,
    Location,
    NoRecordsError,
    OptionError,
    from_os_error,
    with_location,
)
from fastpack.formats.protocols import Container, SelectingContainer

_HEAD_BYTES = 4096


NAMES = ("tfrecord", "hdf5", "tar")  # those that are written


_FILES = ("tfrecord", "tar", "hdf5")


def named(name: str) -> Container:
    """The container of that name. Imported late: h5py takes a tenth of a second."""
    if name == "tfrecord":
        from fastpack.formats.tfrecord.container import TFRECORD

        return TFRECORD
    if name == "hdf5":
        from fastpack.formats.hdf5.container import HDF5

        return HDF5
    if name == "tar":
        from fastpack.formats.tar.container import TAR

        return TAR
    if name == "folder":
        from fastpack.formats.folder import FOLDER

        return FOLDER
    raise OptionError(f"there is no format {name!r}; choose one of {', '.join(NAMES)}")


def of_suffix(path: Path) -> Container | None:
    """The container that files of this name are written in."""
    return next(
        (named(name) for name in _FILES if path.suffix.lower() in named(name).suffixes), None
    )


def recognised(head: bytes) -> Container | None:
    """The container that a file's first 4 KiB look like."""
    return next((named(name) for name in _FILES if named(name).recognises(head)), None)


def of_file(path: Path) -> Container:
    """The container of an existing file, by its first bytes, or of a folder of images. Raises FormatError when it is none."""
    if path.is_dir():
        return named("folder")
    if path.exists() and not path.is_file():
        raise FormatError(
            f"this is a pipe or a device, not a file; name a TFRecord, HDF5 or tar file - at {path}"
        )
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise from_os_error(error, "read", path) from error
    if found := recognised(head):
        return found
    if head[:2] == b"\x1f\x8b":
        remedy = "`fastpack convert` makes an open one of a TFRecord; unpack others first (gunzip)"
        raise FormatError(f"a gzip'ed file has no random access: {remedy} - at {path}")
    if not head and any(suffix in path.name.lower() for suffix in named("tfrecord").suffixes):
        raise NoRecordsError(
            with_location(
                "the file is empty: a TFRecord without a record; pack it again, or leave it out",
                Location(path),
            )
        )
    if (guess := of_suffix(path)) and head:
        return guess  # damaged: its indexer knows how to say so
    raise FormatError(
        f"this is no TFRecord, HDF5 or tar file; `fastpack pack` makes one of a folder or a table of images - at {path}"
    )


def explain(path: Path) -> list[str]:
    """How the arrays of a file are stored and read, where a file may hold several; else nothing."""
    container = of_file(path)
    return container.explain(path) if isinstance(container, SelectingContainer) else []
