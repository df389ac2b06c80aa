"""Facts about a dataset: files, images, classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Ragged
from fastpack.core.schema import Field
from fastpack.formats.registry import explain
from fastpack.images.decode import upright_sizes
from fastpack.images.headers import FORMATS
from fastpack.inspection.counting import ValueCounts
from fastpack.reading.reader import Reader


@dataclass(frozen=True)
class FileFacts:
    """A file of a dataset."""

    path: str
    format: str
    num_samples: int
    num_bytes: int


@dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum of numbers."""

    min: int
    median: int
    max: int

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> "Spread":
        return cls(int(values.min()), int(np.median(values)), int(values.max()))

    @classmethod
    def of_counts(cls, counts: ValueCounts) -> "Spread | None":
        """Return the spread of counted values; None without values."""
        values, _ = counts.found()
        return cls(int(values[0]), counts.median(), int(values[-1])) if len(values) else None

    def __str__(self) -> str:
        if self.min == self.max:
            return f"{self.min:,}"
        return f"{self.min:,} to {self.max:,} (median {self.median:,})"


@dataclass(frozen=True)
class ImageFacts:
    """Facts of upright images. Width and height are None if no header can be read."""

    num_bytes: int
    formats: dict[str, int]
    width: Spread | None
    height: Spread | None


@dataclass(frozen=True)
class ClassFacts:
    """A class and its number of samples."""

    label: int
    name: str
    num_samples: int


@dataclass(frozen=True)
class Description:
    """Facts of a dataset.

    Args:
        arrays: how each HDF5 array of the first file is read, or why it is left out.
    """

    files: tuple[FileFacts, ...]
    num_samples: int
    num_bytes: int
    fields: tuple[Field, ...]
    images: ImageFacts | None
    classes: tuple[ClassFacts, ...]
    arrays: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def describe(dataset: Reader) -> Description:
    """Return the facts in the index and the first file of a dataset. Reads no image."""
    files = tuple(
        FileFacts(str(shard.path), shard.container, count, shard.size)
        for shard, count in dataset.shard_counts()
    )
    num_bytes = sum(file.num_bytes for file in files)
    arrays = tuple(explain(dataset.shards[0].path))
    facts = _image_facts(dataset), _class_facts(dataset), arrays, dataset.notes
    return Description(files, len(dataset), num_bytes, dataset.schema.fields, *facts)


def _image_facts(dataset: Reader) -> ImageFacts | None:
    image_field = dataset.schema.image_field
    if image_field is None:
        return None
    num_bytes = dataset.stored_bytes
    if image_field.kind == "pixels":
        height, width = (*image_field.image_shape, None, None)[:2]
        spreads = [None if side is None else Spread(side, side, side) for side in (width, height)]
        return ImageFacts(
            num_bytes, {f"{np.dtype(image_field.dtype).name} pixels": len(dataset)}, *spreads
        )
    counts, widths, heights = np.zeros(len(FORMATS), np.int64), ValueCounts(), ValueCounts()
    for entries in dataset.entry_blocks([image_field.name]):
        infos = entries.infos[image_field.name]
        counts += np.bincount(infos["format"], minlength=len(FORMATS))
        sides = upright_sizes(infos[infos["width"] > 0], True, {})
        for side, values in zip((widths, heights), sides, strict=True):
            side.add(values)
    formats = {name: int(count) for name, count in zip(FORMATS, counts, strict=True) if count}
    return ImageFacts(num_bytes, formats, Spread.of_counts(widths), Spread.of_counts(heights))


def _class_facts(dataset: Reader) -> tuple[ClassFacts, ...]:
    if "label" not in dataset.columns or dataset.schema["label"].list_length is not None:
        return ()  # such as a score for each class
    found = ValueCounts()
    for entries in dataset.entry_blocks(["label"]):
        column = entries.columns["label"]
        labels = column.values if isinstance(column, Ragged) else column
        if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
            return ()
        found.add(labels)
    values, counts = found.found()
    count_of = dict.fromkeys(range(len(dataset.class_names)), 0) | dict(
        zip(values.tolist(), counts.tolist(), strict=True)
    )
    names = dict(enumerate(dataset.class_names))
    return tuple(
        ClassFacts(label, names.get(label, ""), count) for label, count in sorted(count_of.items())
    )
