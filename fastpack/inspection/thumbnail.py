"""Thumbnails of image arrays."""

import numpy as np
import numpy.typing as npt

from fastpack.core.schema import Field
from fastpack.errors import ShapeError

Rgb = npt.NDArray[np.uint8]


def as_rgb(values: npt.ArrayLike, field: Field) -> Rgb:
    """Convert an image of a field to RGB. Numbers other than uint8 are stretched to 0..255."""
    import cv2

    pixels = np.asarray(values)
    if field.axes and pixels.ndim == len(field.to_image):
        pixels = pixels.transpose(field.to_image)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or 0 in pixels.shape:
        raise ShapeError(
            f"an image to show must be (height, width) or (height, width, 1, 3 or 4), "
            f"not {pixels.shape}"
        )
    if pixels.dtype != np.uint8:
        numbers = pixels.astype(np.float64)
        stretched = cv2.normalize(  # type: ignore[call-overload]
            numbers, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U
        )
        pixels = stretched.reshape(pixels.shape)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]


def fitted(pixels: Rgb, side: int, *, enlarge: bool = True) -> Rgb:
    """Scale an image so that the longer side is `side`; `enlarge=False` keeps smaller images."""
    import cv2

    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1 and not enlarge:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # AREA averages all pixels, so a smaller image has no moiré.
    return np.asarray(
        cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR),
        np.uint8,
    )
