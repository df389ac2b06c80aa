"""Transforms decide, for a whole batch at once, which part of each image is wanted, at what size and how written.

They see widths and heights, never a pixel; kernels make the pixels. Random ones take their numbers from
(seed, epoch, sample, draw), so a sample's crop depends on nothing else and can be made again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from fastpack import checks
from fastpack.checks import Size
from fastpack.draws import Draws
from fastpack.errors import OptionError, ShapeError
from fastpack.structs import VIEW

Sizes = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Plan:
    """What is wanted of each image of a batch.

    - views: (n,) VIEW; orientation is not theirs to know and stays 1.
    - widths, heights: (n,) int64, of what comes out.
    - normalize: how the levels are written; None is as they are, uint8.
    """

    views: npt.NDArray[Any]
    widths: Sizes
    heights: Sizes
    normalize: "Normalize | None" = None

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) when all come out alike, else None."""
        if len(self.views) == 0 or (self.widths != self.widths[0]).any() or (self.heights != self.heights[0]).any():
            return None
        return int(self.heights[0]), int(self.widths[0])

    @property
    def is_resized(self) -> npt.NDArray[np.bool_]:
        wider = self.views["scaled_width"] != self.views["width"]
        return np.asarray(wider | (self.views["scaled_height"] != self.views["height"]), np.bool_)

    def crop(self, x: Sizes, y: Sizes, widths: Sizes, heights: Sizes) -> "Plan":
        """A part of what comes out so far. Before a resize it narrows the box, after one the window."""
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
        if self.is_resized.any():
            raise OptionError("images can be resized once; a second resize would blur them: leave one out")
        views = self.views.copy()
        views["scaled_width"], views["scaled_height"] = widths, heights
        return replace(self, views=views, widths=widths, heights=heights)

    def flip(self, flips: npt.NDArray[np.bool_]) -> "Plan":
        views = self.views.copy()
        views["flip"] ^= flips
        return replace(self, views=views)


class Transform(Protocol):
    """One step: takes what comes out so far and wants something else of it."""

    num_draws: int

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        """`uniforms` (n, num_draws): this step's random numbers in [0, 1)."""
        ...


def whole(widths: npt.ArrayLike, heights: npt.ArrayLike) -> Plan:
    """The whole of each image, at its own size."""
    wide, high = np.asarray(widths, np.int64), np.asarray(heights, np.int64)
    views = np.zeros(len(wide), VIEW)
    views["width"], views["height"], views["orientation"] = wide, high, 1
    views["scaled_width"], views["scaled_height"] = wide, high
    return Plan(views, wide, high)


def plan_batch(steps: Sequence[Transform], widths: npt.ArrayLike, heights: npt.ArrayLike, draws: Draws | None = None) -> Plan:
    """What the steps, one after the other, want of images that stand upright in these sizes."""
    plan = whole(widths, heights)
    draws = draws or Draws(0, 0, np.arange(len(plan.views)))
    first = 0
    for step in steps:
        plan = step.apply(plan, draws.uniforms(first, step.num_draws))
        first += step.num_draws
    return plan


