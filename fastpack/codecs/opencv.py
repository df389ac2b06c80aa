"""PNG, WebP, BMP, TIFF and GIF, through OpenCV."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fastpack.codecs import Bits, Color, Pixels, turn_upright, widen
from fastpack.errors import CorruptImageError, LimitError, ShapeError, UnsupportedImageError
from fastpack.headers import FORMATS
from fastpack.limits import Limits

_SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "bmp": ".bmp", "tiff": ".tiff"}
_QUALITY_FLAGS = {"jpeg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY}


# Which orientation undoes another; the rest undo themselves.
_UNDOES = {6: 8, 8: 6}


class OpenCvCodec:
    formats: tuple[str, ...] = ("png", "webp", "bmp", "tiff", "gif")

    def decode(self, data: bytes, info: npt.NDArray[Any], color: Color, limits: Limits, bits: Bits = 8) -> Pixels:
        width, height, format = int(info["width"]), int(info["height"]), FORMATS[info["format"]]
        if width * height > limits.max_pixels:
            raise LimitError(f"{width} x {height} pixels are more than {limits.max_pixels}; raise max_pixels if the image is real")
        mode = cv2.IMREAD_GRAYSCALE if color == "GRAY" else cv2.IMREAD_COLOR
        mode |= cv2.IMREAD_ANYDEPTH if bits == 16 else 0
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), mode | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error as error:
            raise CorruptImageError(
                f"OpenCV cannot decode the {format} ({error.err}); restore it from its source, or leave it out"
            ) from error
        if pixels is None:
            raise CorruptImageError(f"OpenCV cannot decode the {format}; restore it from its source, or leave it out")
        if pixels.dtype not in (np.uint8, np.uint16):
            raise UnsupportedImageError(f"the {format} holds {pixels.dtype} values; read it with bits=8")
        if format == "tiff":  # OpenCV turns these upright whatever it is asked
            pixels = turn_upright(np.asarray(pixels), _UNDOES.get(int(info["orientation"]), int(info["orientation"])))
        if pixels.shape[:2] != (height, width):
            raise CorruptImageError(f"the {format} says {width} x {height} pixels and holds {pixels.shape[1]} x {pixels.shape[0]}")
        if color == "RGB":
            pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        stored: Pixels = np.ascontiguousarray(np.atleast_3d(pixels))
        return widen(stored) if bits == 16 else stored

    def encode(self, pixels: npt.NDArray[np.uint8], format: str, quality: int) -> bytes:
        if format not in _SUFFIXES:
            raise UnsupportedImageError(f"cannot write {format!r}; choose one of {', '.join(_SUFFIXES)}")
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
            raise ShapeError(f"pixels must be uint8 (height, width, 1 or 3), not {pixels.dtype} {pixels.shape}")
        flags = [_QUALITY_FLAGS[format], quality] if format in _QUALITY_FLAGS else []
        ordered = pixels if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        written, data = cv2.imencode(_SUFFIXES[format], ordered, flags)
        if not written:
            raise UnsupportedImageError(f"OpenCV cannot write this array as {format}")
        return data.tobytes()


OPENCV_CODEC = OpenCvCodec()


def _begin() -> None:
    """Lets OpenCV and its libraries make what they make at their first use: a child that is forked meanwhile would wait for it for ever."""
    pixel = np.zeros((1, 1, 3), np.uint8)
    for suffix in _SUFFIXES.values():
        cv2.imdecode(cv2.imencode(suffix, pixel)[1], cv2.IMREAD_COLOR)
    cv2.cvtColor(pixel, cv2.COLOR_BGR2RGB)


_begin()
