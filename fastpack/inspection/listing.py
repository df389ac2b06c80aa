"""listing: the samples of a dataset, from its index. No image is read."""

import fnmatch
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import NO_SPAN, Rows
from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Schema
from fastpack.errors import OptionError
from fastpack.formats.index.index import Index
from fastpack.images.headers import FORMATS
from fastpack.reading.expression import kind_of
from fastpack.reading.reader import Reader

# Columns with a place of their own in a listing.
_KNOWN = ("key", "label")
_BLOCK_ROWS = 1024  # samples that are read at once


@dataclass(frozen=True)
class Listed:
    """One sample.

    Args:
        number: number of the sample in the dataset, from 0.
        key: "" if the dataset has no keys.
        labels: labels of the sample; empty if the dataset has none.
        class_names: their names.
        width: in pixels, upright; 0 if the header cannot be read.
        height: likewise.
        format: format of the image file, or dtype of stored pixels.
        num_bytes: bytes of the stored image.
        path: the file.
        record: number of the record in the file, from 0.
        offset: byte of the image in the file; None if it is compressed with others.
        columns: name -> value of the dataset's other columns.
    """

    number: int
    key: str
    labels: tuple[Any, ...]
    class_names: tuple[str, ...]
    width: int
    height: int
    format: str
    num_bytes: int
    path: str
    record: int
    offset: int | None
    columns: dict[str, Any] = field(default_factory=dict)


def list_samples(
    dataset: Reader,
    *,
    match: str | None = None,
    class_name: str | None = None,
    fields: Sequence[str] | None = None,
) -> Iterator[Listed]:
    """Return an iterator over the samples.

    Args:
        dataset: the dataset.
        match: list only keys that match this shell pattern, such as "cat/*".
        class_name: list only this class, by its name or label.
        fields: columns to list beside key and label, also facts of the image's header, such as
            "progressive"; None lists the columns of the dataset.

    Raises:
        OptionError: there are no keys to match, or no such class or column.

    Example:
        >>> import fastpack
        >>> dataset = fastpack.open(getfixture("digits"))
        >>> [listed.number for listed in list_samples(dataset, class_name="7")]
        [7]
    """
    columns = _columns(dataset, fields)
    if match is None and class_name is None:
        blocks = _all_numbers(dataset)
    else:
        blocks = _chosen(dataset, match, class_name)
    return itertools.chain.from_iterable(_listed(dataset, rows, columns) for rows in blocks)


def _all_numbers(dataset: Reader) -> Iterator[Rows]:
    for first in range(0, len(dataset), _BLOCK_ROWS):
        yield np.arange(first, min(first + _BLOCK_ROWS, len(dataset)))


def _columns(dataset: Reader, fields: Sequence[str] | None) -> list[str]:
    if fields is None:
        return [field.name for field in dataset.schema.columns if field.name not in _KNOWN]
    if missing := [name for name in fields if name not in dataset.columns]:
        found = ", ".join(dataset.columns) or "none"
        raise OptionError(f"the dataset has no column {missing[0]!r}; its columns are: {found}")
    return [name for name in fields if name not in _KNOWN]


def _chosen(dataset: Reader, match: str | None, class_name: str | None) -> Iterator[Rows]:
    """Return blocks of the numbers that match. Reads blocks of the columns in question only.

    Raises OptionError if there are no keys to match, or no such class.
    """
    keys = dataset.columns.get("key")
    if match is not None and (keys is None or kind_of(keys) is not Text):
        raise OptionError("the samples have no keys; leave match=... out")
    if class_name is None:
        return _matching(dataset, match, None)
    if not _has_labels(dataset):
        raise OptionError("the samples have no labels; leave class_name=... out")
    if next(_matching(dataset, None, class_name), None) is None:
        raise OptionError(
            f"no sample has the class {class_name!r}; `fastpack info` lists the classes"
        )
    return _matching(dataset, match, class_name)


def _has_labels(dataset: Reader) -> bool:
    if "label" not in dataset.columns:
        return False
    labels = dataset.columns["label"].prototype()
    return isinstance(labels.values if isinstance(labels, Ragged) else labels, np.ndarray)