def _height_width(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def least_side(steps: Sequence[Transform]) -> int:
    """The side of a square that none of the steps finds too small."""
    sizes = [getattr(step, "size", 1) for step in steps]
    return max((max(_height_width(size)) for size in sizes), default=1)


def _full(plan: Plan, value: int) -> Sizes:
    return np.full(len(plan.views), value, np.int64)


@dataclass(frozen=True)
class Resize:
    """The whole of each image, resampled to `size` (height, width); one number makes a square.

    The aspect ratio is not kept: see ResizeShort.

    >>> plan_batch([Resize(224)], [500], [375]).size
    (224, 224)
    """

    size: Size
    num_draws = 0

    def __post_init__(self) -> None:
        checks.settle(self, size=checks.size("size", self.size))

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        height, width = _height_width(self.size)
        return plan.resize(_full(plan, width), _full(plan, height))


@dataclass(frozen=True)
class ResizeShort:
    """Resampled so that the shorter side has `size` pixels and the aspect ratio is kept, as torchvision's Resize(int).

    >>> plan_batch([ResizeShort(256)], [500], [375]).size
    (256, 341)
    """

    size: int
    num_draws = 0

    def __post_init__(self) -> None:
        checks.settle(self, size=checks.integer("size", self.size, 1))

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        shorter = np.minimum(plan.widths, plan.heights)
        return plan.resize(np.maximum(1, self.size * plan.widths // shorter), np.maximum(1, self.size * plan.heights // shorter))


@dataclass(frozen=True)
class CenterCrop:
    """The middle `size` (height, width) of each image. Raises ShapeError for an image that is smaller.

    >>> plan_batch([CenterCrop(224)], [500], [375]).views[["x", "y"]].tolist()
    [(138, 76)]
    """

    size: Size
    num_draws = 0

    def __post_init__(self) -> None:
        checks.settle(self, size=checks.size("size", self.size))

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        height, width = _height_width(self.size)
        _refuse_smaller(plan, height, width)
        # rint rounds halves to even, as Python's round does in torchvision.
        x, y = np.rint((plan.widths - width) / 2).astype(np.int64), np.rint((plan.heights - height) / 2).astype(np.int64)
        return plan.crop(x, y, _full(plan, width), _full(plan, height))


@dataclass(frozen=True)
class RandomCrop:
    """A `size` (height, width) part of each image, at a place drawn evenly. Raises ShapeError for an image that is smaller."""

    size: Size
    num_draws = 2

    def __post_init__(self) -> None:
        checks.settle(self, size=checks.size("size", self.size))

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        height, width = _height_width(self.size)
        _refuse_smaller(plan, height, width)
        x = np.floor(uniforms[:, 0] * (plan.widths - width + 1)).astype(np.int64)
        y = np.floor(uniforms[:, 1] * (plan.heights - height + 1)).astype(np.int64)
        return plan.crop(x, y, _full(plan, width), _full(plan, height))


def _refuse_smaller(plan: Plan, height: int, width: int) -> None:
    if ((plan.widths < width) | (plan.heights < height)).any():
        row = int(np.argmax((plan.widths < width) | (plan.heights < height)))
        raise ShapeError(
            f"image {row} of the batch is {plan.heights[row]} x {plan.widths[row]}, smaller than the crop of {height} x {width}; "
            "resize first, for example with ResizeShort"
        )


_ATTEMPTS = 10


@dataclass(frozen=True)
class RandomResizedCrop:
    """A part of each image of random area and aspect ratio, resampled to `size`, as torchvision draws it.

    - scale: of the part's area to the image's, drawn evenly.
    - ratio: width to height, its logarithm drawn evenly.

    Ten tries are made for a part that fits; then the middle of the image, as large as the ratio allows, is
    taken (Szegedy et al., "Going deeper with convolutions", 2014; the procedure is torchvision's documented one).
    """

    size: Size
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    num_draws = 2 * _ATTEMPTS + 2

    def __post_init__(self) -> None:
        scale, ratio = checks.low_high("scale", self.scale), checks.low_high("ratio", self.ratio)
        checks.settle(self, size=checks.size("size", self.size), scale=scale, ratio=ratio)

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        widths, heights = self._fallback(plan)
        areas = (plan.widths * plan.heights)[:, None] * _between(self.scale, uniforms[:, :_ATTEMPTS])
        ratios = np.exp(_between((math.log(self.ratio[0]), math.log(self.ratio[1])), uniforms[:, _ATTEMPTS : 2 * _ATTEMPTS]))
        tried_widths, tried_heights = np.rint(np.sqrt(areas * ratios)).astype(np.int64), np.rint(np.sqrt(areas / ratios)).astype(np.int64)
        fits = (tried_widths > 0) & (tried_widths <= plan.widths[:, None]) & (tried_heights > 0) & (tried_heights <= plan.heights[:, None])
        first, rows = np.argmax(fits, axis=1), np.arange(len(fits))
        found = fits.any(axis=1)
        widths = np.where(found, tried_widths[rows, first], widths)
        heights = np.where(found, tried_heights[rows, first], heights)
        x = np.where(found, np.floor(uniforms[:, -2] * (plan.widths - widths + 1)), (plan.widths - widths) // 2).astype(np.int64)
        y = np.where(found, np.floor(uniforms[:, -1] * (plan.heights - heights + 1)), (plan.heights - heights) // 2).astype(np.int64)
        height, width = _height_width(self.size)
        return plan.crop(x, y, widths, heights).resize(_full(plan, width), _full(plan, height))

    def _fallback(self, plan: Plan) -> tuple[Sizes, Sizes]:
        ratio = plan.widths / plan.heights
        widths = np.where(ratio > self.ratio[1], np.rint(plan.heights * self.ratio[1]), plan.widths)
        heights = np.where(ratio < self.ratio[0], np.rint(plan.widths / self.ratio[0]), plan.heights)
        return np.maximum(1, widths).astype(np.int64), np.maximum(1, heights).astype(np.int64)


def _between(limits: tuple[float, float], uniforms: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return limits[0] + (limits[1] - limits[0]) * uniforms


@dataclass(frozen=True)
class HorizontalFlip:
    """Mirrors each image left to right with probability `p`."""

    p: float = 0.5
    num_draws = 1

    def __post_init__(self) -> None:
        checks.settle(self, p=checks.number("p", self.p, 0, 1))

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        return plan.flip(uniforms[:, 0] < self.p)


@dataclass(frozen=True)
class Normalize:
    """Writes (level / 255 - mean) / std as floats, in the kernel's last step.

    - mean, std: one number for each channel.
    - dtype: "float32" or "float16".
    - layout: "NCHW" or "NHWC".
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: Literal["float32", "float16"] = "float32"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    num_draws = 0

    def __post_init__(self) -> None:
        mean, std = checks.numbers("mean", self.mean), checks.numbers("std", self.std)
        if len(mean) != len(std) or 0 in std:
            raise OptionError(f"mean and std need one number for each channel, and no std may be 0, not {mean} and {std}")
        checks.choice("dtype", self.dtype, ("float32", "float16"))
        checks.choice("layout", self.layout, ("NCHW", "NHWC"))
        checks.settle(self, mean=mean, std=std)

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        if plan.normalize is not None:
            raise OptionError("images can be normalized once; leave one Normalize out")
        return replace(plan, normalize=self)

    def table(self, channels: int) -> npt.NDArray[Any]:
        """(channels, 256): what is written for each level of each channel."""
        if len(self.mean) != channels:
            raise ShapeError(f"Normalize has {len(self.mean)} channels and the images {channels}; give one mean and std for each")
        levels = np.arange(256) / 255
        return np.asarray((levels - np.array(self.mean)[:, None]) / np.array(self.std)[:, None], self.dtype)
