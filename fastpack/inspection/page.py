"""Pages for a browser with samples of a dataset. A page is one file and loads no other."""

import html
import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.bisect import bisect
from fastpack.core.dtypes import Rows
from fastpack.core.schema import Field
from fastpack.errors import EmptySourceError, FastpackError, SchemaError, os_errors_at
from fastpack.files.atomic import atomic_write, check_absent
from fastpack.images.batch import Batch
from fastpack.images.thumbnail import as_rgb, data_uri, fitted
from fastpack.inspection.listing import listed
from fastpack.reading.reader import Reader

_BATCH_SAMPLES = 32


def html_page(
    dataset: Reader,
    rows: Sequence[int] | npt.NDArray[np.integer[Any]],
    *,
    title: str = "",
    tile: int = 256,
) -> str:
    """Make a page of thumbnails with class, key, size and location of each sample.

    Images are shown as the Reader returns them, after its transform. For a damaged image the page
    shows the error. Names come from untrusted files: on the page they are text, never markup.

    Args:
        dataset: the dataset.
        rows: sample numbers, in the order in which they are shown.
        title: title of the page; by default the name of the first file.
        tile: the longer side of each thumbnail in pixels.

    Returns:
        HTML.

    Raises:
        EmptySourceError: there are no rows.
        SchemaError: the dataset has no image field.
        OutOfRangeError: a sample does not exist.
    """
    if dataset.schema.image_field is None:
        raise SchemaError("there is no image field to show")
    numbers = np.asarray(rows, np.int64)
    if len(numbers) == 0:
        raise EmptySourceError("there are no samples to show; give at least one sample number")
    title = title or dataset.shards[0].path.name
    num_files = len(dataset.shards)
    about = (
        f"{len(numbers):,} of {len(dataset):,} samples, {num_files:,} file{'s' * (num_files > 1)}"
    )
    samples = list(_samples(dataset, numbers, tile))
    data = json.dumps({"title": title, "about": about, "samples": samples})
    template = files("fastpack.inspection").joinpath("page.html").read_text(encoding="utf-8")
    head, tail = template.split("$data")
    head = head.replace("$title", html.escape(_encodable(title)))
    # Only "<" could end the element that holds the data.
    return head + data.replace("<", "\\u003c") + tail


def save_page(page: str, output: str | Path, *, overwrite: bool = False) -> None:
    """Write a page, under a temporary name first.

    Raises:
        OutputExistsError: the file exists, and `overwrite` is False.
        UnreadableFileError: the file cannot be written.
    """
    output = Path(output)
    check_absent([output], overwrite)
    with atomic_write(output) as temporary, os_errors_at(output):
        temporary.write_text(page, encoding="utf-8")


def _encodable(text: str) -> str:
    """Replace what is not UTF-8, as file names may have it."""
    return text.encode("utf-8", "replace").decode()


def _samples(dataset: Reader, rows: Rows, tile: int) -> Iterator[dict[str, Any]]:
    reader = dataset.with_one_depth().with_options(decode=True, color="RGB", on_error="mask")
    field = dataset.schema.image_field
    assert field is not None
    for first in range(0, len(rows), _BATCH_SAMPLES):
        numbers = rows[first : first + _BATCH_SAMPLES]
        thumbnails = _thumbnails(reader, numbers, field, tile)
        for row, thumbnail in zip(numbers.tolist(), thumbnails, strict=True):
            yield thumbnail | _facts(dataset, row % len(dataset))


def _thumbnails(reader: Reader, numbers: Rows, field: Field, tile: int) -> Iterator[dict[str, Any]]:
    """Yield the thumbnail of each sample, or its error."""
    for _, batch in bisect(reader.read, numbers):
        if isinstance(batch, FastpackError):
            yield {"src": "", "fault": str(batch)}
        else:
            yield from _thumbnails_of(batch, field, tile)


def _thumbnails_of(batch: Batch, field: Field, tile: int) -> Iterator[dict[str, Any]]:
    faults = iter(batch.failures)
    for i in range(batch.num_samples):
        if batch.mask[i]:
            yield _thumbnail(batch, i, field, tile)
        else:
            yield {"src": "", "fault": str(next(faults))}


def _thumbnail(batch: Batch, i: int, field: Field, tile: int) -> dict[str, Any]:
    pixels = fitted(as_rgb(batch[field.name][i], field), tile, enlarge=False)
    return {"src": data_uri(pixels), "fault": ""}


def _facts(dataset: Reader, row: int) -> dict[str, Any]:
    sample = listed(dataset, row)
    return {
        "number": row,
        "labels": sample.labels,
        "names": sample.class_names,
        "key": sample.key,
        "width": sample.width,
        "height": sample.height,
        "bytes": sample.num_bytes,
        "format": sample.format,
        "location": str(dataset.location(row)),
    }
