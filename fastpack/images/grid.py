"""Grid: where thumbnails lie on a sheet."""

from dataclasses import dataclass

import numpy as np

from fastpack.core import checks
from fastpack.images.thumbnail import Rgb, fitted

GAP = 8  # pixels around each cell
BACKGROUND = 236


@dataclass(frozen=True)
class Grid:
    """Square cells from left to right and downwards, each with a strip for a caption below.

    Args:
        count: number of cells, at least 1.
        columns: cells in a row; fewer if there are not as many cells.
        tile: side of a square in pixels.
        strip: height of the strip below each square in pixels; 0 for none.
    """

    count: int
    columns: int
    tile: int
    strip: int = 0

    def __post_init__(self) -> None:
        columns = min(checks.integer("columns", self.columns, 1), self.count)
        checks.settle(self, columns=columns, tile=checks.integer("tile", self.tile, 1))

    def blank(self) -> Rgb:
        """Return a sheet without images, uint8 (height, width, 3)."""
        num_rows = -(-self.count // self.columns)
        height, width = num_rows * (self.tile + self.strip + GAP), self.columns * (self.tile + GAP)
        return np.full((height + GAP, width + GAP, 3), BACKGROUND, np.uint8)

    def cell(self, sheet: Rgb, number: int) -> tuple[Rgb, Rgb]:
        """Return the square and the strip of a cell, both views of the sheet."""
        row, column = divmod(number, self.columns)
        top = GAP + row * (self.tile + self.strip + GAP)
        left = GAP + column * (self.tile + GAP)
        cell = sheet[top : top + self.tile + self.strip, left : left + self.tile]
        return cell[: self.tile], cell[self.tile :]

    def draw(self, sheet: Rgb, number: int, pixels: Rgb) -> None:
        """Draw an image (height, width, 3) into the middle of a cell's square, scaled to fit."""
        square, _ = self.cell(sheet, number)
        thumbnail = fitted(pixels, self.tile)
        height, width = thumbnail.shape[:2]
        top, left = (self.tile - height) // 2, (self.tile - width) // 2
        square[top : top + height, left : left + width] = thumbnail
