"""The codecs by name and by first bytes; decode and encode."""

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

# Format -> module and object of its codec, imported at first use: OpenCV takes 0.1 s.
_CODECS = {
    "jpeg": ("fastpack.images.jpeg", "JPEG_CODEC"),
    "png": ("fastpack.images.png", "PNG_CODEC"),
    "bmp": ("fastpack.images.bmp", "BMP_CODEC"),
    "tiff": ("fastpack.images.tiff", "TIFF_CODEC"),
    "gif": ("fastpack.images.gif", "GIF_CODEC"),
    "webp": ("fastpack.images.opencv", "WEBP_CODEC"),
}


def codec_of(format: str) -> Codec:
    """Return the codec of an image format that `FORMATS` names."""
    module, codec = _CODECS[format]
    return cast(Codec, getattr(import_module(module), codec))


def decode_stored(
    data: bytes, info: npt.NDArray[Any], pixel_format: PixelFormat, limits: Limits
) -> Pixels:
    """Pixels of one image as its codec gives them, not turned upright. Raises nothing but FastpackErrors."""
    format = FORMATS[info["format"]]
    return _called(format, lambda: codec_of(format).decode(data, info, pixel_format, limits))


def decode_numbers(data: bytes, info: npt.NDArray[Any], limits: Limits) -> Pixels:
    """Class numbers of one mask as its codec gives them, not turned upright. Raises nothing but FastpackErrors."""
    format = FORMATS[info["format"]]
    return _called(format, lambda: codec_of(format).numbers(data, info, limits))


def _called(format: str, codec: Callable[[], Pixels]) -> Pixels:
    """What a codec gives. Damage that it does not foresee is one bad image, and not the end of a batch."""
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
    """Decode one image file to (height, width, 3), or (height, width, 1) for GRAY.

    - data: the file's bytes, as bytes, bytearray, memoryview or a uint8 array (n,).
    - orient: turn it upright as its EXIF orientation says.
    - bits: 8 gives uint8, 16 gives uint16 with white at 65535. None keeps what the file has: uint16 for
      PNG and TIFF of 16 bits a channel, else uint8.
    - alpha: "drop" leaves transparency out; "white" or "black" shows the image on that ground.

    Raises CorruptImageError, UnsupportedImageError, LimitError or OptionError.

    >>> import numpy as np
    >>> decode(encode(np.zeros((4, 6, 3), np.uint8), "png")).shape
    (4, 6, 3)
    """
    pixel_format = PixelFormat(color, bits, alpha)
    _check_pixel_format(pixel_format)
    checks.instance("limits", limits, Limits, "Limits(...)")
    orient, file = checks.flag("orient", orient), checks.encoded("data", data)
    info = probe(file)
    pixels = decode_stored(file, info, pixel_format, limits)
    return turn_upright(pixels, int(info["orientation"])) if orient else pixels


def _check_pixel_format(pixel_format: PixelFormat) -> None:
    checks.choice("color", pixel_format.color, get_args(Color))
    checks.choice("alpha", pixel_format.alpha, get_args(Alpha))
    checks.bits("bits", pixel_format.bits)


def encode(pixels: Pixels, format: str = "jpeg", *, quality: int = 95) -> bytes:
    """An image file of `pixels`, RGB (height, width, 3) or gray (height, width, 1), uint8; uint16 for PNG and TIFF.

    `quality` (1 to 100) is for JPEG and WebP. Raises OptionError, ShapeError, or UnsupportedImageError for a format that is
    unknown or too small for the array.
    """
    checks.instance("pixels", pixels, np.ndarray, "an array")
    checks.instance("format", format, str, 'a name such as "jpeg"')
    quality = checks.integer("quality", quality, 1, 100)
    from fastpack.images.opencv import encode_image

    return encode_image(pixels, format, quality)
