"""`fastpack info`."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from fastpack.cli import terminal
from fastpack.cli.commands import Command
from fastpack.cli.formatting import BAR_WIDTH, MAX_LINES, aligned, cut, in_blocks
from fastpack.cli.options import (
    axes_option,
    dataset_argument,
    folder_options,
    index_dir_option,
    json_option,
    kinds_option,
    open_dataset,
)
from fastpack.core import Field
from fastpack.core.plural import counted
from fastpack.core.units import readable_size
from fastpack.inspection.decoders import DecoderUsage, decoder_usage
from fastpack.inspection.describe import (
    ClassFacts,
    Description,
    FileFacts,
    ImageFacts,
    Spread,
    describe,
)
from fastpack.inspection.statistics import Bin, ImageStatistics, image_statistics


@click.command(cls=Command)
@dataset_argument
@axes_option
@folder_options
@kinds_option
@index_dir_option
@json_option
def info(
    paths: tuple[str, ...],
    index_dir: Path | None,
    as_json: bool,
    folder: dict[str, Any],
    **options: Any,
) -> None:
    """Show what a dataset contains.

    Lists files, samples, fields, classes, sizes and kinds of images, and the decoder of each kind.
    For the decoders it reads at most 1,000 images. It decodes none.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes. It
    may be a URL, such as s3://bucket/train.tfrecord.
    """
    dataset = open_dataset(paths, index_dir, **options, **folder)
    description = describe(dataset)
    statistics, decoders = image_statistics(dataset), decoder_usage(dataset)
    if as_json:
        terminal.emit(
            dataclasses.asdict(description)
            | {
                "statistics": statistics and dataclasses.asdict(statistics),
                "decoders": decoders and dataclasses.asdict(decoders),
            }
        )
        return
    click.echo(described_text(description))
    if statistics:
        click.echo(statistics_text(statistics))
    if decoders:
        click.echo(decoders_text(decoders))


def described_text(facts: Description) -> str:
    """Format a description: a block for each kind of fact."""
    head = f"{len(facts.files):,}, {readable_size(facts.num_bytes)}"
    blocks = [
        ("files", [head, *_file_lines(facts.files)]),
        ("samples", [f"{facts.num_samples:,}"]),
        ("images", _image_lines(facts.images)),
        ("fields", field_lines(facts.fields)),
        ("arrays", list(facts.arrays)),
        ("classes", _class_lines(facts.classes)),
    ]
    return in_blocks([(title, lines) for title, lines in blocks if lines])


def _file_lines(files: Sequence[FileFacts]) -> list[str]:
    rows = [
        (file.path, file.format, counted(file.num_samples, "sample"), readable_size(file.num_bytes))
        for file in files
    ]
    return cut(aligned(rows))


def _image_lines(images: ImageFacts | None) -> list[str]:
    if images is None:
        return ["none"]
    formats = ", ".join(f"{count:,} {name}" for name, count in images.formats.items())
    sides = [("width", images.width), ("height", images.height)]
    spreads = [f"{name} {side}" for name, side in sides if side]
    return [f"{formats or 'none'}, {readable_size(images.num_bytes)}", *spreads]


def field_lines(fields: Sequence[Field]) -> list[str]:
    """Return a table of fields."""
    return aligned([("name", "kind", "shape", "dtype", "stored as"), *map(_field_cells, fields)])


def _field_cells(field: Field) -> tuple[str, ...]:
    shape = " x ".join("?" if size is None else str(size) for size in field.shape)
    dtype = np.dtype(field.dtype).name if field.dtype else "-"
    return field.name, field.kind, shape or "-", dtype, field.source_name


def _class_lines(classes: Sequence[ClassFacts]) -> list[str]:
    if not classes:
        return ["none"]
    counts = Spread.of(np.array([one.num_samples for one in classes]))
    rows = [
        (
            str(one.label),
            one.name or "-",
            f"{one.num_samples:,}",
            "#" * round(BAR_WIDTH * one.num_samples / max(1, counts.max)),
        )
        for one in classes[:MAX_LINES]
    ]
    more = len(classes) - len(rows)
    lines = [f"{len(classes):,}, samples of each: {counts}", *aligned(rows)]
    return [*lines, f"and {more:,} more"] if more else lines


def statistics_text(statistics: ImageStatistics) -> str:
    """Format sizes and kinds of images as blocks."""
    sizes = [f"{size.width} x {size.height}: {size.num_images:,}" for size in statistics.sizes]
    if more := statistics.num_sizes - len(sizes):
        sizes.append(f"and {counted(more, 'other')}")
    kinds = [f"{count:,} {trait}" for trait, count in statistics.traits.items()]
    blocks = [
        ("pixels", _bin_lines(statistics.pixels, lambda value: f"{value:,}")),
        ("bytes", _bin_lines(statistics.stored_bytes, readable_size)),
        ("sizes", [", ".join(sizes) or "none"]),
        ("kinds", [", ".join(kinds) or "nothing unusual"]),
    ]
    return in_blocks(blocks)


def _bin_lines(bins: Sequence[Bin], formatted: Callable[[int], str]) -> list[str]:
    highest = max((one.num_images for one in bins), default=1)
    rows = [
        (
            formatted(one.first),
            f"{one.num_images:,}",
            "#" * math.ceil(BAR_WIDTH * one.num_images / highest),
        )
        for one in bins
    ]
    return [f"from {line}" for line in aligned(rows)] if rows else ["none"]


def decoders_text(decoders: DecoderUsage) -> str:
    """Format which decoder takes how many images, and why, as a block."""
    rows = [("own decoder", decoders.ours, "")]
    rows += [("libjpeg-turbo", count, reason) for reason, count in decoders.libjpeg.items()]
    rows += [("OpenCV", count, format) for format, count in decoders.others.items()]
    rows += [("none", decoders.num_unreadable, "unreadable")]
    shares = [
        (name, f"{100 * count / decoders.num_sampled:.1f}%", why)
        for name, count, why in rows
        if count
    ]
    lines = aligned(shares)
    if decoders.num_sampled < decoders.num_images:
        sampled = f"{decoders.num_sampled:,} of {decoders.num_images:,} images"
        lines.insert(0, f"by the headers of {sampled}")
    if decoders.num_odd:
        lines.append(f"odd but complete: {decoders.num_odd:,}")
    return in_blocks([("decoders", lines)])
