"""listing: the samples of a dataset one by one, by what the index knows. No image is read."""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import NO_SPAN
from fastpack.core.ragged import Ragged, Text
from fastpack.errors import OptionError
from fastpack.images.headers import FORMATS
from fastpack.reading.reader import Reader


@dataclass(frozen=True)
class Listed:
    """One sample.

    - number: its place in the dataset.
    - key, labels, class_names: "" and () where the dataset has none; a sample may have several labels.
    - width, height: in pixels, upright; 0 where the header cannot be read.
    - num_bytes: of the stored image.
    - path, record, offset: the file, which of its records, and at which byte the image is; None where it has no place of its own.
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


def list_samples(
    dataset: Reader, *, match: str | None = None, class_name: str | None = None
) -> Iterator[Listed]:
    """Each sample in turn.

    - match: only keys that fit this pattern, as a shell has it: "cat/*".
    - class_name: only this class, by its name or its label.

    Raises OptionError when there are no keys to match, or no class of that name.

    >>> import fastpack
    >>> [listed.number for listed in list_samples(fastpack.open(getfixture("digits")), class_name="7")]
    [7]
    """
    for number in _chosen(dataset, match, class_name).tolist():
        yield listed(dataset, number)


def _chosen(dataset: Reader, match: str | None, class_name: str | None) -> npt.NDArray[np.int64]:
    is_chosen = np.ones(len(dataset), np.bool_)
    if class_name is not None:
        is_chosen &= _of_class(dataset, class_name)
    if match is not None:
        keys = dataset.columns.get("key")
        if not isinstance(keys, Text):
            raise OptionError("the samples have no keys to match")
        is_chosen &= np.array([fnmatch.fnmatchcase(key, match) for key in keys], np.bool_)
    return np.flatnonzero(is_chosen)


def _of_class(dataset: Reader, class_name: str) -> npt.NDArray[np.bool_]:
    labels = dataset.columns.get("label")
    flat = labels.values if isinstance(labels, Ragged) else labels
    if not isinstance(flat, np.ndarray):
        raise OptionError("the samples have no labels")
    wanted = [
        label
        for label in np.unique(flat).tolist()
        if class_name in (str(label), dataset.schema.class_name(label))
    ]
    if not wanted:
        raise OptionError(
            f"no sample is of the class {class_name!r}; `fastpack info` lists the classes"
        )
    is_wanted = np.isin(flat, wanted)
    if isinstance(labels, Ragged):
        return (
            np.bincount(np.repeat(np.arange(len(labels)), labels.lengths), is_wanted, len(labels))
            > 0
        )
    return is_wanted


def listed(dataset: Reader, number: int) -> Listed:
    """What is known of one sample."""
    image_field, location, columns = (
        dataset.schema.image_field,
        dataset.location(number),
        dataset.columns,
    )
    labels = tuple(np.atleast_1d(columns["label"][number]).tolist()) if "label" in columns else ()
    width = height = 0
    format, offset = "", None
    if image_field is not None:
        span = dataset.index.spans[image_field.name][number]
        offset = None if span["offset"] == NO_SPAN else int(span["offset"])
        format = (
            f"{np.dtype(image_field.dtype).name} pixels" if image_field.kind == "pixels" else ""
        )
        height, width = (*(size or 0 for size in image_field.image_shape), 0, 0)[:2]
    if image_field is not None and image_field.kind == "image":
        info = dataset.index.infos[image_field.name][number]
        height, width = _upright(int(info["height"]), int(info["width"]), int(info["orientation"]))
        format = FORMATS[info["format"]] if info["format"] < len(FORMATS) else "unknown"
    return Listed(
        number,
        str(columns["key"][number]) if "key" in columns else "",
        labels,
        tuple(dataset.schema.class_name(label) for label in labels),
        width,
        height,
        format,
        int(dataset.sizes[number]),
        str(location.path),
        int(location.record or 0),
        offset,
    )


def _upright(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Height and width once an EXIF orientation is undone."""
    return (width, height) if orientation > 4 else (height, width)
