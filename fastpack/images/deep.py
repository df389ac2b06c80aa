"""Placing of pixels that the kernel does not place: levels of 16 bits, and the class numbers of masks.

Both are rare, so this is numpy. Filters and rounding are those of the kernel (weights.c), with weights of
32-bit floats.
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
    """Write what a view wants of stored levels (height, width, channels) of 16 bits to `target`."""
    x, y = int(view["x"]), int(view["y"])
    box = turn_upright(pixels, int(view["orientation"]))[
        y : y + int(view["height"]), x : x + int(view["width"])
    ]
    rows, columns = (
        int(view["top"]) + np.arange(target.shape[0]),
        int(view["left"]) + np.arange(target.shape[1]),
    )
    levels: Levels = _blend(box, int(view["scaled_height"]), rows, interpolation)
    levels = _blend(
        levels.swapaxes(0, 1), int(view["scaled_width"]), columns, interpolation
    ).swapaxes(0, 1)
    if levels.dtype != pixels.dtype:
        levels = np.clip(np.rint(levels), 0, np.iinfo(pixels.dtype).max)
    levels = levels[:, ::-1] if view["flip"] else levels
    target[...] = (
        levels if normalize is None else normalize.written(levels / np.iinfo(pixels.dtype).max)
    )


def resample_numbers(numbers: Levels, view: Any, size: tuple[int, int], target: Levels) -> None:
    """Write what a view of an image of `size` (height, width), upright, wants of its mask to `target`.

    A mask may have more or fewer pixels than its image; the nearest one is taken.
    """
    upright = turn_upright(numbers, int(view["orientation"]))
    height, width = target.shape
    rows = int(view["y"]) + _centers(
        int(view["height"]), int(view["scaled_height"]), int(view["top"]) + np.arange(height)
    )
    columns = int(view["x"]) + _centers(
        int(view["width"]), int(view["scaled_width"]), int(view["left"]) + np.arange(width)
    )
    rows = np.minimum(rows * upright.shape[0] / size[0], upright.shape[0] - 1).astype(np.int64)
    columns = np.minimum(columns * upright.shape[1] / size[1], upright.shape[1] - 1).astype(
        np.int64
    )
    target[...] = upright[rows[:, None], columns[::-1] if view["flip"] else columns]


def _centers(extent: int, scaled: int, wanted: Numbers) -> npt.NDArray[Any]:
    """Where the centers of the wanted outputs lie in the input."""
    return (wanted + 0.5) * np.float64(extent / scaled)


def _blend(levels: Levels, scaled: int, wanted: Numbers, interpolation: str) -> Levels:
    """The wanted outputs of the first axis, which are inputs where nothing is scaled."""
    extent = len(levels)
    centers = _centers(extent, scaled, wanted)
    if extent == scaled or interpolation == "nearest":
        return levels[np.minimum(centers.astype(np.int64), extent - 1)]
    scale = max(extent / scaled, 1.0)
    reach, weigh = _FILTERS[interpolation]
    first = np.maximum((centers - reach * scale + 0.5).astype(np.int64), 0)
    places = first[:, None] + np.arange(int(2 * reach * scale) + 2)
    weights = weigh((places + 0.5 - centers[:, None]) / scale)
    weights *= (
        places < np.minimum((centers + reach * scale + 0.5).astype(np.int64), extent)[:, None]
    )
    weights /= weights.sum(axis=1, keepdims=True)
    places = np.minimum(places, extent - 1)
    blended = np.zeros((len(wanted), *levels.shape[1:]), np.float32)
    for tap in range(places.shape[1]):
        blended += levels[places[:, tap]] * weights[:, tap, None, None].astype(np.float32)
    return blended


def _triangle(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.asarray(np.maximum(1 - np.abs(x), 0))


def _cubic(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Keys, "Cubic convolution interpolation" (1981), a = -1/2."""
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
