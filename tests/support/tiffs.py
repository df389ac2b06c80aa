"""TIFFs of every kind by the TIFF 6.0 specification; Pillow writes no tiles or planes."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]
# Names of what an image is, as the tag PhotometricInterpretation counts them.
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8
_LETTERS = {1: "B", 3: "H", 4: "I"}


def tiff(
    samples: Samples,
    photometric: int,
    *,
    order: str = "<",
    bits: int | None = None,
    planar: bool = False,
    rows: int | None = None,
    tile: tuple[int, int] | None = None,
    tags: dict[int, tuple[int, ...]] | None = None,
) -> bytes:
    """An uncompressed file of (height, width, channels), in strips of `rows` rows or in tiles."""
    height, width, channels = samples.shape
    bits = bits or 8 * samples.itemsize
    shape = tile or (rows or height, width)
    planes = [samples[..., c : c + 1] for c in range(channels)] if planar else [samples]
    segments = [
        _packed(part, bits, order)
        for plane in planes
        for part in _cut(plane, shape, is_tiled=tile is not None)
    ]
    first = 8
    offsets = [first + sum(map(len, segments[:i])) for i in range(len(segments))]
    values = {
        256: (width,),
        257: (height,),
        258: (bits,) * channels,
        259: (1,),
        262: (photometric,),
        277: (channels,),
        284: (2 if planar else 1,),
        **({322: (shape[1],), 323: (shape[0],)} if tile else {278: (shape[0],)}),
        **(
            {324: tuple(offsets), 325: tuple(map(len, segments))}
            if tile
            else {273: tuple(offsets), 279: tuple(map(len, segments))}
        ),
        **(tags or {}),
    }
    body = b"".join(segments)
    mark = b"II" if order == "<" else b"MM"
    return (
        mark
        + struct.pack(order + "HI", 42, first + len(body))
        + body
        + _directory(values, order, first + len(body))
    )


def _cut(plane: Samples, shape: tuple[int, int], *, is_tiled: bool) -> list[Samples]:
    parts = []
    for top in range(0, plane.shape[0], shape[0]):
        for left in range(0, plane.shape[1], shape[1]):
            part = plane[top : top + shape[0], left : left + shape[1]]
            missing = [
                (0, size - there) if is_tiled else (0, 0)
                for size, there in zip(shape, part.shape, strict=False)
            ]
            parts.append(np.pad(part, [*missing, (0, 0)]))
    return parts


def _packed(part: Samples, bits: int, order: str) -> bytes:
    if bits >= 8:
        return part.astype(part.dtype.newbyteorder(order)).tobytes()
    return _bits(part.reshape(len(part), -1, 1), bits)


def _bits(rows: Samples, bits: int) -> bytes:
    """Rows of numbers of a few bits, each padded to whole bytes."""
    single = (rows >> np.arange(bits - 1, -1, -1, dtype=rows.dtype)) & 1
    return np.packbits(single.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


def _directory(values: dict[int, tuple[int, ...]], order: str, at: int) -> bytes:
    entries, behind = b"", b""
    end = at + 2 + 12 * len(values) + 4
    for tag, numbers in sorted(values.items()):
        kind = 4 if max(numbers) > 65535 else 3
        data = struct.pack(f"{order}{len(numbers)}{_LETTERS[kind]}", *numbers)
        if len(data) > 4:
            entries += struct.pack(order + "HHII", tag, kind, len(numbers), end + len(behind))
            behind += data + b"\0" * (len(data) % 2)
        else:
            entries += struct.pack(order + "HHI", tag, kind, len(numbers)) + data.ljust(4, b"\0")
    return struct.pack(order + "H", len(values)) + entries + bytes(4) + behind
