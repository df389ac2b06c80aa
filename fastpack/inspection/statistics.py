"""ImageStatistics: sizes and kinds of a dataset's images, from the headers in its index."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.images.decode import upright_sizes
from fastpack.images.headers import FORMATS
from fastpack.reading.reader import Reader

_MAX_SIZES = 5


@dataclass(frozen=True)
class Bin:
    """Number of images with a value of at least `first` and less than `end`."""

    first: int
    end: int
    num_images: int


@dataclass(frozen=True)
class SizeCount:
    """Number of images of one upright size, in pixels."""

    width: int
    height: int
    num_images: int


@dataclass(frozen=True)
class ImageStatistics:
    """Counts of a dataset's images.

    Args:
        pixels: histogram of pixels per image, in bins of doubling width.
        stored_bytes: likewise of stored bytes.
        sizes: the most frequent sizes.
        num_sizes: number of different sizes.
        traits: trait -> number of images: "progressive", "gray", "gray or palette", "CMYK",
            "16 bits", "turned" (by EXIF) and "unreadable". Traits of no image are left out.
    """

    pixels: tuple[Bin, ...]
    stored_bytes: tuple[Bin, ...]
    sizes: tuple[SizeCount, ...]
    num_sizes: int
    traits: dict[str, int]


def image_statistics(dataset: Reader) -> ImageStatistics | None:
    """Count the images of a dataset. Reads no image.

    Returns:
        The counts; None for a dataset without image files.

    Example:
        >>> import fastpack
        >>> image_statistics(fastpack.open(getfixture("digits"))).sizes
        (SizeCount(width=8, height=8, num_images=10),)
    """
    image_field = dataset.schema.image_field
    if image_field is None or image_field.kind != "image":
        return None
    infos = dataset.load_infos(image_field.name)
    readable = infos[(infos["width"] > 0) & (infos["height"] > 0)]
    widths, heights = (sides.astype(np.int64) for sides in upright_sizes(readable, True, {}))
    sizes, counts = np.unique(np.stack([widths, heights], axis=1), axis=0, return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:_MAX_SIZES]
    return ImageStatistics(
        _bins(widths * heights),
        _bins(dataset.sizes),
        tuple(SizeCount(int(sizes[i, 0]), int(sizes[i, 1]), int(counts[i])) for i in frequent),
        len(sizes),
        _traits(infos, len(readable)),
    )


def _bins(values: npt.NDArray[np.int64]) -> tuple[Bin, ...]:
    if len(values) == 0:
        return ()
    # frexp gives 2**(exponent - 1) <= value < 2**exponent
    exponents = np.frexp(np.maximum(values, 1).astype(np.float64))[1].astype(np.int64)
    least = int(exponents.min())
    counts = np.bincount(exponents - least)
    return tuple(
        Bin(2 ** (least + i - 1), 2 ** (least + i), int(count)) for i, count in enumerate(counts)
    )


def _traits(infos: npt.NDArray[Any], num_readable: int) -> dict[str, int]:
    is_jpeg = infos["format"] == FORMATS.index("jpeg")
    traits = {
        "progressive": is_jpeg & (infos["progressive"] > 0),
        "gray": is_jpeg & (infos["components"] == 1),
        "gray or palette": ~is_jpeg & (infos["components"] == 1),
        "CMYK": is_jpeg & (infos["components"] == 4),
        "16 bits": infos["bits"] == 16,
        "turned": infos["orientation"] > 1,
    }
    counts = {name: int(np.count_nonzero(has)) for name, has in traits.items()} | {
        "unreadable": len(infos) - num_readable
    }
    return {name: count for name, count in counts.items() if count}
