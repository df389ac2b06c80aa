"""Crops: transforms that keep a part of each image."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.core.checks import Size
from fastpack.images.transforms import Insets, Plan, Sizes, full, height_width

_ATTEMPTS = 10  # boxes that RandomResizedCrop draws


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
        height, width = height_width(self.size)
        return plan.widths - width, plan.heights - height

    def _at(self, plan: Plan, x: Sizes, y: Sizes) -> Plan:
        """Crop at (x, y); negative numbers put a smaller image inside the output."""
        height, width = height_width(self.size)
        is_smaller = (plan.widths < width) | (plan.heights < height)
        widths, heights = np.minimum(plan.widths, width), np.minimum(plan.heights, height)
        cropped = plan.crop(np.maximum(x, 0), np.maximum(y, 0), widths, heights)
        cropped = replace(cropped, widths=full(plan, width), heights=full(plan, height))
        if not is_smaller.any():
            return cropped
        if self.pad_if_needed:
            insets = Insets(np.maximum(-x, 0), np.maximum(-y, 0), widths, heights, self.fill)
            return replace(cropped, insets=insets)
        small = np.flatnonzero(is_smaller).tolist()
        refused = {row: self._too_small(plan, row) for row in small}
        return replace(cropped, refused={**plan.refused, **refused})

    def _too_small(self, plan: Plan, row: int) -> str:
        height, width = height_width(self.size)
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
        >>> from fastpack.images.transforms import plan_batch
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
        >>> from fastpack.images.transforms import plan_batch
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
        >>> from fastpack.images.transforms import plan_batch
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
        height, width = height_width(self.size)
        return plan.crop(x, y, widths, heights).resize(full(plan, width), full(plan, height))

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
