"""Codecs: bytes <-> pixels, a module for each way of doing it."""

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
# What users can do about a damaged image, and about one of a kind that is not read.
RESTORE = "restore the image from its source, or leave it out"
CONVERT = "convert it to an 8-bit or 16-bit gray or RGB PNG, or leave it out"


@dataclass(frozen=True)
class PixelFormat:
    """What is wanted of an image's colors.

    - color: the channels of what comes out.
    - bits: of each channel; None is as many as the file has, 8 or 16. A deeper image is cut to 8,
      a shallower one fills 16 (see `widen`).
    - alpha: "drop" leaves transparency out: pixels have the color that they would have if they were
      opaque. "white" and "black" show the image on that ground.
    """

    color: Color = "RGB"
    bits: Bits | None = 8
    alpha: Alpha = "drop"


class Codec(Protocol):
    """Bytes <-> pixels for some image formats."""

    @property
    def formats(self) -> tuple[str, ...]: ...

    def decode(
        self, data: bytes, info: npt.NDArray[Any], pixel_format: PixelFormat, limits: Limits
    ) -> Pixels:
        """Pixels as stored, (height, width, 3), or (height, width, 1) for GRAY; not turned upright."""
        ...

    def numbers(self, data: bytes, info: npt.NDArray[Any], limits: Limits) -> Pixels:
        """The class numbers of a mask, (height, width, 1), uint8 or uint16; not turned upright."""
        ...


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
