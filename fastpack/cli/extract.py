"""`fastpack extract`."""

import dataclasses
from pathlib import Path
from typing import Any

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.commands import Command
from fastpack.cli.formatting import printable
from fastpack.cli.options import (
    dataset_argument,
    folder_options,
    index_dir_option,
    json_option,
    kinds_option,
    open_dataset,
    overwrite_option,
    quiet_option,
)
from fastpack.core.plural import counted
from fastpack.core.units import readable_size
from fastpack.packing import ExtractResult


@click.command(cls=Command)
@dataset_argument
@click.argument("output", metavar="DIR")
@click.option("--field", help="Field whose files to write. Default: the images.")
@overwrite_option("Replace existing files.")
@folder_options
@kinds_option
@index_dir_option
@json_option
@quiet_option
def extract(
    paths: tuple[str, ...],
    output: str,
    field: str | None,
    overwrite: bool,
    index_dir: Path | None,
    as_json: bool,
    quiet: bool,
    folder: dict[str, Any],
    kinds: dict[str, str],
) -> None:
    """Write the files of a dataset into a folder or tar.

    The files are copied byte for byte. Each is named by its key, or by its number if there are no
    keys. DIR is created if it is missing. No file is written outside it.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes. It
    may be a URL, such as s3://bucket/train.tfrecord.
    """
    dataset = open_dataset(paths, index_dir, save_index=False, kinds=kinds, **folder)
    with terminal.progress("extracting", quiet) as update:
        result = fastpack.extract(
            dataset, output, field=field, overwrite=overwrite, progress=update
        )
    if as_json:
        terminal.emit(dataclasses.asdict(result))
    elif not quiet:
        click.echo(extracted_text(result))


def extracted_text(result: ExtractResult) -> str:
    """Summarize an extraction."""
    files = f"{counted(result.num_files, 'file')} ({readable_size(result.num_bytes)})"
    return printable(f"{files} in {result.folder}")
