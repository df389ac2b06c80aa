"""Resampling without the kernel: levels of 16 bits, and the class numbers of masks.

Both are rare, so numpy is enough. Filters and rounding are the kernel's (weights.c), with float32
weights.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.images.codec import turn_upright
from fastpack.images.transforms import Normalize

Levels = npt.NDArray[Any]
Numbers = npt.NDArray[np.int64]
Filter = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def resample_deep(
    pixels: Levels, view: Any, target: Levels, interpolation: str, normalize: Normalize | None
) -> None:
    """Write a view of stored 16-bit levels (height, width, channels) to `target`."""
    x, y, height, width = (int(view[name]) for name in ("x", "y", "height", "width"))
    box = turn_upright(pixels, int(view["orientation"]))[y : y + height, x : x + width]
    rows = int(view["top"]) + np.arange(target.shape[0])
    columns = int(view["left"]) + np.arange(target.shape[1])
    levels = _blend(box, int(view["scaled_height"]), rows, interpolation).swapaxes(0, 1)
    levels = _blend(levels, int(view["scaled_width"]), columns, interpolation).swapaxes(0, 1)
    white = np.iinfo(pixels.dtype).max
    if levels.dtype != pixels.dtype:
        levels = np.clip(np.rint(levels), 0, white)
    levels = levels[:, ::-1] if view["flip"] else levels
    target[...] = levels if normalize is None else normalize.written(levels / white)


def resample_numbers(numbers: Levels, view: Any, size: tuple[int, int], target: Levels) -> None:
    """Write the mask's part of an image's view to `target` (height, width).

    `size` is the upright image's (height, width), which the view counts in. The mask may have more
    or fewer pixels than its image: the nearest one is taken.
    """
    upright = turn_upright(numbers, int(view["orientation"]))
    rows = _centers_of(view, ("y", "height", "top"), target.shape[0])
    columns = _centers_of(view, ("x", "width", "left"), target.shape[1])
    rows = np.minimum(rows * upright.shape[0] / size[0], upright.shape[0] - 1)
    columns = np.minimum(columns * upright.shape[1] / size[1], upright.shape[1] - 1)
    columns = columns[::-1] if view["flip"] else columns
    target[...] = upright[rows.astype(np.int64)[:, None], columns.astype(np.int64)]


def _centers_of(view: Any, names: tuple[str, str, str], count: int) -> npt.NDArray[Any]:
    """The centers of `count` outputs along one axis of the image.

    `names` are the view's fields for the begin and the extent of the box, and the window's begin.
    """
    begin, extent, window = (int(view[name]) for name in names)
    scaled = int(view[f"scaled_{names[1]}"])
    return begin + _centers(extent, scaled, window + np.arange(count))


def _centers(extent: int, scaled: int, wanted: Numbers) -> npt.NDArray[Any]:
    """The centers of the wanted outputs, in pixels of the input."""
    return (wanted + 0.5) * np.float64(extent / scaled)


def _blend(levels: Levels, scaled: int, wanted: Numbers, interpolation: str) -> Levels:
    """The wanted outputs along the first axis; a copy of inputs if nothing is scaled."""
    extent = len(levels)
    centers = _centers(extent, scaled, wanted)
    if extent == scaled or interpolation == "nearest":
        return levels[np.minimum(centers.astype(np.int64), extent - 1)]
    scale = max(extent / scaled, 1.0)
    reach, weigh = _FILTERS[interpolation]
    first = np.maximum((centers - reach * scale + 0.5).astype(np.int64), 0)
    end = np.minimum((centers + reach * scale + 0.5).astype(np.int64), extent)
    taps = first[:, None] + np.arange(int(2 * reach * scale) + 2)
    weights = weigh((taps + 0.5 - centers[:, None]) / scale)
    weights *= taps < end[:, None]
    weights /= weights.sum(axis=1, keepdims=True)
    taps = np.minimum(taps, extent - 1)
    blended = np.zeros((len(wanted), *levels.shape[1:]), np.float32)
    for tap in range(taps.shape[1]):
        blended += levels[taps[:, tap]] * weights[:, tap, None, None].astype(np.float32)
    return blended


def _triangle(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.asarray(np.maximum(1 - np.abs(x), 0))


def _cubic(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Keys, "Cubic convolution interpolation for digital image processing" (1981), a = -1/2."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _box(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


_FILTERS: dict[str, tuple[float, Filter]] = {
    "bilinear": (1.0, _triangle),
    "bicubic": (2.0, _cubic),
    "area": (0.5, _box),
}
