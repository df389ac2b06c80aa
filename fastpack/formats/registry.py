"""The containers by name, by suffix and by first bytes."""

from importlib import import_module
from pathlib import Path
from typing import cast

from fastpack.errors import (
    FormatError,
    Location,
    NoRecordsError,
    OptionError,
    from_os_error,
    with_location,
)
from fastpack.formats.file_options import Layout
from fastpack.formats.protocols import Container, SelectingContainer

_HEAD_BYTES = 4096

# Name -> module and object of each container, in the order in which a file is compared with them.
# They are imported at first use: h5py takes 0.1 s.
_CONTAINERS = {
    "tfrecord": ("fastpack.formats.tfrecord.container", "TFRECORD"),
    "tar": ("fastpack.formats.tar.container", "TAR"),
    "hdf5": ("fastpack.formats.hdf5.container", "HDF5"),
    "folder": ("fastpack.formats.folder", "FOLDER"),
}
NAMES = ("tfrecord", "hdf5", "tar")  # those that are written


def named(name: str) -> Container:
    """Return the container of that name. Raises OptionError for an unknown name."""
    if name not in _CONTAINERS:
        raise OptionError(f"there is no format {name!r}; choose one of {', '.join(NAMES)}")
    module, container = _CONTAINERS[name]
    return cast(Container, getattr(import_module(module), container))


def of_suffix(path: Path) -> Container | None:
    """Return the container of files with such a name."""
    return next(
        (
            container
            for container in map(named, _CONTAINERS)
            if path.suffix.lower() in container.suffixes
        ),
        None,
    )


def recognised(head: bytes) -> Container | None:
    """Return the container that a file's first 4 KiB look like."""
    return next(
        (container for container in map(named, _CONTAINERS) if container.recognises(head)), None
    )


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


def refuse_layout(container: Container, layout: Layout) -> None:
    """Raise OptionError if the container's files cannot have this layout."""
    if layout in container.layouts:
        return
    others = [other.title for other in map(named, NAMES) if layout in other.layouts]
    remedy = f"or choose {' or '.join(others)}"
    if layout == "pixels":
        remedy = f"leave size and layout out, give a quality to re-encode the images, {remedy}"
        raise OptionError(f"{container.title} files hold images as encoded files; {remedy}")
    raise OptionError(f"{container.title} files have no layout {layout!r}; leave it out, {remedy}")


def explain(path: Path) -> list[str]:
    """How the arrays of a file are stored and read, where a file may hold several; else nothing."""
    container = of_file(path)
    return container.explain(path) if isinstance(container, SelectingContainer) else []
