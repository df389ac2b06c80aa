"""Functions that change bytes of files."""

import os
from collections.abc import Mapping
from pathlib import Path


def in_place(path: Path, pieces: Mapping[int, bytes]) -> None:
    """Writes these bytes at these offsets, as a bad disk does: the file's time stays."""
    status = path.stat()
    with open(path, "r+b") as file:
        for at_byte, data in pieces.items():
            file.seek(at_byte)
            file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))


def flipped(data: bytes, at_byte: int) -> bytes:
    return data[:at_byte] + bytes([data[at_byte] ^ 1]) + data[at_byte + 1 :]


def flip_in_image(path: Path, image: bytes) -> None:
    change(path, image, flipped(image, len(image) // 2))
