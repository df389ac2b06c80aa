"""Batch: the arrays that one step receives, or that one write takes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Schema
from fastpack.errors import FastpackError

if TYPE_CHECKING:
    from fastpack.images.picture import Picture
    from fastpack.images.thumbnail import Rgb

_MAX_HTML_IMAGES = 32


class Batch(Mapping[str, Any]):
    """The values of `num_samples` samples by field name.

    - Numbers and fixed-length lists: an array (n,) or (n, k).
    - Text: a Text. Lists of varying length: a Ragged.
    - Images: an array (n, H, W, C), uint8 or as Normalize says; a list of n arrays if sizes differ.
    - Masks: the same without C. Undecoded images: a Ragged of bytes.
    - Lists of images: for each sample an array (k, H, W, C) or a list of k arrays; undecoded, a
      Ragged of Raggeds.

    Args:
        fields: field name -> values; each has `num_samples` of them.
        num_samples: n, the number of samples.
        mask: bool (n,), False for samples that were not read (on_error="mask") and for the
            repeated samples at the end of a loader's last batch (pad_last). None is all True.
        failures: the errors of samples that were not read, in the order of their rows.
        sample_numbers: int64 (n,), the samples' numbers in the reader; None counts from 0.
        schema: the fields' kinds and the class names, if known.

    Attributes:
        epoch, step: when a loader gave the batch. 0 for other batches.
        position: of the step's first sample, in the epoch's order over all ranks.

    Raises:
        ValueError: A field does not have `num_samples` values.
        OptionError: `num_samples` is not an integer of at least 0.

    Example:
        >>> batch = Batch({"label": np.array([3, 4])}, 2)
        >>> batch["label"].tolist(), batch.num_samples, list(batch)
        ([3, 4], 2, ['label'])
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        num_samples: int,
        *,
        mask: npt.NDArray[np.bool_] | None = None,
        failures: Sequence[FastpackError] = (),
        sample_numbers: npt.NDArray[np.int64] | None = None,
        schema: Schema | None = None,
    ) -> None:
        num_samples = checks.integer("num_samples", num_samples, 0)
        for name, values in fields.items():
            if len(values) != num_samples:
                raise ValueError(f"field {name!r} has {len(values)} values, not {num_samples}")
        self._fields = dict(fields)
        self.num_samples = num_samples
        self.mask = np.ones(num_samples, np.bool_) if mask is None else mask
        self.failures = tuple(failures)
        self.sample_numbers = np.arange(num_samples) if sample_numbers is None else sample_numbers
        self.schema = schema
        self.epoch = self.step = self.position = 0

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        """The number of fields, as for every mapping; `num_samples` counts the samples."""
        return len(self._fields)

    def sample(self, i: int) -> dict[str, Any]:
        """Return sample i: field name -> array, number, str or bytes."""
        return {name: _one(values, i) for name, values in self._fields.items()}

    def show(self, columns: int = 8, max_images: int = 64) -> "Picture":
        """Draw the first images as a grid of thumbnails, which a notebook displays.

        uint8 images are drawn as they are, as RGB. Other dtypes, such as normalized
        floats, are stretched from each image's own minimum and maximum to 0 and 255. Encoded
        images are decoded. A sample that was not read leaves its square empty.

        Args:
            columns: thumbnails side by side.
            max_images: at most so many samples are drawn.

        Returns:
            A Picture; its `pixels` are uint8 (height, width, 3), and `save` writes a file.

        Raises:
            SchemaError: The batch has no images.
            OptionError: A number is not a positive integer.

        Example:
            >>> Batch({"image": np.zeros((3, 8, 8, 3), np.uint8)}, 3).show(columns=2)
            Picture(344 x 344)
        """
        from fastpack.images.show import picture_of  # late, as below: `import fastpack` stays fast

        return picture_of(self._images(checks.integer("max_images", max_images, 1)), columns)

    def _images(self, max_images: int) -> "list[Rgb | None]":
        """The first images as RGB; an empty list if the batch has none."""
        from fastpack.images.show import image_name, images_of

        name = image_name(self, self.schema)
        if name is None:
            return []
        is_known = self.schema is not None and name in self.schema
        field = self.schema[name] if self.schema is not None and is_known else None
        return list(images_of(self[name], field, self.mask[:max_images]))

    def __repr__(self) -> str:
        parts = [f"{name} {_describe(values)}" for name, values in self._fields.items()]
        failed = f"; {len(self.failures)} failed" if self.failures else ""
        samples = "sample" if self.num_samples == 1 else "samples"
        return f"Batch({self.num_samples} {samples}: {', '.join(parts) or 'no fields'}{failed})"

    def _repr_html_(self) -> str:
        """Return the `repr`, and thumbnails of the first images with class and key."""
        from fastpack.images.show import caption, escaped, html_grid

        images = self._images(_MAX_HTML_IMAGES)
        captions = [caption(self, self.schema, row) for row in range(len(images))]
        grid = html_grid(images, captions) if images else ""
        return f"<code>{escaped(repr(self))}</code>{grid}"


def with_failures(
    fields: dict[str, Any],
    rows: npt.NDArray[np.int64],
    failures: Mapping[int, FastpackError],
    *,
    skips: bool,
    schema: Schema | None = None,
) -> Batch:
    """Return the batch of the samples `rows`; failed ones are left out or have a False mask.

    `failures` has the errors by position in `rows`.
    """
    errors = [failures[row] for row in sorted(failures)]
    mask = np.ones(len(rows), np.bool_)
    mask[list(failures)] = False
    if not skips or not failures:
        return Batch(
            fields, len(rows), mask=mask, failures=errors, sample_numbers=rows, schema=schema
        )
    good = np.flatnonzero(mask)
    kept = {name: _take(values, good) for name, values in fields.items()}
    return Batch(kept, len(good), failures=errors, sample_numbers=rows[good], schema=schema)


def _take(values: Any, rows: npt.NDArray[np.int64]) -> Any:
    if isinstance(values, Ragged):
        return values.take(rows)
    return [values[row] for row in rows] if isinstance(values, list) else values[rows]


def _one(values: Any, i: int) -> Any:
    if isinstance(values, Text):
        return values[i]
    if isinstance(values, Ragged):
        if type(values.values) is Ragged:  # a list of blobs
            return [values[i].bytes(row) for row in range(len(values[i]))]
        is_bytes = isinstance(values.values, np.ndarray) and values.values.dtype == np.uint8
        return values.bytes(i) if is_bytes else values[i]
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return values[i].item()
    return values[i]


def _describe(values: Any) -> str:
    """Dtype and shape; `*` is a length that differs from row to row."""
    if isinstance(values, list):
        return f"list of {len(values)} arrays"
    shape: list[str] = [str(len(values))]
    while isinstance(values, Ragged) and not isinstance(values, Text):
        values = values.values
        shape.append("*")
    dtype = "text" if isinstance(values, Text) else str(values.dtype)
    shape += map(str, np.shape(values)[1:] if isinstance(values, np.ndarray) else ())
    return f"{dtype} ({', '.join(shape)}{',' * (len(shape) == 1)})"
