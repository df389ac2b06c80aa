"""listing: the samples of a dataset, from its index. No image is read."""

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import NO_SPAN
from fastpack.core.ragged import Ragged, Text
from fastpack.errors import OptionError
from fastpack.images.headers import FORMATS
from fastpack.reading.expression import kind_of, whole
from fastpack.reading.reader import Reader

# Columns with a place of their own in a listing.
_KNOWN = ("key", "label")


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
    numbers = _chosen(dataset, match, class_name).tolist()
    return (listed(dataset, number, columns) for number in numbers)


def _columns(dataset: Reader, fields: Sequence[str] | None) -> list[str]:
    if fields is None:
        return [field.name for field in dataset.schema.columns if field.name not in _KNOWN]
    if missing := [name for name in fields if name not in dataset.columns]:
        found = ", ".join(dataset.columns) or "none"
        raise OptionError(f"the dataset has no column {missing[0]!r}; its columns are: {found}")
    return [name for name in fields if name not in _KNOWN]


def _chosen(dataset: Reader, match: str | None, class_name: str | None) -> npt.NDArray[np.int64]:
    is_chosen = np.ones(len(dataset), np.bool_)
    if class_name is not None:
        is_chosen &= _of_class(dataset, class_name)
    if match is not None:
        keys = dataset.columns.get("key")
        if keys is None or kind_of(keys) is not Text:
            raise OptionError("the samples have no keys; leave match=... out")
        is_chosen &= np.array([fnmatch.fnmatchcase(key, match) for key in keys], np.bool_)
    return np.flatnonzero(is_chosen)


def _of_class(dataset: Reader, class_name: str) -> npt.NDArray[np.bool_]:
    """Return which samples have the class among their labels."""
    labels = whole(dataset.columns.get("label"))
    flat = labels.values if isinstance(labels, Ragged) else labels
    if not isinstance(flat, np.ndarray):
        raise OptionError("the samples have no labels; leave class_name=... out")
    wanted = [
        label
        for label in np.unique(flat).tolist()
        if class_name in (str(label), dataset.schema.class_name(label))
    ]
    if not wanted:
        raise OptionError(
            f"no sample has the class {class_name!r}; `fastpack info` lists the classes"
        )
    is_wanted = np.isin(flat, wanted)
    if not isinstance(labels, Ragged):
        return is_wanted
    rows = np.repeat(np.arange(len(labels)), labels.lengths)
    return np.bincount(rows, is_wanted, len(labels)) > 0


def listed(dataset: Reader, number: int, columns: Sequence[str] = ()) -> Listed:
    """Return what the index knows about one sample."""
    location, values = dataset.location(number), dataset.columns
    labels = tuple(np.atleast_1d(values["label"][number]).tolist()) if "label" in values else ()
    height, width, format, offset = _image_facts(dataset, number)
    return Listed(
        number=number,
        key=str(values["key"][number]) if "key" in values else "",
        labels=labels,
        class_names=tuple(dataset.schema.class_name(label) for label in labels),
        width=width,
        height=height,
        format=format,
        num_bytes=int(dataset.take([number]).sizes[0]),
        path=str(location.path),
        record=int(location.record or 0),
        offset=offset,
        columns={name: _plain(values[name][number]) for name in columns},
    )


def _image_facts(dataset: Reader, number: int) -> tuple[int, int, str, int | None]:
    """Return height, width, format and offset of a sample's image."""
    image_field = dataset.schema.image_field
    if image_field is None:
        return 0, 0, "", None
    entries = dataset.entries([number])
    span = entries.spans[image_field.name][0]
    offset = None if span["offset"] == NO_SPAN else int(span["offset"])
    if image_field.kind != "image":
        height, width = (*(size or 0 for size in image_field.image_shape), 0, 0)[:2]
        is_pixels = image_field.kind == "pixels"
        dtype = f"{np.dtype(image_field.dtype).name} pixels" if is_pixels else ""
        return height, width, dtype, offset
    info = entries.infos[image_field.name][0]
    height, width = int(info["height"]), int(info["width"])
    if info["orientation"] > 4:  # EXIF: turned by 90 degrees
        height, width = width, height
    format = FORMATS[info["format"]] if info["format"] < len(FORMATS) else "unknown"
    return height, width, format, offset


def _plain(value: Any) -> Any:
    """Return a column's value as Python objects."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
