"""Contact sheets: thumbnails of samples on one image."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastpack.core.schema import Schema
from fastpack.errors import (
    EmptySourceError,
    OptionError,
    SchemaError,
    os_errors_at,
)
from fastpack.files.atomic import atomic_write, check_absent
from fastpack.images.codecs import encode
from fastpack.images.grid import Grid
from fastpack.images.picture import format_of
from fastpack.images.thumbnail import Rgb, as_rgb
from fastpack.reading.class_order import ClassOrder
from fastpack.reading.expression import kind_of
from fastpack.reading.reader import Reader

if TYPE_CHECKING:
    from fastpack.inspection.captions import CaptionFont

_CAPTION_HEIGHT = 18


def choose_samples(
    dataset: Reader, count: int, *, seed: int | None = None, per_class: bool = False
) -> npt.NDArray[np.int64]:
    """Choose samples to show.

    Args:
        dataset: the dataset.
        count: number of samples.
        seed: chooses random samples; None chooses the first ones.
        per_class: choose `count` samples of each class, in the order of classes.

    Returns:
        int64 (n,): sample numbers.

    Raises:
        OptionError: `per_class` needs labels, which the dataset lacks.

    Example:
        >>> import fastpack
        >>> choose_samples(fastpack.open(getfixture("digits")), 3).tolist()
        [0, 1, 2]
    """
    order, sizes = None, np.array([len(dataset)])
    if per_class:
        if "label" not in dataset.columns or kind_of(dataset.columns["label"]) is not np.ndarray:
            raise OptionError("the samples have no single label each; leave per_class out")
        order = ClassOrder.of(dataset.columns["label"], len(dataset))
        sizes = order.sizes
    random = None if seed is None else np.random.default_rng(seed)
    firsts = np.cumsum(sizes) - sizes
    places = np.concatenate(
        [first + _chosen(size, count, random) for first, size in zip(firsts, sizes, strict=True)]
    )
    return places if order is None else order.members_at(places)


def _chosen(size: int, count: int, random: np.random.Generator | None) -> npt.NDArray[np.int64]:
    """Choose at most `count` of `size` numbers: the first ones, or random ones."""
    count = min(count, int(size))
    return np.arange(count) if random is None else random.choice(int(size), count, replace=False)


def contact_sheet(
    dataset: Reader,
    rows: Sequence[int] | npt.NDArray[np.integer[Any]],
    *,
    columns: int = 8,
    tile: int = 160,
) -> Rgb:
    """Draw thumbnails with the class name (or label, or key) of each sample below.

    Images are drawn as the Reader returns them, after its transform.

    Args:
        dataset: the dataset.
        rows: sample numbers, in the order from left to right and then down.
        columns: thumbnails in a row.
        tile: side in pixels of the square that holds each thumbnail, at its aspect ratio.

    Returns:
        uint8 (height, width, 3): the sheet, RGB.

    Raises:
        EmptySourceError: there are no rows.
        SchemaError: the dataset has no image field.
        OptionError: columns or tile is below 1.
        OutOfRangeError: a sample does not exist.
        FastpackError: a file is damaged.
    """
    image_field = dataset.schema.image_field
    if image_field is None:
        raise SchemaError("there is no image field to show")
    if len(rows) == 0:
        raise EmptySourceError("there are no samples to show; give at least one sample number")
    from fastpack.inspection.captions import CaptionFont  # OpenCV takes 0.1 s to import

    grid = Grid(len(rows), columns, tile, _CAPTION_HEIGHT)
    sheet, font = grid.blank(), CaptionFont()
    reader = dataset.with_one_depth().with_options(decode=True, color="RGB")
    # One row of the grid at a time, so that memory holds few whole images.
    for first in range(0, len(rows), grid.columns):
        batch = reader.read(rows[first : first + grid.columns])
        for row in range(batch.num_samples):
            sample = batch.sample(row)
            grid.draw(sheet, first + row, as_rgb(sample[image_field.name], image_field))
            _, strip = grid.cell(sheet, first + row)
            font.write(strip, _caption(sample, dataset.schema, font))
    return sheet


def save_sheet(sheet: Rgb, output: str | Path, *, overwrite: bool = False) -> None:
    """Write a sheet as an image file, under a temporary name first.

    Args:
        sheet: uint8 (height, width, 3), RGB.
        output: the file. Its suffix chooses the format.
        overwrite: replace an existing file.

    Raises:
        OptionError: the suffix is unknown.
        OutputExistsError: the file exists.
        UnreadableFileError: the file cannot be written.
    """
    output = Path(output)
    check_sheet_output(output, overwrite=overwrite)
    data = encode(sheet, format_of(output))
    with atomic_write(output) as temporary, os_errors_at(output):
        temporary.write_bytes(data)


def check_sheet_output(output: Path, *, overwrite: bool = False) -> None:
    """Refuse a name that `save_sheet` cannot write, before any work is done."""
    format_of(output)
    check_absent([output], overwrite)


def _caption(sample: dict[str, Any], schema: Schema, font: "CaptionFont") -> str:
    if "label" not in sample:
        return font.drawable(str(sample.get("key", "")).rsplit("/", 1)[-1])
    labels = np.atleast_1d(sample["label"]).tolist()
    return ", ".join(font.drawable(schema.class_name(label), f"label {label}") for label in labels)
