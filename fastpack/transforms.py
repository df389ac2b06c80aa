"""Transforms decide, for a whole batch at once, which part of each image is wanted and at what size.

They see widths and heights, never a pixel; kernels make the pixels.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastpack.errors import OptionError
from fastpack.structs import VIEW


@dataclass(frozen=True, eq=False)
class Plan:
    """What is wanted of a batch: a VIEW for each image and the (height, width) of all, or None for each its box's."""

    views: npt.NDArray[Any]
    size: tuple[int, int] | None


class Transform(Protocol):
    """(widths, heights), of images that stand upright -> Plan."""

    def plan(self, widths: npt.NDArray[np.uint32], heights: npt.NDArray[np.uint32]) -> Plan: ...


def whole(widths: npt.NDArray[np.uint32], heights: npt.NDArray[np.uint32]) -> Plan:
    """The whole of each image, at its own size."""
    views = np.zeros(len(widths), VIEW)
    views["width"], views["height"], views["orientation"] = widths, heights, 1
    return Plan(views, None)


@dataclass(frozen=True)
class Resize:
    """The whole of each image, resampled to `size` (height, width); one number makes a square.

    The filter is the antialiased triangle of Pillow's BILINEAR and torchvision's `antialias=True`.
    The aspect ratio is not kept.

    >>> Resize(224).plan(np.array([500]), np.array([375])).size
    (224, 224)
    """

    size: int | tuple[int, int]

    def __post_init__(self) -> None:
        if min(self._height_width) < 1:
            raise OptionError(f"size must be positive, not {self.size}")

    @property
    def _height_width(self) -> tuple[int, int]:
        return (self.size, self.size) if isinstance(self.size, int) else (int(self.size[0]), int(self.size[1]))

    def plan(self, widths: npt.NDArray[np.uint32], heights: npt.NDArray[np.uint32]) -> Plan:
        return Plan(whole(widths, heights).views, self._height_width)
