"""What the tests do to files: they change bytes of them."""

from pathlib import Path


def change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))


def flipped(data: bytes, at_byte: int) -> bytes:
    return data[:at_byte] + bytes([data[at_byte] ^ 1]) + data[at_byte + 1 :]


def flip_in_image(path: Path, image: bytes) -> None:
    change(path, image, flipped(image, len(image) // 2))
