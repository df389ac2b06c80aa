"""report: what a dataset holds, and what packing and verifying came to, as facts and as text to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.codecs.batch import upright_sizes
from fastpack.headers import FORMATS
from fastpack.pack import Packed
from fastpack.ragged import Ragged
from fastpack.reader import Reader
from fastpack.schema import Field
from fastpack.verify import Verified

# Longer lists are cut in text, never in facts.
_MOST_LINES = 12
_BAR_WIDTH = 20


@dataclass(frozen=True)
class FileFacts:
    path: str
    format: str
    num_samples: int
    num_bytes: int


@dataclass(frozen=True)
class Spread:
    """The least, the middle and the greatest of some numbers."""

    min: int
    median: int
    max: int

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> "Spread":
        return cls(int(values.min()), int(np.median(values)), int(values.max()))

    def __str__(self) -> str:
        return f"{self.min:,}" if self.min == self.max else f"{self.min:,} to {self.max:,} (median {self.median:,})"


@dataclass(frozen=True)
class ImageFacts:
    """Of the images as they stand upright. Widths and heights are None when no header can be read."""

    num_bytes: int
    formats: dict[str, int]
    width: Spread | None
    height: Spread | None


@dataclass(frozen=True)
class ClassFacts:
    label: int
    name: str
    num_samples: int


@dataclass(frozen=True)
class Description:
    """What a dataset holds."""

    files: tuple[FileFacts, ...]
    num_samples: int
    num_bytes: int
    fields: tuple[Field, ...]
    images: ImageFacts | None
    classes: tuple[ClassFacts, ...]


def describe(dataset: Reader) -> Description:
    """The facts of a dataset that its index knows; no image is read."""
    index = dataset.index
    samples_of = np.bincount(index.shard_numbers, minlength=len(index.shards))
    files = tuple(
        FileFacts(str(shard.path), shard.container, int(count), shard.size) for shard, count in zip(index.shards, samples_of, strict=True)
    )
    num_bytes = sum(file.num_bytes for file in files)
    return Description(files, len(dataset), num_bytes, dataset.schema.fields, _image_facts(dataset), _class_facts(dataset))


def _image_facts(dataset: Reader) -> ImageFacts | None:
    picture = dataset.schema.picture
    if picture is None:
        return None
    num_bytes = int(dataset.sizes.sum())
    if picture.kind == "pixels":
        height, width = (*picture.shape, None, None)[:2]
        spreads = [None if side is None else Spread(side, side, side) for side in (width, height)]
        return ImageFacts(num_bytes, {f"{np.dtype(picture.dtype).name} pixels": len(dataset)}, *spreads)
    infos = dataset.index.infos[picture.name]
    counts = np.bincount(infos["format"], minlength=len(FORMATS))
    formats = {name: int(count) for name, count in zip(FORMATS, counts, strict=True) if count}
    widths, heights = upright_sizes(infos[infos["width"] > 0], True, {})
    return ImageFacts(num_bytes, formats, *(Spread.of(sides) if len(sides) else None for sides in (widths, heights)))


def _class_facts(dataset: Reader) -> tuple[ClassFacts, ...]:
    column = dataset.columns.get("label")
    labels = column.values if isinstance(column, Ragged) else column
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        return ()
    values, counts = np.unique(labels, return_counts=True)
    count_of = dict.fromkeys(range(len(dataset.class_names)), 0) | dict(zip(values.tolist(), counts.tolist(), strict=True))
    names = dict(enumerate(dataset.class_names))
    return tuple(ClassFacts(label, names.get(label, ""), count) for label, count in sorted(count_of.items()))


def described_text(facts: Description) -> str:
    """A description to read: a block for each kind of fact."""
    blocks = [
        ("files", [f"{len(facts.files):,}, {readable_size(facts.num_bytes)}", *_file_lines(facts.files)]),
        ("samples", [f"{facts.num_samples:,}"]),
        ("images", _image_lines(facts.images)),
        ("fields", _aligned([("name", "kind", "shape", "dtype", "stored as"), *map(_field_cells, facts.fields)])),
        ("classes", _class_lines(facts.classes)),
    ]
    return "\n".join(f"{title if first else '':<9}{line}" for title, lines in blocks for first, line in _marked(lines))


def _marked(lines: Sequence[str]) -> list[tuple[bool, str]]:
    """Each line, and whether it is the first."""
    return [(number == 0, line) for number, line in enumerate(lines)]


def _file_lines(files: Sequence[FileFacts]) -> list[str]:
    rows = [(file.path, file.format, f"{file.num_samples:,} samples", readable_size(file.num_bytes)) for file in files]
    return _cut(_aligned(rows))


def _image_lines(images: ImageFacts | None) -> list[str]:
    if images is None:
        return ["none"]
    formats = ", ".join(f"{count:,} {name}" for name, count in images.formats.items())
    sides = [("width", images.width), ("height", images.height)]
    spreads = [f"{name} {side}" for name, side in sides if side]
    return [f"{formats or 'none'}, {readable_size(images.num_bytes)}", *spreads]


def _field_cells(field: Field) -> tuple[str, ...]:
    shape = " x ".join("?" if size is None else str(size) for size in field.shape)
    return field.name, field.kind, shape or "-", np.dtype(field.dtype).name if field.dtype else "-", field.source_name


def _class_lines(classes: Sequence[ClassFacts]) -> list[str]:
    if not classes:
        return ["none"]
    counts = Spread.of(np.array([one.num_samples for one in classes]))
    head = f"{len(classes):,}, samples of each: {counts}"
    rows = [
        (str(one.label), one.name or "-", f"{one.num_samples:,}", "#" * round(_BAR_WIDTH * one.num_samples / max(1, counts.max)))
        for one in classes[:_MOST_LINES]
    ]
    more = len(classes) - len(rows)
    return [head, *_aligned(rows), *([f"and {more:,} more"] if more else [])]


def packed_text(packed: Packed) -> str:
    """One line: what was written, where, and how fast."""
    first, *others = packed.paths
    where = f"{first} and {len(others):,} more" if others else str(first)
    rate = packed.num_samples / packed.seconds if packed.seconds else 0
    return printable(
        f"packed {packed.num_samples:,} samples ({readable_size(packed.source_bytes)}) into {where} "
        f"({readable_size(packed.output_bytes)}) in {packed.seconds:.1f} s, {rate:,.0f} samples/s"
    )


def verified_text(verified: Verified) -> str:
    """The last line of a verification, after its problems."""
    seen = f"{_counted(verified.num_samples, 'sample')} in {_counted(verified.num_files, 'file')}"
    return f"{seen}: sound" if verified.is_sound else f"{seen}: {_counted(len(verified.problems), 'problem')}"


def readable_size(num_bytes: int) -> str:
    """A size as people write it, in the units that `parse_size` reads.

    >>> readable_size(22_690_000), readable_size(999_999), readable_size(12)
    ('22.7 MB', '1.0 MB', '12 bytes')
    """
    if num_bytes < 1000:
        return _counted(num_bytes, "byte")
    size = num_bytes / 1000
    for unit in ("kB", "MB", "GB"):
        if size < 999.95:
            return f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def printable(text: str) -> str:
    """`text` on one line, with what a terminal would obey or refuse written as escapes: names come from anybody's files."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, its cells in columns."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cut(lines: list[str]) -> list[str]:
    more = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], f"and {more:,} more"] if more > 0 else lines
