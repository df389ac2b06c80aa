"""OpenCV: decodes WebP, encodes all formats."""

import cv2
import numpy as np
import numpy.typing as npt

from fastpack.errors import CorruptImageError, ShapeError, UnsupportedImageError
from fastpack.images.codec import RESTORE
from fastpack.images.raster import Raster, RasterCodec
from fastpack.images.webp import first_frame

_SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "bmp": ".bmp", "tiff": ".tiff"}
_RIFF_BYTES = 8  # of a RIFF file's header, which its length does not include
_MIN_BYTES = 32  # OpenCV prints a warning for shorter files
_MAX_OTHER_SIDE = 2**20
# Largest width or height that libjpeg, libwebp and libpng write.
_MAX_SIDES = {"jpeg": 65500, "webp": 16383, "png": 1_000_000}
_QUALITY_FLAGS = {"jpeg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY}


def _read(data: bytes, format: str) -> Raster:
    """The samples of a WebP file, of the first frame of an animation."""
    if len(data) < int.from_bytes(data[4:8], "little") + _RIFF_BYTES:
        raise CorruptImageError(f"the webp ends before its last chunk; {RESTORE}")
    frame = first_frame(data)
    if frame is None:
        return _decoded(data, format)
    return frame.on_canvas(_decoded(frame.file, format))


def _decoded(data: bytes, format: str) -> Raster:
    reason = ""
    try:
        whole = data.ljust(_MIN_BYTES, b"\0")
        pixels = cv2.imdecode(
            np.frombuffer(whole, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        pixels, reason = None, f" ({error.err})"
    if pixels is None or pixels.dtype != np.uint8 or pixels.ndim != 3:
        raise CorruptImageError(f"OpenCV cannot decode the {format}{reason}; {RESTORE}")
    if pixels.shape[2] == 4:
        return Raster(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA)), alpha="straight")
    return Raster(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)))


WEBP_CODEC = RasterCodec(("webp",), _read)


def encode_image(pixels: npt.NDArray[np.uint8 | np.uint16], format: str, quality: int) -> bytes:
    """Encode RGB (height, width, 3) or gray (height, width, 1) as a file of a format."""
    if format not in _SUFFIXES:
        raise UnsupportedImageError(
            f"cannot write {format!r}; choose one of {', '.join(_SUFFIXES)}"
        )
    depths = (np.uint8, np.uint16) if format in ("png", "tiff") else (np.uint8,)
    if pixels.dtype not in depths or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        kinds = " or ".join(np.dtype(depth).name for depth in depths)
        raise ShapeError(
            f"pixels of a {format} must be {kinds} (height, width, 1 or 3), "
            f"not {pixels.dtype} {pixels.shape}"
        )
    if 0 in pixels.shape:
        raise ShapeError(f"an array {pixels.shape} has no pixels to encode; leave it out")
    max_side = _MAX_SIDES.get(format, _MAX_OTHER_SIDE)
    if max(pixels.shape[:2]) > max_side:
        raise UnsupportedImageError(
            f"{pixels.shape[1]} x {pixels.shape[0]} pixels are too many for a {format}, "
            f"whose sides have at most {max_side}; scale the image down"
        )
    flags = [_QUALITY_FLAGS[format], quality] if format in _QUALITY_FLAGS else []
    ordered = pixels if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    written, data = cv2.imencode(_SUFFIXES[format], ordered, flags)
    if not written:
        raise UnsupportedImageError(
            f"OpenCV cannot encode this array as {format}; choose another format"
        )
    return data.tobytes()


def _begin() -> None:
    """Let OpenCV and its libraries initialize now, and not at their first use.

    A child that is forked during the initialization would wait for it without end.
    """
    pixel = np.zeros((1, 1, 3), np.uint8)
    for suffix in _SUFFIXES.values():
        cv2.imencode(suffix, pixel)
    cv2.imdecode(cv2.imencode(".webp", pixel)[1], cv2.IMREAD_UNCHANGED)
    cv2.cvtColor(pixel, cv2.COLOR_BGR2RGB)


_begin()
