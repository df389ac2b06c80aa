"""GIF, its first image (GIF89a specification): palette indices, of which one may be transparent."""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpack._native.raster import unpack_gif
from fastpack.errors import CorruptImageError
from fastpack.images.codec import RESTORE
from fastpack.images.raster import Raster, RasterCodec

_EXTENSION, _PICTURE, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9
# First row and step of the four passes of an interlaced image (appendix E).
_PASSES = ((0, 8), (4, 8), (2, 4), (1, 2))


@dataclass
class _Reader:
    """What is left of a file."""

    data: bytes
    at: int

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise CorruptImageError(f"the GIF ends inside a picture; {RESTORE}")
        self.at += count
        return self.data[self.at - count : self.at]

    def palette(self, flags: int) -> npt.NDArray[np.uint8] | None:
        """(n, 3), when the flags say that there is one."""
        return (
            np.frombuffer(self.take(3 << (flags & 7) + 1), np.uint8).reshape(-1, 3)
            if flags & 0x80
            else None
        )

    def blocks(self) -> bytes:
        """The pieces of at most 255 bytes that follow, joined."""
        pieces = []
        while size := self.take(1)[0]:
            pieces.append(self.take(size))
        return b"".join(pieces)

    def skip_rest(self) -> None:
        """Goes over the other images of an animation, to see that the file is whole."""
        while (kind := self.take(1)[0]) != _TRAILER:
            if kind == _PICTURE:
                self.palette(self.take(9)[8])
            self.take(1)
            self.blocks()


def read_gif(data: bytes, format: str) -> Raster:
    reader = _Reader(data, 6)
    width, height, flags, background, _ = struct.unpack("<HHBBB", reader.take(7))
    palette, clear = reader.palette(flags), None
    while (kind := reader.take(1)[0]) == _EXTENSION:
        label, body = reader.take(1)[0], reader.blocks()
        if label == _CONTROL and len(body) >= 4:
            clear = body[3] if body[0] & 1 else None
    if kind != _PICTURE:
        raise CorruptImageError(f"the GIF has no picture; {RESTORE}")
    left, top, wide, high, flags = struct.unpack("<HHHHB", reader.take(9))
    own_palette = reader.palette(flags)
    palette = palette if own_palette is None else own_palette
    indices = np.full((height, width), background if clear is None else clear, np.uint8)
    if left + wide > width or top + high > height or palette is None:
        raise CorruptImageError(
            f"the first picture of the GIF is larger than its screen, or has no palette; {RESTORE}"
        )
    if wide and high:
        indices[top : top + high, left : left + wide] = _picture(
            reader, high, wide, is_interlaced=bool(flags & 0x40)
        )
    reader.skip_rest()
    return Raster(
        indices[..., None], "PALETTE", palette=_with_alpha(palette, int(indices.max()), clear)
    )


def _picture(
    reader: _Reader, height: int, width: int, *, is_interlaced: bool
) -> npt.NDArray[np.uint8]:
    bits, packed = reader.take(1)[0], np.frombuffer(reader.blocks(), np.uint8)
    rows = np.empty((height, width), np.uint8)
    if not unpack_gif(packed, bits, rows.reshape(-1)):
        raise CorruptImageError(
            f"the LZW data of the GIF are damaged, or not as long as its picture; {RESTORE}"
        )
    if not is_interlaced:
        return rows
    order = [row for first, step in _PASSES for row in range(first, height, step)]
    upright = np.empty_like(rows)
    upright[order] = rows
    return upright


def _with_alpha(
    palette: npt.NDArray[np.uint8], largest: int, clear: int | None
) -> npt.NDArray[np.uint8]:
    """At least as many colors as indices, black where the file has none; with alpha when an index is transparent."""
    whole = np.zeros(
        (max(len(palette), largest + 1, (clear or 0) + 1), 3 if clear is None else 4), np.uint8
    )
    whole[: len(palette), :3] = palette
    if clear is not None:
        whole[:, 3] = 255
        whole[clear, 3] = 0
    return whole


GIF_CODEC = RasterCodec(("gif",), read_gif)
