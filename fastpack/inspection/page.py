"""page: samples of a dataset on a page for a browser. One file, that loads nothing else."""

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
from fastpack.errors import EmptySourceError, FastpackError, SchemaError, from_os_error
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
    """A page of the given samples: thumbnails with class, key, size and place; to be filtered by class and by name.

    - rows: sample numbers, in the order in which they are shown.
    - title: over the page; the first file's name when it is empty.
    - tile: the longer side of each thumbnail in pixels.

    Images are shown as the Reader gives them, so its transform is seen; one that cannot be decoded is shown as the reason why.
    Names come from anybody's files: on the page they are text, never markup. Raises EmptySourceError, SchemaError or IndexError.
    """
    if dataset.schema.image_field is None:
        raise SchemaError("there is no image field to show")
    numbers = np.asarray(rows, np.int64)
    if len(numbers) == 0:
        raise EmptySourceError("there are no samples to show; give at least one sample number")
    title = title or dataset.index.shards[0].path.name
    about = f"{len(numbers):,} of {len(dataset):,} samples, {len(dataset.index.shards):,} file{'s' * (len(dataset.index.shards) > 1)}"
    data = json.dumps(
        {"title": title, "about": about, "samples": list(_samples(dataset, numbers, tile))}
    )
    before, after = (
        files("fastpack.inspection")
        .joinpath("page.html")
        .read_text(encoding="utf-8")
        .split("$data")
    )
    # "<" is all that could end the element which the data stand in.
    return (
        before.replace("$title", html.escape(_encodable(title)))
        + data.replace("<", "\\u003c")
        + after
    )


def save_page(page: str, output: str | Path, *, overwrite: bool = False) -> None:
    """Writes a page, under a temporary name first. Raises OutputExistsError or UnreadableFileError."""
    output = Path(output)
    check_absent([output], overwrite)
    with atomic_write(output) as temporary:
        try:
            temporary.write_text(page, encoding="utf-8")
        except OSError as error:
            raise from_os_error(error, "write", output) from error


def _encodable(text: str) -> str:
    """File names need not be UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _samples(dataset: Reader, rows: Rows, tile: int) -> Iterator[dict[str, Any]]:
    reader = dataset.with_one_depth().with_options(decode=True, color="RGB", on_error="mask")
    field = dataset.schema.image_field
    assert field is not None
    for first in range(0, len(rows), _BATCH_SAMPLES):
        numbers = rows[first : first + _BATCH_SAMPLES]
        for row, image_field in zip(
            numbers.tolist(), _pictures(reader, numbers, field, tile), strict=True
        ):
            yield image_field | _facts(dataset, row % len(dataset))


def _pictures(reader: Reader, numbers: Rows, field: Field, tile: int) -> Iterator[dict[str, Any]]:
    """The thumbnail of each sample, or the reason why there is none."""
    for _, batch in bisect(reader.read, numbers):
        if isinstance(batch, FastpackError):
            yield {"src": "", "fault": str(batch)}
        else:
            yield from _pictures_of(batch, field, tile)


def _pictures_of(batch: Batch, field: Field, tile: int) -> list[dict[str, Any]]:
    faults = iter(batch.failures)
    return [
        _picture(batch, i, field, tile)
        if batch.mask[i]
        else {"src": "", "fault": str(next(faults))}
        for i in range(batch.num_samples)
    ]


def _picture(batch: Batch, i: int, field: Field, tile: int) -> dict[str, Any]:
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
        "place": str(dataset.location(row)),
    }
