"""Picture: an image that notebooks display."""

import os
from dataclasses import dataclass
from pathlib import Path

from fastpack.core import checks
from fastpack.errors import Location, OptionError, os_errors_at, with_location
from fastpack.images.codecs import encode
from fastpack.images.thumbnail import Rgb

_FORMATS = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".bmp": "bmp",
    ".tif": "tiff",
    ".tiff": "tiff",
}


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """An RGB image; notebooks display it, and `save` writes it.

    Args:
        pixels: uint8 (height, width, 3).

    Example:
        >>> import numpy as np
        >>> Picture(np.zeros((20, 30, 3), np.uint8))
        Picture(20 x 30)
    """

    pixels: Rgb

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture as an image file; an existing file is replaced.

        Args:
            path: its suffix is the format: .png, .jpg, .webp, .bmp or .tiff.

        Raises:
            OptionError: The suffix is not one of these.
            UnreadableFileError: The OS refuses to write the file.
        """
        checks.instance("path", path, str | os.PathLike, "a path")
        data = encode(self.pixels, format_of(path))
        with os_errors_at(path):
            Path(path).write_bytes(data)

    def _repr_png_(self) -> bytes:
        return encode(self.pixels, "png")

    def __repr__(self) -> str:
        height, width = self.pixels.shape[:2]
        return f"Picture({height} x {width})"


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the image format that a path's suffix names; raise OptionError if it names none."""
    format = _FORMATS.get(Path(path).suffix.lower())
    if format is None:
        message = f"the suffix is not an image format; use one of {', '.join(_FORMATS)}"
        raise OptionError(with_location(message, Location(path)))
    return format
