"""ImageStatistics: sizes and kinds of a dataset's images, from the headers in its index."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.images.decode import upright_sizes
from fastpack.images.headers import FORMATS
from fastpack.inspection.counting import ValueCounts
from fastpack.reading.reader import Reader

_MAX_SIZES = 5
_NUM_BINS = 66  # a bin for each number of bits of a value
_TRAITS = ("progressive", "gray", "gray or palette", "CMYK", "16 bits", "turned", "unreadable")


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
    pixels, stored_bytes = np.zeros(_NUM_BINS, np.int64), np.zeros(_NUM_BINS, np.int64)
    sizes, traits = ValueCounts(), Counter[str]()
    for entries in dataset.entry_blocks([image_field.name]):
        infos = entries.infos[image_field.name]
        readable = infos[(infos["width"] > 0) & (infos["height"] > 0)]
        widths, heights = (sides.astype(np.int64) for sides in upright_sizes(readable, True, {}))
        pixels += _in_bins(widths * heights)
        stored_bytes += _in_bins(entries.spans[image_field.name]["length"])
        sizes.add(widths << 32 | heights)
        traits.update(_traits(infos, len(readable)))
    found, counts = sizes.found()
    frequent = np.argsort(-counts, kind="stable")[:_MAX_SIZES]
    return ImageStatistics(
        _bins(pixels),
        _bins(stored_bytes),
        tuple(
            SizeCount(int(found[i]) >> 32, int(found[i]) % 2**32, int(counts[i])) for i in frequent
        ),
        len(found),
        {name: traits[name] for name in _TRAITS if traits[name]},
    )


def _in_bins(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Count values by their bits: bin i has 2**(i - 1) <= value < 2**i."""
    exponents = np.frexp(np.maximum(values, 1).astype(np.float64))[1]
    return np.bincount(exponents, minlength=_NUM_BINS)


def _bins(counts: npt.NDArray[np.int64]) -> tuple[Bin, ...]:
    used = np.flatnonzero(counts).tolist()
    if not used:
        return ()
    return tuple(Bin(2 ** (i - 1), 2**i, int(counts[i])) for i in range(used[0], used[-1] + 1))


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
    return {name: int(np.count_nonzero(has)) for name, has in traits.items()} | {
        "unreadable": len(infos) - num_readable
    }
