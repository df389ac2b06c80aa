"""Transforms: plans of crop boxes, sizes and normalization, for a whole batch at once.

They see widths and heights, never pixels: the decoder then decodes only the pixels inside each box.
Random numbers are a function of (seed, epoch, sample, draw), so every crop can be repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.core.checks import Size
from fastpack.core.dtypes import VIEW
from fastpack.core.rng import CounterRng
from fastpack.errors import OptionError, ShapeError

Sizes = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Plan:
    """The part of each image of a batch that its output shows.

    Args:
        views: VIEW (n,), of upright images; the orientation stays 1 here.
        widths: int64 (n,), of the outputs in pixels.
        heights: int64 (n,), of the outputs in pixels.
        normalize: conversion of the levels to floats; None keeps them.
        refused: row -> why this image has no output; its view is undefined.
        insets: the part of each output that the image fills; None if it fills all.
    """

    views: npt.NDArray[Any]
    widths: Sizes
    heights: Sizes
    normalize: "Normalize | None" = None
    refused: Mapping[int, str] = field(default_factory=dict)
    insets: "Insets | None" = None

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) if all outputs have one size, else None."""
        if len(self.views) == 0:
            return None
        width, height = self.widths[0], self.heights[0]
        if (self.widths != width).any() or (self.heights != height).any():
            return None
        return int(height), int(width)

    @property
    def is_resized(self) -> npt.NDArray[np.bool_]:
        """Whether each image is resampled, (n,)."""
        wider = self.views["scaled_width"] != self.views["width"]
        return np.asarray(wider | (self.views["scaled_height"] != self.views["height"]), np.bool_)

    def crop(self, x: Sizes, y: Sizes, widths: Sizes, heights: Sizes) -> "Plan":
        """Crop the outputs: before a resize the box gets smaller, after it the window."""
        self._refuse_padded()
        views = self.views.copy()
        x = np.where(views["flip"] == 1, self.widths - x - widths, x)
        resized = self.is_resized
        views["left"] += np.where(resized, x, 0).astype(np.uint32)
        views["top"] += np.where(resized, y, 0).astype(np.uint32)
        views["x"] += np.where(resized, 0, x).astype(np.uint32)
        views["y"] += np.where(resized, 0, y).astype(np.uint32)
        for name, sizes in (("width", widths), ("height", heights)):
            views[name] = np.where(resized, views[name], sizes)
            views[f"scaled_{name}"] = np.where(resized, views[f"scaled_{name}"], sizes)
        return replace(self, views=views, widths=widths, heights=heights)

    def resize(self, widths: Sizes, heights: Sizes) -> "Plan":
        """Resample the outputs to new sizes."""
        self._refuse_padded()
        if self.is_resized.any():
            raise OptionError("a second resize would blur images; leave one of them out")
        views = self.views.copy()
        views["scaled_width"], views["scaled_height"] = widths, heights
        return replace(self, views=views, widths=widths, heights=heights)

    def flip(self, flips: npt.NDArray[np.bool_]) -> "Plan":
        """Mirror the outputs where `flips` (n,) is true."""
        views = self.views.copy()
        views["flip"] ^= flips
        insets = None if self.insets is None else self.insets.flip(self.widths, flips)
        return replace(self, views=views, insets=insets)

    def _refuse_padded(self) -> None:
        if self.insets is not None:
            raise OptionError(
                "a crop that pads must be the last crop or resize; put it after the others"
            )


@dataclass(frozen=True, eq=False)
class Insets:
    """Rectangles of the outputs that images fill; the rest is padding.

    Args:
        x: int64 (n,), the left side in pixels.
        y: int64 (n,), the top in pixels.
        widths: int64 (n,), in pixels.
        heights: int64 (n,), in pixels.
        fill: the level of the padding, 0 to 255.
    """

    x: Sizes
    y: Sizes
    widths: Sizes
    heights: Sizes
    fill: int

    def flip(self, widths: Sizes, flips: npt.NDArray[np.bool_]) -> "Insets":
        """Mirror the rectangles in outputs of these widths where `flips` (n,) is true."""
        return replace(self, x=np.where(flips, widths - self.x - self.widths, self.x))

    def of(self, row: int) -> tuple[slice, slice]:
        """Return the rows and columns of one output's rectangle."""
        x, y = int(self.x[row]), int(self.y[row])
        return slice(y, y + int(self.heights[row])), slice(x, x + int(self.widths[row]))


class Transform(Protocol):
    """One step of a transform: changes the plan of a batch."""

    num_draws: int  # random numbers for each sample

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        """Return the plan after this step; `uniforms` (n, num_draws) are random, in [0, 1)."""
        ...


def whole(widths: npt.ArrayLike, heights: npt.ArrayLike) -> Plan:
    """Return the plan for whole images at their own sizes."""
    wide, high = np.asarray(widths, np.int64), np.asarray(heights, np.int64)
    views = np.zeros(len(wide), VIEW)
    views["width"], views["height"], views["orientation"] = wide, high, 1
    views["scaled_width"], views["scaled_height"] = wide, high
    return Plan(views, wide, high)


