"""Raster: the samples of an image file, and their conversion to pixels."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from fastpack.core.limits import Limits
from fastpack.errors import (
    CorruptImageError,
    FastpackWarning,
    Location,
    Status,
    UnsupportedImageError,
    raise_status,
)
from fastpack.images.codec import RESTORE, PixelFormat, Pixels, widen
from fastpack.images.headers import FORMATS

Levels = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Raster:
    """Samples of a file without color conversion.

    Args:
        samples: uint8 or uint16 (height, width, channels): gray, RGB or CMYK levels, then alpha if
            the file has it; or indices of the palette.
        color: the meaning of the channels before alpha.
        top: the level of white: 1 for images of one bit, 65535 for 16 bits.
        alpha: "straight" levels do not depend on alpha; "associated" ones are multiplied by it.
        palette: uint8 (n, 3) or (n, 4), for the color "PALETTE".
        clear: the gray or RGB level of transparent pixels (PNG's tRNS).
        is_inverted: whether 0 is white.
    """

    samples: Levels
    color: Literal["GRAY", "RGB", "CMYK", "PALETTE"] = "RGB"
    top: int = 255
    alpha: Literal["none", "straight", "associated"] = "none"
    palette: npt.NDArray[np.uint8] | None = None
    clear: tuple[int, ...] = ()
    is_inverted: bool = False


@dataclass(frozen=True)
class RasterCodec:
    """A codec for formats whose files are read as a Raster; see Codec."""

    formats: tuple[str, ...]
    read: Callable[[bytes, str], Raster]

    def decode(
        self, data: bytes, info: npt.NDArray[Any], pixel_format: PixelFormat, limits: Limits
    ) -> Pixels:
        """Decode the whole image."""
        return pixels_of(self._raster(data, info, limits), pixel_format)

    def numbers(self, data: bytes, info: npt.NDArray[Any], limits: Limits) -> Pixels:
        """Decode the class numbers of a mask."""
        return numbers_of(self._raster(data, info, limits))

    def _raster(self, data: bytes, info: npt.NDArray[Any], limits: Limits) -> Raster:
        width, height, format = int(info["width"]), int(info["height"]), FORMATS[info["format"]]
        if width * height > limits.max_pixels:
            raise_status(
                Status.PIXEL_LIMIT,
                f"{width} x {height} pixels are more than {limits.max_pixels}",
                Location(),
            )
        raster = self.read(data, format)
        if raster.samples.shape[:2] != (height, width):
            found = "{1} x {0}".format(*raster.samples.shape)
            raise CorruptImageError(
                f"the {format} announces {width} x {height} pixels but has {found}; {RESTORE}"
            )
        return raster


def pixels_of(raster: Raster, pixel_format: PixelFormat) -> Pixels:
    """Convert to pixels (height, width, 3), or (height, width, 1) for GRAY."""
    if raster.color == "PALETTE" and pixel_format.color == "GRAY" and not _has_gray_palette(raster):
        warnings.warn(_PALETTE_WARNING, FastpackWarning, stacklevel=2)
        return raster.samples.astype(np.uint16) if pixel_format.bits == 16 else raster.samples
    levels, alpha = _levels_and_alpha(_expanded(raster))
    return _in_bits(
        _in_color(_over(levels, alpha, pixel_format.alpha), pixel_format.color), pixel_format
    )


_PALETTE_WARNING = (
    'color="GRAY" gives palette indices, not brightness, if an image has a palette of colors. '
    'Read with color="RGB" for colors, or declare the field a "mask" if indices are class numbers'
)


def numbers_of(raster: Raster) -> Pixels:
    """Return the class numbers of a mask, (height, width, 1): stored palette indices or levels.

    Raises UnsupportedImageError if the channels of a colored image differ.
    """
    colors = raster.samples[..., : 1 if raster.color in ("GRAY", "PALETTE") else 3]
    if (colors != colors[..., :1]).any():
        raise UnsupportedImageError(
            "a mask has one channel, but this image has colors; save a gray or palette PNG, "
            'or read the field as an "image" with interpolation="nearest"'
        )
    return np.ascontiguousarray(colors[..., :1])


def _has_gray_palette(raster: Raster) -> bool:
    """Whether all colors are gray; False if the palette lacks a color of the image."""
    palette = raster.palette
    if palette is None or raster.samples.max() >= len(palette):
        return False
    return bool((palette[:, :3] == palette[:, :1]).all())


def _expanded(raster: Raster) -> Raster:
    """The same image without a palette, with levels from 0 to 255 or 65535."""
    if raster.color == "PALETTE" and raster.palette is not None:
        if (largest := int(raster.samples.max())) >= len(raster.palette):
            raise CorruptImageError(
                f"a pixel has the palette index {largest} of {len(raster.palette)} colors; "
                f'declare the field a "mask" if the indices are class numbers; else {RESTORE}'
            )
        colors = raster.palette[raster.samples[..., 0]]
        return Raster(colors, alpha="straight" if raster.palette.shape[1] == 4 else "none")
    samples = raster.samples
    if raster.top < 255:
        samples = samples * np.uint8(255 // raster.top)
    top = samples.dtype.type(np.iinfo(samples.dtype).max)
    num_colors = _num_colors(raster)
    if raster.is_inverted:
        colors = top - samples[..., :num_colors]
        samples = np.concatenate([colors, samples[..., num_colors:]], axis=2)
    if raster.clear:
        clear = np.array(raster.clear, raster.samples.dtype)
        opaque = (raster.samples != clear).any(axis=2, keepdims=True)
        samples = np.concatenate([samples, opaque * top], axis=2)
    return replace(
        raster,
        samples=samples,
        top=int(top),
        clear=(),
        is_inverted=False,
        alpha="straight" if raster.clear else raster.alpha,
    )


def _num_colors(raster: Raster) -> int:
    return {"GRAY": 1, "PALETTE": 1, "RGB": 3, "CMYK": 4}[raster.color]


def _levels_and_alpha(raster: Raster) -> tuple[Levels, Levels | None]:
    """Gray or RGB levels as if alpha were "straight", and alpha (height, width, 1)."""
    num_colors = _num_colors(raster)
    levels = _first_channels(raster.samples, num_colors)
    alpha = None if raster.alpha == "none" else raster.samples[..., num_colors : num_colors + 1]
    if raster.color == "CMYK":
        light = raster.top - levels.astype(np.uint64)
        levels = _divided(light[..., :3] * light[..., 3:], raster)
    if raster.alpha == "associated" and alpha is not None:
        whole = np.minimum(levels, alpha).astype(np.uint64) * np.uint64(raster.top)
        levels = ((whole + alpha // 2) // np.maximum(alpha, 1)).astype(raster.samples.dtype)
    return levels, alpha


def _first_channels(samples: Levels, count: int) -> Levels:
    """The first channels; OpenCV copies RGB out of RGBA ten times as fast as numpy."""
    if samples.shape[2] == 4 and count == 3:
        return np.asarray(cv2.cvtColor(samples, cv2.COLOR_RGBA2RGB))
    return samples[..., :count]


def _divided(products: Levels, raster: Raster) -> Levels:
    """Products of two levels, divided by white and rounded."""
    levels: Levels = (products + raster.top // 2) // raster.top
    return levels.astype(raster.samples.dtype)


def _over(levels: Levels, alpha: Levels | None, ground: str) -> Levels:
    """The levels on a white or black background; unchanged if alpha is dropped."""
    if alpha is None or ground == "drop":
        return levels
    top = int(np.iinfo(levels.dtype).max)
    alpha = alpha.astype(np.uint64)
    products = levels * alpha + (top if ground == "white" else 0) * (top - alpha)
    mixed: Levels = (products + top // 2) // top
    return mixed.astype(levels.dtype)


def _in_color(levels: Levels, color: str) -> Levels:
    levels = np.ascontiguousarray(levels)
    if color == "GRAY":
        return levels if levels.shape[2] == 1 else luma(levels)
    if levels.shape[2] == 1:
        return np.asarray(cv2.cvtColor(levels, cv2.COLOR_GRAY2RGB))
    return np.asarray(cv2.cvtColor(levels, cv2.COLOR_RGB2BGR)) if color == "BGR" else levels


def luma(levels: Levels) -> Levels:
    """Convert RGB to gray (ITU-R 601), with the factors of Pillow and of our JPEG decoder."""
    wide = levels.astype(np.uint32)
    sums = wide[..., 0] * 19595 + wide[..., 1] * 38470 + wide[..., 2] * 7471 + 0x8000
    gray: Levels = (sums >> 16).astype(levels.dtype)[..., None]
    return gray


def _in_bits(pixels: Levels, pixel_format: PixelFormat) -> Pixels:
    if pixel_format.bits == 16:
        return widen(pixels)
    if pixel_format.bits == 8 and pixels.dtype == np.uint16:
        return (pixels >> 8).astype(np.uint8)
    return pixels