def _matching(dataset: Reader, match: str | None, class_name: str | None) -> Iterator[Rows]:
    """Yield the numbers that match, in blocks; none is empty."""
    first = 0
    names = [name for name, used in (("key", match), ("label", class_name)) if used is not None]
    for entries in dataset.entry_blocks(names):
        is_chosen = np.ones(len(entries), np.bool_)
        if class_name is not None:
            is_chosen &= _of_class(entries.columns["label"], dataset.schema, class_name)
        if match is not None:
            keys = entries.columns["key"]
            is_chosen &= np.array([fnmatch.fnmatchcase(key, match) for key in keys], np.bool_)
        rows = np.flatnonzero(is_chosen) + first
        for begin in range(0, len(rows), _BLOCK_ROWS):
            yield rows[begin : begin + _BLOCK_ROWS]
        first += len(entries)


def _of_class(labels: Any, schema: Schema, class_name: str) -> npt.NDArray[np.bool_]:
    """Return which samples have the class among their labels."""
    flat = labels.values if isinstance(labels, Ragged) else labels
    wanted = [
        label
        for label in np.unique(flat).tolist()
        if class_name in (str(label), schema.class_name(label))
    ]
    is_wanted = np.isin(flat, wanted)
    if not isinstance(labels, Ragged):
        return is_wanted
    rows = np.repeat(np.arange(len(labels)), labels.lengths)
    return np.bincount(rows, is_wanted, len(labels)) > 0


def _listed(dataset: Reader, rows: Rows, columns: Sequence[str]) -> Iterator[Listed]:
    """Yield samples that are read at once."""
    entries = dataset.entries(rows)
    return (_sample(entries, row, number, columns) for row, number in enumerate(rows.tolist()))


def listed(dataset: Reader, number: int, columns: Sequence[str] = ()) -> Listed:
    """Return what the index knows about one sample."""
    return next(_listed(dataset, np.array([number]), columns))


def _sample(entries: Index, row: int, number: int, columns: Sequence[str]) -> Listed:
    location, values, schema = entries.location(row), entries.columns, entries.schema
    labels = tuple(np.atleast_1d(values["label"][row]).tolist()) if "label" in values else ()
    height, width, format, offset = _image_facts(entries, row)
    return Listed(
        number=number,
        key=str(values["key"][row]) if "key" in values else "",
        labels=labels,
        class_names=tuple(schema.class_name(label) for label in labels),
        width=width,
        height=height,
        format=format,
        num_bytes=_num_bytes(entries, row),
        path=str(location.path),
        record=int(location.record or 0),
        offset=offset,
        columns={name: _plain(_value(entries, row, name)) for name in columns},
    )


def _num_bytes(entries: Index, row: int) -> int:
    """Return the bytes of a sample's main image; without one, of all blobs."""
    image_field = entries.schema.image_field
    blobs = entries.schema.blobs if image_field is None else [image_field]
    return sum(int(entries.spans[blob.name][row]["length"].sum()) for blob in blobs)


def _value(entries: Index, row: int, name: str) -> Any:
    """Return a column's value, or a fact of the main image's header."""
    if name in entries.columns:
        return entries.columns[name][row]
    image_field = entries.schema.image_field
    assert image_field is not None
    return entries.infos[image_field.name][row][name]


def _image_facts(entries: Index, row: int) -> tuple[int, int, str, int | None]:
    """Return height, width, format and offset of a sample's image."""
    image_field = entries.schema.image_field
    if image_field is None:
        return 0, 0, "", None
    span = entries.spans[image_field.name][row]
    offset = None if span["offset"] == NO_SPAN else int(span["offset"])
    if image_field.kind != "image":
        height, width = (*(size or 0 for size in image_field.image_shape), 0, 0)[:2]
        is_pixels = image_field.kind == "pixels"
        dtype = f"{np.dtype(image_field.dtype).name} pixels" if is_pixels else ""
        return height, width, dtype, offset
    info = entries.infos[image_field.name][row]
    height, width = int(info["height"]), int(info["width"])
    if info["orientation"] > 4:  # EXIF: turned by 90 degrees
        height, width = width, height
    format = FORMATS[info["format"]] if info["format"] < len(FORMATS) else "unknown"
    return height, width, format, offset


def _plain(value: Any) -> Any:
    """Return a column's value as Python objects."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