def plan_batch(
    steps: Sequence[Transform],
    widths: npt.ArrayLike,
    heights: npt.ArrayLike,
    draws: CounterRng | None = None,
) -> Plan:
    """Return the plan of all steps for upright images of these sizes (n,) in pixels."""
    plan = whole(widths, heights)
    draws = draws or CounterRng(0, 0, np.arange(len(plan.views)))
    first = 0
    for step in steps:
        plan = step.apply(plan, draws.uniforms(first, step.num_draws))
        first += step.num_draws
    return plan


def height_width(size: Size) -> tuple[int, int]:
    """Return a size as (height, width)."""
    return (size, size) if isinstance(size, int) else size


def least_side(steps: Sequence[Transform]) -> int:
    """Return the side of a square that is large enough for all steps."""
    sizes = [getattr(step, "size", 1) for step in steps]
    return max((max(height_width(size)) for size in sizes), default=1)


def full(plan: Plan, value: int) -> Sizes:
    """Return one value for each image, int64 (n,)."""
    return np.full(len(plan.views), value, np.int64)


@dataclass(frozen=True)
class Resize:
    """Resize of the whole image to a fixed size; the aspect ratio is not kept.

    Args:
        size: (height, width) in pixels, or one integer for a square.

    Raises:
        OptionError: `size` is not one or two positive integers.

    Example:
        >>> plan_batch([Resize(224)], [500], [375]).size
        (224, 224)
    """

    size: Size
    num_draws = 0

    def __post_init__(self) -> None:
        checks.settle(self, size=checks.size("size", self.size))

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        """Resize the plan's outputs."""
        height, width = height_width(self.size)
        return plan.resize(full(plan, width), full(plan, height))


@dataclass(frozen=True)
class ResizeShort:
    """Resize of the shorter side; the aspect ratio is kept, as in torchvision's Resize(int).

    Args:
        size: the shorter side in pixels.

    Raises:
        OptionError: `size` is not a positive integer.

    Example:
        >>> plan_batch([ResizeShort(256)], [500], [375]).size
        (256, 341)
    """

    size: int
    num_draws = 0

    def __post_init__(self) -> None:
        checks.settle(self, size=checks.integer("size", self.size, 1, 2**31 - 1))

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        """Resize the plan's outputs."""
        shorter = np.minimum(plan.widths, plan.heights)
        return plan.resize(
            np.maximum(1, self.size * plan.widths // shorter),
            np.maximum(1, self.size * plan.heights // shorter),
        )


@dataclass(frozen=True)
class HorizontalFlip:
    """Mirror image, left to right, with a given probability.

    Args:
        p: the probability, 0 to 1.

    Raises:
        OptionError: `p` is not a number from 0 to 1.

    Example:
        >>> plan_batch([HorizontalFlip(p=1)], [500], [375]).views["flip"].tolist()
        [1]
    """

    p: float = 0.5
    num_draws = 1

    def __post_init__(self) -> None:
        checks.settle(self, p=checks.number("p", self.p, 0, 1))

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        """Mirror some of the plan's outputs."""
        return plan.flip(uniforms[:, 0] < self.p)


@dataclass(frozen=True)
class Normalize:
    """Conversion of levels to floats: (level / white - mean) / std.

    The kernel converts while it writes pixels. Must be the only Normalize of a transform.

    Args:
        mean: one number for each channel, as parts of white.
        std: one number for each channel, not 0, as parts of white.
        dtype: "float32" or "float16".
        layout: "NCHW" or "NHWC", the axes of a batch.

    Raises:
        OptionError: An option has an invalid value.

    Example:
        >>> Normalize(mean=(0.5,), std=(0.25,)).table(channels=1)[0, [0, 255]].tolist()
        [-2.0, 2.0]
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: Literal["float32", "float16"] = "float32"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    num_draws = 0

    def __post_init__(self) -> None:
        mean, std = checks.numbers("mean", self.mean), checks.numbers("std", self.std)
        if len(mean) != len(std) or 0 in std:
            raise OptionError(
                "mean and std need one number for each channel, and no std may be 0, "
                f"not {mean} and {std}"
            )
        checks.choice("dtype", self.dtype, ("float32", "float16"))
        checks.choice("layout", self.layout, ("NCHW", "NHWC"))
        checks.settle(self, mean=mean, std=std)

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        """Set the plan's conversion."""
        if plan.normalize is not None:
            raise OptionError("images can be normalized only once; leave one Normalize out")
        return replace(plan, normalize=self)

    def table(self, channels: int) -> npt.NDArray[Any]:
        """Return the float of each 8-bit level, (channels, 256)."""
        if len(self.mean) != channels:
            raise ShapeError(
                f"Normalize has {len(self.mean)} channels but the images {channels}; "
                "give one mean and std for each"
            )
        return np.ascontiguousarray(self.written(np.arange(256)[:, None] / 255).T)

    def written(self, parts: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        """Return the floats of levels (..., channels), given as parts of white."""
        return np.asarray((parts - np.array(self.mean)) / np.array(self.std), self.dtype)
