"""The codecs by name and by first bytes; decode and encode."""

from typing import get_args

import numpy as np

from fastpack.core import checks
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.images.codec import Alpha, Bits, Codec, Color, Look, Pixels, turn_upright
from fastpack.images.headers import FORMATS, probe


def codec_of(format: str) -> Codec:
    """The codec for an image format. Imported late: OpenCV takes a tenth of a second."""
    if format == "jpeg":
        from fastpack.images.jpeg import JPEG_CODEC

        return JPEG_CODEC
    if format == "png":
        from fastpack.images.png import PNG_CODEC

        return PNG_CODEC
    if format == "bmp":
        from fastpack.images.bmp import BMP_CODEC

        return BMP_CODEC
    if format == "tiff":
        from fastpack.images.tiff import TIFF_CODEC

        return TIFF_CODEC
    if format == "gif":
        from fastpack.images.gif import GIF_CODEC

        return GIF_CODEC
    from fastpack.images.opencv import WEBP_CODEC

    return WEBP_CODEC


def decode(
    data: bytes,
    *,
    color: Color = "RGB",
    orient: bool = True,
    bits: Bits | None = None,
    alpha: Alpha = "drop",
    limits: Limits = DEFAULT_LIMITS,
) -> Pixels:
    """Decode one image file to (height, width, 3), or (height, width, 1) for GRAY.

    - orient: turn it upright as its EXIF orientation says.
    - bits: 8 gives uint8, 16 gives uint16 with white at 65535. None keeps what the file has: uint16 for
      PNG and TIFF of 16 bits a channel, else uint8.
    - alpha: "drop" leaves transparency out; "white" or "black" shows the image on that ground.

    Raises OptionError, CorruptImageError, UnsupportedImageError or LimitError.

    >>> import numpy as np
    >>> decode(encode(np.zeros((4, 6, 3), np.uint8), "png")).shape
    (4, 6, 3)
    """
    checks.choice("color", color, get_args(Color))
    checks.choice("alpha", alpha, get_args(Alpha))
    checks.bits("bits", bits)
    orient = checks.flag("orient", orient)
    checks.instance("limits", limits, Limits, "Limits(...)")
    info = probe(data)
    pixels = codec_of(FORMATS[info["format"]]).decode(data, info, Look(color, bits, alpha), limits)
    return turn_upright(pixels, int(info["orientation"])) if orient else pixels


def encode(pixels: Pixels, format: str = "jpeg", *, quality: int = 95) -> bytes:
    """An image file of `pixels`, RGB (height, width, 3) or gray (height, width, 1), uint8; uint16 for PNG and TIFF.

    `quality` (1 to 100) is for JPEG and WebP. Raises OptionError; UnsupportedImageError for an unknown format.
    """
    checks.instance("pixels", pixels, np.ndarray, "a numpy array")
    checks.instance("format", format, str, "the name of a format")
    quality = checks.integer("quality", quality, 1, 100)
    from fastpack.images.opencv import encode_image

    return encode_image(pixels, format, quality)
