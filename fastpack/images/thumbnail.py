"""Thumbnails: image arrays of any kind as small RGB images."""

import base64

import numpy as np
import numpy.typing as npt

from fastpack.core.schema import Field
from fastpack.errors import ShapeError
from fastpack.images.codecs import encode

Rgb = npt.NDArray[np.uint8]

_CHANNELS = (1, 3, 4)
_QUALITY = 85  # of a thumbnail's JPEG


def as_rgb(values: npt.ArrayLike, field: Field | None = None) -> Rgb:
    """Return an image array of any layout as uint8 RGB (height, width, 3).

    Gray is repeated and alpha dropped. Other dtypes than uint8 are stretched from their own minimum
    and maximum to 0 and 255. The axes are the field's, if it has some. Without them an array whose
    first axis alone may be the channels is taken for (channels, height, width).
    """
    pixels = np.asarray(values)
    if field is not None and field.axes and pixels.ndim == len(field.to_image):
        pixels = pixels.transpose(field.to_image)
    elif pixels.ndim == 3 and pixels.shape[2] not in _CHANNELS and pixels.shape[0] in _CHANNELS:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in _CHANNELS or 0 in pixels.shape:
        raise ShapeError(
            "an image to show is (height, width), with 1, 3 or 4 channels last or first, "
            f"not {np.shape(values)}"
        )
    if pixels.dtype != np.uint8:
        pixels = _stretched(pixels)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]


def _stretched(pixels: npt.NDArray[np.generic]) -> Rgb:
    """Map the finite minimum to 0 and the finite maximum to 255; NaN becomes 0."""
    numbers = pixels.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    scale = 255 / (high - low) if high > low else 1.0
    levels = np.nan_to_num((np.clip(numbers, low, high) - low) * scale)
    return np.rint(levels).astype(np.uint8)


def fitted(pixels: Rgb, side: int, *, enlarge: bool = True) -> Rgb:
    """Scale an image so that its longer side is `side`; the aspect ratio is kept.

    With enlarge=False, smaller images are returned as they are.
    """
    import cv2

    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1 and not enlarge:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # AREA averages the pixels that it drops, so that a smaller image has no moiré.
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)


def data_uri(pixels: Rgb) -> str:
    """Return an image as the text of a `src` attribute: a JPEG in base64."""
    file = encode(np.ascontiguousarray(pixels), "jpeg", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file).decode()}"
