"""The containers by name, by suffix and by first bytes."""

from importlib import import_module
from pathlib import Path
from typing import cast

from fastpack.errors import (
    FormatError,
    Location,
    NoRecordsError,
    OptionError,
    os_errors_at,
    with_location,
)
from fastpack.formats.file_options import Layout
from fastpack.formats.protocols import Container, SelectingContainer
from fastpack.stores.store_path import as_object, is_in_store

_HEAD_BYTES = 4096

# Name -> module, object, and endings of the files of each container, in lower case. A file is
# compared with them in this order. They are imported at first use: h5py takes 0.1 s.
_CONTAINERS = {
    "tfrecord": (
        "fastpack.formats.tfrecord.container",
        "TFRECORD",
        *(".tfrecord", ".tfrecords", ".tfrec", ".record"),
    ),
    "tar": ("fastpack.formats.tar.container", "TAR", ".tar"),
    "hdf5": ("fastpack.formats.hdf5.container", "HDF5", ".h5", ".hdf5", ".hdf", ".he5"),
    "folder": ("fastpack.formats.folder", "FOLDER"),
}
NAMES = ("tfrecord", "hdf5", "tar")  # those with a writer
PACKED_SUFFIXES = tuple(suffix for _, _, *suffixes in _CONTAINERS.values() for suffix in suffixes)


def named(name: str) -> Container:
    """Return the container of that name. Raises OptionError for an unknown name."""
    if name not in _CONTAINERS:
        raise OptionError(f"there is no format {name!r}; choose one of {', '.join(NAMES)}")
    module, container, *_ = _CONTAINERS[name]
    return cast(Container, getattr(import_module(module), container))


def of_suffix(path: Path) -> Container | None:
    """Return the container of files with such a name."""
    suffix = path.suffix.lower()
    found = next((name for name, entry in _CONTAINERS.items() if suffix in entry[2:]), None)
    return None if found is None else named(found)


def is_packed_name(name: str) -> bool:
    """Return True for the name of a file that is not hidden and ends as packed files do."""
    return not name.startswith(".") and name.lower().endswith(PACKED_SUFFIXES)


def recognized(head: bytes) -> Container | None:
    """Return the container that a file's first 4 KiB look like."""
    return next(
        (container for container in map(named, _CONTAINERS) if container.recognizes(head)), None
    )


def of_file(path: Path) -> Container:
    """Return the container of an existing file, by its first bytes, or of a folder of images.

    Raises FormatError for other files.
    """
    if not is_in_store(path) and path.is_dir():
        return named("folder")
    head = head_of(path)
    if found := recognized(head):
        return found
    if head[:2] == b"\x1f\x8b":
        remedy = "convert a TFRecord with `fastpack convert`; unpack other files first (gunzip)"
        message = f"a gzip'ed file has no random access: {remedy}"
        raise FormatError(with_location(message, Location(path)))
    if not head and any(suffix in path.name.lower() for suffix in named("tfrecord").suffixes):
        message = "the file is empty: a TFRecord without a record; pack it again, or leave it out"
        raise NoRecordsError(with_location(message, Location(path)))
    if (guess := of_suffix(path)) and head:
        return guess  # a damaged file: its indexer reports what is wrong
    message = "this is not a TFRecord, HDF5 or tar file; pack images with `fastpack pack`"
    raise FormatError(with_location(message, Location(path)))


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file or an object. Raises FormatError for a pipe."""
    if is_in_store(path):
        facts, store = as_object(path).facts(), as_object(path).store
        end = min(facts.size, _HEAD_BYTES)
        return bytes(store.read_ranges(facts.key, [0], [end], facts.etag)[0]) if end else b""
    if path.exists() and not path.is_file():
        message = "this is a pipe or a device, not a file; name a TFRecord, HDF5 or tar file"
        raise FormatError(with_location(message, Location(path)))
    with os_errors_at(path, "read"), open(path, "rb") as file:
        return file.read(_HEAD_BYTES)


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
    """Return a line for each array of a file: how it is stored and read.

    Formats without arrays have no lines.
    """
    container = of_file(path)
    return container.explain(path) if isinstance(container, SelectingContainer) else []
