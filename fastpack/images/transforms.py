"""Transforms: plans of crop boxes, sizes and normalization, for a whole batch at once.

They see widths and heights, never pixels: the decoder then decodes only the pixels inside each box.
Random numbers are a function of (seed, epoch, sample, draw), so every crop can be repeated.
"""

import math
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


def _height_width(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def least_side(steps: Sequence[Transform]) -> int:
    """Return the side of a square that is large enough for all steps."""
    sizes = [getattr(step, "size", 1) for step in steps]
    return max((max(_height_width(size)) for size in sizes), default=1)


def _full(plan: Plan, value: int) -> Sizes:
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
        height, width = _height_width(self.size)
        return plan.resize(_full(plan, width), _full(plan, height))


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
class _Crop:
    """A crop of a fixed size; subclasses choose its position."""

    size: Size
    pad_if_needed: bool = False
    fill: int = 0

    def __post_init__(self) -> None:
        fill = checks.integer("fill", self.fill, 0, 255)
        checks.settle(self, size=checks.size("size", self.size), fill=fill)
        checks.settle(self, pad_if_needed=checks.flag("pad_if_needed", self.pad_if_needed))

    def _rooms(self, plan: Plan) -> tuple[Sizes, Sizes]:
        """Pixels outside the crop, by columns and rows; negative for a smaller image."""
        height, width = _height_width(self.size)
        return plan.widths - width, plan.heights - height

    def _at(self, plan: Plan, x: Sizes, y: Sizes) -> Plan:
        """Crop at (x, y); negative numbers put a smaller image inside the output."""
        height, width = _height_width(self.size)
        is_smaller = (plan.widths < width) | (plan.heights < height)
        widths, heights = np.minimum(plan.widths, width), np.minimum(plan.heights, height)
        cropped = plan.crop(np.maximum(x, 0), np.maximum(y, 0), widths, heights)
        cropped = replace(cropped, widths=_full(plan, width), heights=_full(plan, height))
        if not is_smaller.any():
            return cropped
        if self.pad_if_needed:
            insets = Insets(np.maximum(-x, 0), np.maximum(-y, 0), widths, heights, self.fill)
            return replace(cropped, insets=insets)
        small = np.flatnonzero(is_smaller).tolist()
        refused = {row: self._too_small(plan, row) for row in small}
        return replace(cropped, refused={**plan.refused, **refused})

    def _too_small(self, plan: Plan, row: int) -> str:
        height, width = _height_width(self.size)
        return (
            f"the image is {plan.heights[row]} x {plan.widths[row]}, "
            f"smaller than the crop of {height} x {width}; "
            "resize first, for example with ResizeShort, or crop with pad_if_needed=True"
        )


@dataclass(frozen=True)
class CenterCrop(_Crop):
    """Crop of the middle of each image.

    Args:
        size: (height, width) in pixels, or one integer for a square.
        pad_if_needed: center a smaller image in padding, as torchvision does. Else such an image
            fails with a ShapeError.
        fill: the level of the padding, 0 to 255; masks are padded with 0.

    Raises:
        OptionError: An option has an invalid value.

    Example:
        >>> plan_batch([CenterCrop(224)], [500], [375]).views[["x", "y"]].tolist()
        [(138, 76)]
    """

    num_draws = 0

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        """Crop the plan's outputs."""
        wide, high = self._rooms(plan)
        # torchvision rounds halves to even here, and the padding down.
        x = np.where(wide < 0, -(-wide // 2), np.rint(wide / 2)).astype(np.int64)
        y = np.where(high < 0, -(-high // 2), np.rint(high / 2)).astype(np.int64)
        return self._at(plan, x, y)


@dataclass(frozen=True)
class RandomCrop(_Crop):
    """Crop of each image at a random position, drawn uniformly.

    Args:
        size: (height, width) in pixels, or one integer for a square.
        pad_if_needed: put a smaller image at a random position in padding. Else such an image
            fails with a ShapeError.
        fill: the level of the padding, 0 to 255; masks are padded with 0.

    Raises:
        OptionError: An option has an invalid value.

    Example:
        >>> plan_batch([RandomCrop((32, 64))], [500], [375]).size
        (32, 64)
    """

    num_draws = 2

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        """Crop the plan's outputs."""
        wide, high = self._rooms(plan)
        return self._at(plan, _drawn(uniforms[:, 0], wide), _drawn(uniforms[:, 1], high))


def _drawn(uniforms: npt.NDArray[np.float64], room: Sizes) -> Sizes:
    """Integers from 0 to `room`, or from `room` to 0."""
    drawn: Sizes = np.floor(uniforms * (np.abs(room) + 1)).astype(np.int64)
    return np.where(room < 0, -drawn, drawn)


_ATTEMPTS = 10


@dataclass(frozen=True)
class RandomResizedCrop:
    """Crop of random area and aspect ratio, resized to a fixed size, as torchvision draws it.

    Ten boxes are drawn. If none fits, the crop is the largest center box that `ratio` allows.

    Args:
        size: (height, width) in pixels, or one integer for a square.
        scale: lowest and highest area of the box, as parts of the image's; drawn uniformly.
        ratio: lowest and highest width / height of the box; its logarithm is drawn uniformly.

    Raises:
        OptionError: An option has an invalid value.

    Example:
        >>> plan_batch([RandomResizedCrop(224)], [500], [375]).size
        (224, 224)

    Reference:
        Szegedy et al., "Going deeper with convolutions", 2014; torchvision's documentation.
    """

    size: Size
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    num_draws = 2 * _ATTEMPTS + 2

    def __post_init__(self) -> None:
        scale, ratio = checks.low_high("scale", self.scale), checks.low_high("ratio", self.ratio)
        checks.settle(self, size=checks.size("size", self.size), scale=scale, ratio=ratio)

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        """Crop and resize the plan's outputs."""
        tried_widths, tried_heights = self._tried(plan, uniforms)
        fits = (tried_widths > 0) & (tried_widths <= plan.widths[:, None])
        fits &= (tried_heights > 0) & (tried_heights <= plan.heights[:, None])
        first, rows, found = np.argmax(fits, axis=1), np.arange(len(fits)), fits.any(axis=1)
        widths, heights = self._fallback(plan)
        widths = np.where(found, tried_widths[rows, first], widths)
        heights = np.where(found, tried_heights[rows, first], heights)
        wide, high = plan.widths - widths, plan.heights - heights
        x = np.where(found, _drawn(uniforms[:, -2], wide), wide // 2)
        y = np.where(found, _drawn(uniforms[:, -1], high), high // 2)
        height, width = _height_width(self.size)
        return plan.crop(x, y, widths, heights).resize(_full(plan, width), _full(plan, height))

    def _tried(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> tuple[Sizes, Sizes]:
        """Widths and heights of the drawn boxes, (n, 10)."""
        num_pixels = (plan.widths * plan.heights)[:, None]
        areas = num_pixels * _between(self.scale, uniforms[:, :_ATTEMPTS])
        logarithms = math.log(self.ratio[0]), math.log(self.ratio[1])
        ratios = np.exp(_between(logarithms, uniforms[:, _ATTEMPTS : 2 * _ATTEMPTS]))
        widths, heights = np.sqrt(areas * ratios), np.sqrt(areas / ratios)
        return np.rint(widths).astype(np.int64), np.rint(heights).astype(np.int64)

    def _fallback(self, plan: Plan) -> tuple[Sizes, Sizes]:
        """Widths and heights of the largest boxes that `ratio` allows, (n,)."""
        ratio = plan.widths / plan.heights
        widths = np.where(ratio > self.ratio[1], np.rint(plan.heights * self.ratio[1]), plan.widths)
        heights = np.where(
            ratio < self.ratio[0], np.rint(plan.widths / self.ratio[0]), plan.heights
        )
        return np.maximum(1, widths).astype(np.int64), np.maximum(1, heights).astype(np.int64)


def _between(
    limits: tuple[float, float], uniforms: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return limits[0] + (limits[1] - limits[0]) * uniforms


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
