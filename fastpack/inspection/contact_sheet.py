"""preview: samples of a dataset on one image, to look at with one's own eyes."""

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
    from_os_error,
)
from fastpack.files.atomic import atomic_write, check_absent
from fastpack.images.codecs import encode
from fastpack.images.grid import Grid
from fastpack.images.picture import format_of
from fastpack.images.thumbnail import Rgb, as_rgb
from fastpack.reading.reader import Reader

if TYPE_CHECKING:
    from fastpack.inspection.captions import CaptionFont

_CAPTION_HEIGHT = 18


def choose_samples(
    dataset: Reader, count: int, *, seed: int | None = None, per_class: bool = False
) -> npt.NDArray[np.int64]:
    """Numbers of samples to look at: the first `count`, or a random choice that `seed` decides.

    - per_class: that many of each class, class after class.

    Raises OptionError (no labels to tell classes by).

    >>> import fastpack
    >>> choose_samples(fastpack.open(getfixture("digits")), 3).tolist()
    [0, 1, 2]
    """
    numbers = np.arange(len(dataset))
    if per_class:
        labels = dataset.columns.get("label")
        if not isinstance(labels, np.ndarray):
            raise OptionError(
                "the samples have no single label to tell classes by; leave per_class out"
            )
        groups = [numbers[labels == label] for label in np.unique(labels)]
    else:
        groups = [numbers]
    if seed is None:
        return np.concatenate([group[:count] for group in groups])
    random = np.random.default_rng(seed)
    return np.concatenate(
        [random.choice(group, min(count, len(group)), replace=False) for group in groups]
    )


def contact_sheet(
    dataset: Reader,
    rows: Sequence[int] | npt.NDArray[np.integer[Any]],
    *,
    columns: int = 8,
    tile: int = 160,
) -> Rgb:
    """Thumbnails of the given samples, each with its class name (or label, or key) below: RGB, uint8.

    - rows: sample numbers, in the order in which they are shown, from left to right and downwards.
    - columns: thumbnails beside each other.
    - tile: side in pixels of the square that each thumbnail is fitted into, its aspect ratio kept.

    Images are shown as the Reader gives them, so its transform is seen. Raises EmptySourceError (no rows),
    SchemaError (no image field), OptionError, IndexError, and what damaged files raise.
    """
    image_field = dataset.schema.image_field
    if image_field is None:
        raise SchemaError("there is no image field to show")
    if len(rows) == 0:
        raise EmptySourceError("there are no samples to show; give at least one sample number")
    from fastpack.inspection.captions import CaptionFont  # OpenCV takes 0.1 s to import

    grid = Grid(len(rows), columns, tile, _CAPTION_HEIGHT)
    sheet, lettering = grid.blank(), CaptionFont()
    reader = dataset.with_one_depth().with_options(decode=True, color="RGB")
    # One row of the grid at a time, so that memory holds few whole images.
    for first in range(0, len(rows), grid.columns):
        batch = reader.read(rows[first : first + grid.columns])
        for row in range(batch.num_samples):
            sample = batch.sample(row)
            grid.draw(sheet, first + row, as_rgb(sample[image_field.name], image_field))
            _, strip = grid.cell(sheet, first + row)
            lettering.write(strip, _caption(sample, dataset.schema, lettering))
    return sheet


def save_sheet(sheet: Rgb, output: str | Path, *, overwrite: bool = False) -> None:
    """Writes a sheet as the image format that the name ends in, under a temporary name first.

    Raises OptionError (unknown ending), OutputExistsError or UnreadableFileError.
    """
    output = Path(output)
    check_sheet_output(output, overwrite=overwrite)
    data = encode(sheet, format_of(output))
    with atomic_write(output) as temporary:
        try:
            temporary.write_bytes(data)
        except OSError as error:
            raise from_os_error(error, "write", output) from error


def check_sheet_output(output: Path, *, overwrite: bool = False) -> None:
    """Refuses a name that `save_sheet` could not write, before any work is done."""
    format_of(output)
    check_absent([output], overwrite)


def _caption(sample: dict[str, Any], schema: Schema, lettering: "CaptionFont") -> str:
    if "label" not in sample:
        return lettering.drawable(str(sample.get("key", "")).rsplit("/", 1)[-1])
    labels = np.atleast_1d(sample["label"]).tolist()
    return ", ".join(
        lettering.drawable(schema.class_name(label), f"label {label}") for label in labels
    )
