"""Codec: the protocol of image decoders, and the pixel formats that they give."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from fastpack.core.limits import Limits

Color = Literal["RGB", "BGR", "GRAY"]
Bits = Literal[8, 16]
Alpha = Literal["drop", "white", "black"]
Pixels = npt.NDArray[np.uint8 | np.uint16]
# The bytes of an image file.
Encoded = bytes | bytearray | memoryview | npt.NDArray[np.uint8]
# Remedies for a damaged image, and for an image of an unsupported kind.
RESTORE = "restore the image from its source, or leave it out"
CONVERT = "convert it to an 8-bit or 16-bit gray or RGB PNG, or leave it out"


@dataclass(frozen=True)
class PixelFormat:
    """Channels and depth of decoded pixels.

    Args:
        color: the channels.
        bits: of each channel; None is the file's depth, 8 or 16. Images of 16 bits lose the low 8
            for bits=8; `widen` converts images of 8 bits for bits=16.
        alpha: "drop" ignores transparency: pixels get their opaque color. "white" and "black" draw
            the image on that background.
    """

    color: Color = "RGB"
    bits: Bits | None = 8
    alpha: Alpha = "drop"


class Codec(Protocol):
    """Bytes <-> pixels for some image formats."""

    @property
    def formats(self) -> tuple[str, ...]:
        """Names of the formats, as in `headers.FORMATS`."""
        ...

    def decode(
        self, data: bytes, info: npt.NDArray[Any], pixel_format: PixelFormat, limits: Limits
    ) -> Pixels:
        """Return stored pixels (height, width, 3), or (height, width, 1) for GRAY.

        The EXIF orientation is not applied.
        """
        ...

    def numbers(self, data: bytes, info: npt.NDArray[Any], limits: Limits) -> Pixels:
        """Return the stored class numbers of a mask, (height, width, 1), uint8 or uint16."""
        ...


def widen(pixels: Pixels) -> Pixels:
    """Convert 8 bits to 16 by repetition: 0 stays 0, 255 becomes 65535 (PNG 3rd edition, 13.12)."""
    return pixels.astype(np.uint16) * np.uint16(257) if pixels.dtype == np.uint8 else pixels


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation (Exif 2.32, tag 0x0112)."""
    if orientation in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 6, 7):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels.swapaxes(0, 1) if orientation > 4 else pixels)
