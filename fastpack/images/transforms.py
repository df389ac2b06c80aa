"""Transforms decide, for a whole batch at once, which part of each image is wanted, at what size and how written.

They see widths and heights, never a pixel; kernels make the pixels. Random ones take their numbers from
(seed, epoch, sample, draw), so a sample's crop depends on nothing else and can be made again.
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
    """What is wanted of each image of a batch.

    - views: (n,) VIEW; orientation is not theirs to know and stays 1.
    - widths, heights: (n,) int64, of what comes out.
    - normalize: how the levels are written; None is as they are.
    - refused: row -> why nothing can be had of this image; its view means nothing.
    - insets: where the image lies in what comes out, where that is larger; None when it fills it.
    """

    views: npt.NDArray[Any]
    widths: Sizes
    heights: Sizes
    normalize: "Normalize | None" = None
    refused: Mapping[int, str] = field(default_factory=dict)
    insets: "Insets | None" = None

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) when all come out alike, else None."""
        if (
            len(self.views) == 0
            or (self.widths != self.widths[0]).any()
            or (self.heights != self.heights[0]).any()
        ):
            return None
        return int(self.heights[0]), int(self.widths[0])

    @property
    def is_resized(self) -> npt.NDArray[np.bool_]:
        wider = self.views["scaled_width"] != self.views["width"]
        return np.asarray(wider | (self.views["scaled_height"] != self.views["height"]), np.bool_)

    def crop(self, x: Sizes, y: Sizes, widths: Sizes, heights: Sizes) -> "Plan":
        """A part of what comes out so far. Before a resize it narrows the box, after one the window."""
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
        self._refuse_padded()
        if self.is_resized.any():
            raise OptionError(
                "images can be resized once; a second resize would blur them: leave one out"
            )
        views = self.views.copy()
        views["scaled_width"], views["scaled_height"] = widths, heights
        return replace(self, views=views, widths=widths, heights=heights)

    def flip(self, flips: npt.NDArray[np.bool_]) -> "Plan":
        views = self.views.copy()
        views["flip"] ^= flips
        insets = None if self.insets is None else self.insets.flip(self.widths, flips)
        return replace(self, views=views, insets=insets)

    def _refuse_padded(self) -> None:
        if self.insets is not None:
            raise OptionError(
                "a crop that pads must be the last crop or resize: put it behind the others"
            )


@dataclass(frozen=True, eq=False)
class Insets:
    """Rectangles (n,) of the outputs that images fill; the rest is padding.

    - x, y, widths, heights: (n,) int64, in pixels.
    - fill: the level of what lies around them, of 8 bits.
    """

    x: Sizes
    y: Sizes
    widths: Sizes
    heights: Sizes
    fill: int

    def flip(self, widths: Sizes, flips: npt.NDArray[np.bool_]) -> "Insets":
        return replace(self, x=np.where(flips, widths - self.x - self.widths, self.x))

    def of(self, row: int) -> tuple[slice, slice]:
        """Rows and columns of one output."""
        x, y = int(self.x[row]), int(self.y[row])
        return slice(y, y + int(self.heights[row])), slice(x, x + int(self.widths[row]))


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


