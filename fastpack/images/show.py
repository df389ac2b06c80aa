"""Images of a batch as thumbnails: in a picture, and in HTML for notebooks."""

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Field, Schema
from fastpack.errors import FastpackError, SchemaError
from fastpack.images.codecs import decode
from fastpack.images.grid import Grid
from fastpack.images.headers import probe
from fastpack.images.picture import Picture
from fastpack.images.thumbnail import Rgb, as_rgb, data_uri, fitted

_TILE = 160  # pixels, as the next
_HTML_TILE = 96

# An RGB image, or None for one that was not read or is damaged.
Shown = Rgb | None


def picture_of(images: Sequence[Shown], columns: int) -> Picture:
    """Draw images as a grid of thumbnails; a missing one leaves its square empty."""
    if len(images) == 0:
        raise SchemaError("there are no images to show; read a field of images, and samples")
    grid = Grid(len(images), columns, _TILE)
    sheet = grid.blank()
    for number, pixels in enumerate(images):
        if pixels is not None:
            grid.draw(sheet, number, pixels)
    return Picture(sheet)


def html_grid(images: Iterable[Shown], captions: Iterable[Sequence[str]]) -> str:
    """Return thumbnails side by side, each with its lines of text below, as HTML."""
    figures = "".join(
        f'<figure style="margin:0;width:{_HTML_TILE}px;font-size:11px;overflow-wrap:anywhere">'
        f"{_thumbnail(pixels)}<figcaption>{'<br>'.join(map(escaped, lines))}</figcaption></figure>"
        for pixels, lines in zip(images, captions, strict=True)
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px;margin-top:8px">{figures}</div>'


def _thumbnail(pixels: Shown) -> str:
    if pixels is None:
        return "<em>not read</em>"
    return f'<img alt="" src="{data_uri(fitted(pixels, _HTML_TILE, enlarge=False))}">'


def escaped(text: str) -> str:
    """Return text for HTML; letters that UTF-8 cannot encode become question marks."""
    return html.escape(text.encode("utf-8", "replace").decode())


def caption(fields: Mapping[str, Any], schema: Schema | None, row: int) -> list[str]:
    """Return the class name (or label) and the key of a sample, if the fields have them."""
    lines = []
    if "label" in fields:
        labels = np.atleast_1d(fields["label"][row]).tolist()
        lines.append(", ".join(map(schema.class_name if schema else str, labels)))
    if "key" in fields:
        lines.append(str(fields["key"][row]))
    return lines


def image_name(fields: Mapping[str, Any], schema: Schema | None) -> str | None:
    """Return which field to show: the schema's image field, else the first that has images."""
    field = None if schema is None else schema.image_field
    if field is not None and field.name in fields:
        return field.name
    for num_axes in (4, 3):  # an array without channels may also be a mask
        for name, values in fields.items():
            if _are_images(values, num_axes):
                return name
    return None


def _are_images(values: Any, num_axes: int) -> bool:
    """Whether values are images: decoded ones (n, ...) of `num_axes` axes, or encoded ones."""
    if isinstance(values, Ragged):
        return not isinstance(values, Text) and _are_files(values)
    if isinstance(values, list):
        return len(values) > 0 and np.ndim(values[0]) == num_axes - 1
    return np.ndim(values) == num_axes


def _are_files(rows: Ragged) -> bool:
    filled = np.flatnonzero(rows.lengths)
    if len(filled) == 0 or not isinstance(rows.values, np.ndarray) or rows.values.dtype != np.uint8:
        return False
    try:
        probe(rows.bytes(filled[0]))
    except FastpackError:
        return False
    return True


def images_of(values: Any, field: Field | None, mask: npt.NDArray[np.bool_]) -> Iterator[Shown]:
    """Yield the images of a field as RGB; encoded ones are decoded."""
    for row, is_read in enumerate(mask.tolist()):
        try:
            yield _image(values, row, field) if is_read else None
        except FastpackError:
            yield None


def _image(values: Any, row: int, field: Field | None) -> Rgb:
    if isinstance(values, Ragged):
        return as_rgb(decode(values.bytes(row), bits=8))
    return as_rgb(values[row], field)
