"""`fastpack ls`."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fastpack.cli import terminal
from fastpack.cli.commands import Command
from fastpack.cli.formatting import aligned
from fastpack.cli.options import (
    axes_option,
    dataset_argument,
    folder_options,
    index_dir_option,
    kinds_option,
    names,
    open_dataset,
)
from fastpack.inspection.listing import Listed, list_samples

_MAX_CELL = 40  # letters of a column's value


@click.command(cls=Command)
@dataset_argument
@click.option(
    "-n",
    "--rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="List the first N samples. Default: all.",
)
@click.option("--match", metavar="PATTERN", help="Only samples whose key matches, as 'cat/*'.")
@click.option(
    "--class", "class_name", metavar="NAME", help="Only samples of this class, by name or label."
)
@click.option(
    "--fields",
    metavar="A,B",
    callback=names,
    help="Columns to list beside key, label and size; '' for none. Default: all.",
)
@axes_option
@folder_options
@kinds_option
@index_dir_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON lines: one object for each sample. After a failure, one with an `error`.",
)
def ls(
    paths: tuple[str, ...],
    rows: int | None,
    match: str | None,
    class_name: str | None,
    fields: list[str] | None,
    index_dir: Path | None,
    as_json: bool,
    folder: dict[str, Any],
    **options: Any,
) -> None:
    """List samples.

    Shows key, label, class, columns, size, and the place in the file. Reads no image.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes. It
    may be a URL, such as s3://bucket/train.tfrecord.
    """
    dataset = open_dataset(paths, index_dir, **options, **folder)
    every = list_samples(dataset, match=match, class_name=class_name, fields=fields)
    samples = itertools.islice(every, rows)
    if as_json:
        for sample in samples:
            terminal.emit_line(dataclasses.asdict(sample))
    else:
        click.echo(listed_text(list(samples)))


def listed_text(samples: Sequence[Listed]) -> str:
    """Return a table with a line for each sample."""
    columns = [*samples[0].columns] if samples else []
    place = ("size", "bytes", "format", "file", "record", "byte")
    head = ("sample", "key", "label", "class", *columns, *place)
    return "\n".join(aligned([head, *map(_listed_cells, samples)]))


def _listed_cells(sample: Listed) -> tuple[str, ...]:
    return (
        str(sample.number),
        sample.key or "-",
        ",".join(map(str, sample.labels)) or "-",
        ",".join(sample.class_names) or "-",
        *map(_column_cell, sample.columns.values()),
        f"{sample.width}x{sample.height}",
        str(sample.num_bytes),
        sample.format or "-",
        sample.path,
        str(sample.record),
        "-" if sample.offset is None else str(sample.offset),
    )


def _column_cell(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _MAX_CELL else f"{text[: _MAX_CELL - 2]}.."