def plan_batch(
    steps: Sequence[Transform],
    widths: npt.ArrayLike,
    heights: npt.ArrayLike,
    draws: CounterRng | None = None,
) -> Plan:
    """What the steps, one after the other, want of images that stand upright in these sizes."""
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
        checks.settle(self, size=checks.integer("size", self.size, 1, 2**31 - 1))

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        shorter = np.minimum(plan.widths, plan.heights)
        return plan.resize(
            np.maximum(1, self.size * plan.widths // shorter),
            np.maximum(1, self.size * plan.heights // shorter),
        )


@dataclass(frozen=True)
class CenterCrop:
    """Crop the middle `size` (height, width) of each image.

    - pad_if_needed: put an image that is smaller in the middle of pixels of the level `fill`, as
      torchvision does. Without it such an image is refused with a ShapeError that names its sample.
    - fill: the level of the padding, 0 to 255; masks are padded with 0.

    >>> plan_batch([CenterCrop(224)], [500], [375]).views[["x", "y"]].tolist()
    [(138, 76)]
    """

    size: Size
    pad_if_needed: bool = False
    fill: int = 0
    num_draws = 0

    def __post_init__(self) -> None:
        fill = checks.integer("fill", self.fill, 0, 255)
        checks.settle(self, size=checks.size("size", self.size), fill=fill)
        checks.settle(self, pad_if_needed=checks.flag("pad_if_needed", self.pad_if_needed))

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        height, width = _height_width(self.size)
        wide, high = plan.widths - width, plan.heights - height
        # rint rounds halves to even, as Python's round does in torchvision; its padding is rounded down.
        x = np.where(wide < 0, -(-wide // 2), np.rint(wide / 2)).astype(np.int64)
        y = np.where(high < 0, -(-high // 2), np.rint(high / 2)).astype(np.int64)
        return _crop_at(plan, x, y, (height, width), self.fill if self.pad_if_needed else None)


@dataclass(frozen=True)
class RandomCrop:
    """Crop a `size` (height, width) part of each image, at a place drawn evenly.

    - pad_if_needed: put an image that is smaller at a place drawn evenly among pixels of the level
      `fill`. Without it such an image is refused with a ShapeError that names its sample.
    - fill: the level of the padding, 0 to 255; masks are padded with 0.
    """

    size: Size
    pad_if_needed: bool = False
    fill: int = 0
    num_draws = 2

    def __post_init__(self) -> None:
        fill = checks.integer("fill", self.fill, 0, 255)
        checks.settle(self, size=checks.size("size", self.size), fill=fill)
        checks.settle(self, pad_if_needed=checks.flag("pad_if_needed", self.pad_if_needed))

    def apply(self, plan: Plan, uniforms: npt.NDArray[np.float64]) -> Plan:
        height, width = _height_width(self.size)
        x, y = (
            _drawn(uniforms[:, 0], plan.widths - width),
            _drawn(uniforms[:, 1], plan.heights - height),
        )
        return _crop_at(plan, x, y, (height, width), self.fill if self.pad_if_needed else None)


def _drawn(uniforms: npt.NDArray[np.float64], room: Sizes) -> Sizes:
    """Numbers from 0 to `room`, or from `room` to 0."""
    places: Sizes = np.floor(uniforms * (np.abs(room) + 1)).astype(np.int64)
    return np.where(room < 0, -places, places)


def _crop_at(plan: Plan, x: Sizes, y: Sizes, size: tuple[int, int], fill: int | None) -> Plan:
    """Crop at (x, y), where negative numbers place a smaller image inside the output.

    Such an image is refused when `fill` is None.
    """
    height, width = size
    is_smaller = (plan.widths < width) | (plan.heights < height)
    refused = dict(plan.refused)
    if fill is None:
        refused |= {row: _too_small(plan, row, size) for row in np.flatnonzero(is_smaller).tolist()}
    widths, heights = np.minimum(plan.widths, width), np.minimum(plan.heights, height)
    cropped = plan.crop(np.maximum(x, 0), np.maximum(y, 0), widths, heights)
    insets = (
        Insets(np.maximum(-x, 0), np.maximum(-y, 0), widths, heights, fill)
        if fill is not None and is_smaller.any()
        else None
    )
    return replace(
        cropped,
        widths=_full(plan, width),
        heights=_full(plan, height),
        refused=refused,
        insets=insets,
    )


def _too_small(plan: Plan, row: int, size: tuple[int, int]) -> str:
    return (
        f"the image is {plan.heights[row]} x {plan.widths[row]}, smaller than the crop of {size[0]} x {size[1]}; "
        "resize first, for example with ResizeShort, or crop with pad_if_needed=True"
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
        areas = (plan.widths * plan.heights)[:, None] * _between(
            self.scale, uniforms[:, :_ATTEMPTS]
        )
        ratios = np.exp(
            _between(
                (math.log(self.ratio[0]), math.log(self.ratio[1])),
                uniforms[:, _ATTEMPTS : 2 * _ATTEMPTS],
            )
        )
        tried_widths, tried_heights = (
            np.rint(np.sqrt(areas * ratios)).astype(np.int64),
            np.rint(np.sqrt(areas / ratios)).astype(np.int64),
        )
        fits = (
            (tried_widths > 0)
            & (tried_widths <= plan.widths[:, None])
            & (tried_heights > 0)
            & (tried_heights <= plan.heights[:, None])
        )
        first, rows = np.argmax(fits, axis=1), np.arange(len(fits))
        found = fits.any(axis=1)
        widths = np.where(found, tried_widths[rows, first], widths)
        heights = np.where(found, tried_heights[rows, first], heights)
        x = np.where(
            found,
            np.floor(uniforms[:, -2] * (plan.widths - widths + 1)),
            (plan.widths - widths) // 2,
        ).astype(np.int64)
        y = np.where(
            found,
            np.floor(uniforms[:, -1] * (plan.heights - heights + 1)),
            (plan.heights - heights) // 2,
        ).astype(np.int64)
        height, width = _height_width(self.size)
        return plan.crop(x, y, widths, heights).resize(_full(plan, width), _full(plan, height))

    def _fallback(self, plan: Plan) -> tuple[Sizes, Sizes]:
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
            raise OptionError(
                f"mean and std need one number for each channel, and no std may be 0, not {mean} and {std}"
            )
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
            raise ShapeError(
                f"Normalize has {len(self.mean)} channels and the images {channels}; give one mean and std for each"
            )
        return np.ascontiguousarray(self.written(np.arange(256)[:, None] / 255).T)

    def written(self, parts: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        """What is written for parts of white (..., channels)."""
        return np.asarray((parts - np.array(self.mean)) / np.array(self.std), self.dtype)
