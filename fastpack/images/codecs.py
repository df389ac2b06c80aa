"""decode and encode: one image in memory, of any format."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.errors import CorruptImageError, FastpackError
from fastpack.images.codec import (
    RESTORE,
    Alpha,
    Bits,
    Codec,
    Color,
    Encoded,
    PixelFormat,
    Pixels,
    turn_upright,
)
from fastpack.images.headers import FORMATS, probe

# Format -> module and name of its codec, imported at first use: OpenCV takes 0.1 s.
_CODECS = {
    "jpeg": ("fastpack.images.jpeg", "JPEG_CODEC"),
    "png": ("fastpack.images.png", "PNG_CODEC"),
    "bmp": ("fastpack.images.bmp", "BMP_CODEC"),
    "tiff": ("fastpack.images.tiff", "TIFF_CODEC"),
    "gif": ("fastpack.images.gif", "GIF_CODEC"),
    "webp": ("fastpack.images.opencv", "WEBP_CODEC"),
}


def codec_of(format: str) -> Codec:
    """Return the codec of a format of `FORMATS`."""
    module, codec = _CODECS[format]
    return cast(Codec, getattr(import_module(module), codec))


def decode_stored(
    data: bytes, info: npt.NDArray[Any], pixel_format: PixelFormat, limits: Limits
) -> Pixels:
    """Return the stored pixels of one image, not turned upright; raise only FastpackErrors."""
    format = FORMATS[info["format"]]
    return _called(format, lambda: codec_of(format).decode(data, info, pixel_format, limits))


def decode_numbers(data: bytes, info: npt.NDArray[Any], limits: Limits) -> Pixels:
    """Return the stored class numbers of one mask; raise only FastpackErrors."""
    format = FORMATS[info["format"]]
    return _called(format, lambda: codec_of(format).numbers(data, info, limits))


def _called(format: str, codec: Callable[[], Pixels]) -> Pixels:
    """Call a codec; an exception that it does not expect means one damaged image."""
    try:
        return codec()
    except (FastpackError, Warning, MemoryError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise CorruptImageError(f"the {format} cannot be decoded ({reason}); {RESTORE}") from error


def decode(
    data: Encoded,
    *,
    color: Color = "RGB",
    orient: bool = True,
    bits: Bits | None = None,
    alpha: Alpha = "drop",
    limits: Limits = DEFAULT_LIMITS,
) -> Pixels:
    """Decode one image file.

    Args:
        data: the file's bytes, as bytes, bytearray, memoryview or a uint8 array (n,).
        color: the channels: "RGB", "BGR" or "GRAY".
        orient: turn the image upright, as its EXIF orientation says.
        bits: 8 gives uint8; 16 gives uint16, with white at 65535. None keeps the file's depth:
            uint16 for PNG and TIFF of 16 bits a channel, else uint8.
        alpha: "drop" ignores transparency; "white" or "black" draws the image on that background.
        limits: the image is refused if it exceeds one of them.

    Returns:
        uint8 or uint16 (height, width, 3), or (height, width, 1) for "GRAY".

    Raises:
        CorruptImageError: The file is damaged.
        UnsupportedImageError: The file is not an image of a supported kind.
        LimitError: The image exceeds one of the limits.
        OptionError: An option has an invalid value.

    Example:
        >>> import numpy as np
        >>> decode(encode(np.zeros((4, 6, 3), np.uint8), "png")).shape
        (4, 6, 3)
    """
    pixel_format = _checked_format(color, bits, alpha)
    checks.instance("limits", limits, Limits, "Limits(...)")
    orient, file = checks.flag("orient", orient), checks.encoded("data", data)
    info = probe(file)
    pixels = decode_stored(file, info, pixel_format, limits)
    return turn_upright(pixels, int(info["orientation"])) if orient else pixels


def _checked_format(color: Color, bits: Bits | None, alpha: Alpha) -> PixelFormat:
    checks.choice("color", color, get_args(Color))
    checks.choice("alpha", alpha, get_args(Alpha))
    return PixelFormat(color, cast(Bits | None, checks.bits("bits", bits)), alpha)


def encode(pixels: Pixels, format: str = "jpeg", *, quality: int = 95) -> bytes:
    """Encode one image as a file in memory.

    Args:
        pixels: RGB (height, width, 3) or gray (height, width, 1); uint8, for PNG and TIFF also
            uint16.
        format: "jpeg", "png", "webp", "bmp" or "tiff".
        quality: of JPEG and WebP, from 1 to 100.

    Returns:
        The bytes of the file.

    Raises:
        OptionError: An option has an invalid value.
        ShapeError: `pixels` does not have such a shape or dtype.
        UnsupportedImageError: The format is unknown, or cannot store an image of this size.

    Example:
        >>> import numpy as np
        >>> encode(np.zeros((4, 6, 1), np.uint8), "bmp")[:2]
        b'BM'
    """
    checks.instance("pixels", pixels, np.ndarray, "an array")
    checks.instance("format", format, str, 'a name such as "jpeg"')
    quality = checks.integer("quality", quality, 1, 100)
    from fastpack.images.opencv import encode_image

    return encode_image(pixels, format, quality)
