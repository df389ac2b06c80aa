"""Codecs: bytes <-> pixels, a module for each way of doing it."""

from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from fastpack.headers import FORMATS, probe
from fastpack.limits import DEFAULT_LIMITS, Limits

Color = Literal["RGB", "BGR", "GRAY"]
Bits = Literal[8, 16]
Pixels = npt.NDArray[np.uint8 | np.uint16]


class Codec(Protocol):
    """Bytes <-> pixels for some image formats."""

    formats: tuple[str, ...]

    def decode(self, data: bytes, info: npt.NDArray[Any], color: Color, limits: Limits, bits: Bits = 8) -> Pixels:
        """Pixels as stored, (height, width, 3), or (height, width, 1) for GRAY; not turned upright.

        Of `bits` bits a channel; a deeper image is cut to 8, a shallower one fills 16 (see `widen`).
        """
        ...

    def encode(self, pixels: npt.NDArray[np.uint8], format: str, quality: int) -> bytes:
        """A file of that format; `pixels` is RGB (height, width, 3) or gray (height, width, 1)."""
        ...


def codec_of(format: str) -> Codec:
    """The codec for an image format. Imported late: OpenCV takes a tenth of a second."""
    if format == "jpeg":
        from fastpack.codecs.jpeg import JPEG_CODEC

        return JPEG_CODEC
    from fastpack.codecs.opencv import OPENCV_CODEC

    return OPENCV_CODEC


def decode(data: bytes, *, color: Color = "RGB", orient: bool = True, bits: Bits = 8, limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """Pixels of one encoded image: uint8, (height, width, 3), or (height, width, 1) for GRAY.

    - orient: turn it upright as its EXIF orientation says.
    - bits: 16 gives uint16: PNG and TIFF of 16 bits a channel as they are, other images with white at 65535.

    Raises CorruptImageError, UnsupportedImageError or LimitError.

    >>> decode(encode(np.zeros((4, 6, 3), np.uint8), "png")).shape
    (4, 6, 3)
    """
    info = probe(data)
    pixels = codec_of(FORMATS[info["format"]]).decode(data, info, color, limits, bits)
    return turn_upright(pixels, int(info["orientation"])) if orient else pixels


def encode(pixels: npt.NDArray[np.uint8], format: str = "jpeg", *, quality: int = 95) -> bytes:
    """An image file of `pixels`, RGB (height, width, 3) or gray (height, width, 1), uint8.

    `quality` (1 to 100) is for JPEG and WebP. Raises UnsupportedImageError for an unknown format.
    """
    return codec_of(format).encode(pixels, format, quality)


def widen(pixels: Pixels) -> Pixels:
    """8 bits to 16 by repeating them, which takes 0 to 0 and 255 to 65535 (PNG, 3rd edition, 13.12)."""
    return pixels.astype(np.uint16) * np.uint16(257) if pixels.dtype == np.uint8 else pixels


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undoes an EXIF orientation (Exif 2.32, tag 0x0112)."""
    if orientation in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 6, 7):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels.swapaxes(0, 1) if orientation > 4 else pixels)
