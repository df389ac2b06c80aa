"""GIF, its first image: palette indices, one of which may be transparent (GIF89a)."""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastpack._native.raster import unpack_gif
from fastpack.errors import CorruptImageError
from fastpack.images.codec import RESTORE
from fastpack.images.raster import Raster, RasterCodec

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9
# First row and step of the four passes of an interlaced image (appendix E).
_PASSES = ((0, 8), (4, 8), (2, 4), (1, 2))


@dataclass
class _Reader:
    """The rest of a file from byte `at`."""

    data: bytes
    at: int

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        if count > len(self.data) - self.at:
            raise CorruptImageError(f"the GIF ends inside an image; {RESTORE}")
        self.at += count
        return self.data[self.at - count : self.at]

    def palette(self, flags: int) -> npt.NDArray[np.uint8] | None:
        """Return the palette (n, 3) that follows; None if the flags announce no palette."""
        if not flags & 0x80:
            return None
        return np.frombuffer(self.take(3 << (flags & 7) + 1), np.uint8).reshape(-1, 3)

    def blocks(self) -> bytes:
        """Return the blocks of at most 255 bytes that follow, joined."""
        pieces = []
        while size := self.take(1)[0]:
            pieces.append(self.take(size))
        return b"".join(pieces)

    def skip_rest(self) -> None:
        """Skip the other images of an animation, to check that the file is complete."""
        while (kind := self.take(1)[0]) != _TRAILER:
            if kind == _IMAGE:
                self.palette(self.take(9)[8])
            self.take(1)
            self.blocks()


def read_gif(data: bytes, format: str) -> Raster:
    """Return the samples of a GIF file's first image."""
    reader = _Reader(data, 6)
    width, height, flags, background, _ = struct.unpack("<HHBBB", reader.take(7))
    palette, clear = reader.palette(flags), None
    while (kind := reader.take(1)[0]) == _EXTENSION:
        label, body = reader.take(1)[0], reader.blocks()
        if label == _CONTROL and len(body) >= 4:
            clear = body[3] if body[0] & 1 else None
    if kind != _IMAGE:
        raise CorruptImageError(f"the GIF has no image; {RESTORE}")
    left, top, wide, high, flags = struct.unpack("<HHHHB", reader.take(9))
    own_palette = reader.palette(flags)
    palette = palette if own_palette is None else own_palette
    indices = np.full((height, width), background if clear is None else clear, np.uint8)
    if left + wide > width or top + high > height or palette is None:
        raise CorruptImageError(
            f"the first image of the GIF is larger than its screen, or has no palette; {RESTORE}"
        )
    if wide and high:
        rows = _rows(reader, high, wide, is_interlaced=bool(flags & 0x40))
        indices[top : top + high, left : left + wide] = rows
    reader.skip_rest()
    colors = _with_alpha(palette, int(indices.max()), clear)
    return Raster(indices[..., None], "PALETTE", palette=colors)


def _rows(
    reader: _Reader, height: int, width: int, *, is_interlaced: bool
) -> npt.NDArray[np.uint8]:
    """The palette indices of an image, (height, width)."""
    bits, packed = reader.take(1)[0], np.frombuffer(reader.blocks(), np.uint8)
    rows = np.empty((height, width), np.uint8)
    if not unpack_gif(packed, bits, rows.reshape(-1)):
        raise CorruptImageError(
            f"the LZW data of the GIF is damaged, or not as long as its image; {RESTORE}"
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
    """The palette with black for missing colors, and with alpha if an index is transparent."""
    num_colors = max(len(palette), largest + 1, (clear or 0) + 1)
    whole = np.zeros((num_colors, 3 if clear is None else 4), np.uint8)
    whole[: len(palette), :3] = palette
    if clear is not None:
        whole[:, 3] = 255
        whole[clear, 3] = 0
    return whole


GIF_CODEC = RasterCodec(("gif",), read_gif)
