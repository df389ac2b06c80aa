"""Checksums of an HDF5 file's columns and attributes: labels, keys, offsets, class names, schema.

The root's attribute `checksums` has them as JSON. A key is the path of a dataset, or "@" and the
name of an attribute. A value is the CRC-32C of dtype, shape and values. Datasets that are added
later have no checksum.
"""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fastpack._native.crc32c import crc32c
from fastpack.errors import Location, Status, raise_status
from fastpack.files.shard import Shard

_ATTRIBUTE = "checksums"
_CHECKED_ROWS = 2**15
# Exceptions of h5py for damaged files.
_LIBRARY_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError)


def write_checksums(file: h5py.File) -> None:
    """Store the checksums of all columns and of the root's attributes; images have their own."""
    names = [f"@{name}" for name in file.attrs]

    def note(name: str, member: object) -> None:
        if _is_column(name, member):
            # A column "@x" gets a slash, since "@x" is the attribute x.
            names.append(f"/{name}" if name[0] == "@" else name)

    file.visititems(note)
    checksums = {name: _checksum(file, name) for name in sorted(names)}
    text = json.dumps(checksums, separators=(",", ":"))
    file.attrs[_ATTRIBUTE] = np.bytes_(text)  # of fixed length, like all our attributes


def _is_column(name: str, member: object) -> bool:
    if not isinstance(member, h5py.Dataset) or member.ndim != 1 or member.dtype.hasobject:
        return False
    return not (name.endswith("/bytes") and "crc32c" in member.parent)


def damaged_names(file: h5py.File, file_bytes: int) -> list[str] | None:
    """Return the datasets and attributes that differ from their checksums or cannot be read.

    Returns None if the file has no checksums. Reads nothing larger than the file, nothing outside
    it, and nothing of variable length.
    """
    try:
        if _ATTRIBUTE not in file.attrs:
            return None
        checksums = json.loads(bytes(_attribute(file, _ATTRIBUTE)))
        return [name for name in checksums if not _agrees(file, name, checksums[name], file_bytes)]
    except (*_LIBRARY_ERRORS, AttributeError):
        return [f"@{_ATTRIBUTE}"]


def damaged_datasets(path: Path) -> list[str] | None:
    """Return the `damaged_names` of the file at `path`."""
    with h5py.File(path, "r", locking=False) as file:
        return damaged_names(file, path.stat().st_size)


def _agrees(file: h5py.File, name: str, checksum: int, file_bytes: int) -> bool:
    try:
        if not name.startswith("@"):
            _refuse_strange(file, name, file_bytes)
        return _checksum(file, name) == checksum
    except _LIBRARY_ERRORS:
        return False


def _checksum(file: h5py.File, name: str) -> int:
    """The checksum of dtype, shape and values, which are read a part at a time."""
    values = np.asarray(_attribute(file, name[1:])) if name.startswith("@") else file[name]
    parts: list[Any] = [...]
    if values.ndim:
        starts = range(0, len(values), _CHECKED_ROWS)
        parts = [slice(start, start + _CHECKED_ROWS) for start in starts]
    checksum = crc32c(f"{values.dtype.str}{values.shape}".encode())
    for part in parts:
        checksum = crc32c(np.ascontiguousarray(values[part]).reshape(-1).view(np.uint8), checksum)
    return checksum


def _attribute(file: h5py.File, name: str) -> Any:
    if file.attrs.get_id(name).dtype.kind not in "Siu":
        raise TypeError(f"{name} is neither text of fixed length nor integers")
    return file.attrs[name]


def _refuse_strange(file: h5py.File, name: str, file_bytes: int) -> None:
    """Raise if a dataset is reached through a link, lies in another file, or exceeds the file."""
    group = file
    for part in name.removeprefix("/").split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise KeyError(name)
        group = group[part]
    if group.external or group.is_virtual or group.nbytes > file_bytes or group.dtype.hasobject:
        raise ValueError(f"{name} is not stored as we store it")


def refuse_damaged(file: h5py.File, shard: Shard) -> None:
    """Raise CorruptRecordError if a column or attribute differs from its checksum."""
    if names := damaged_names(file, shard.size):
        raise_status(
            Status.BAD_DATA_CRC,
            f"{', '.join(names)}: the values differ from their CRC32C",
            Location(shard.path),
        )
