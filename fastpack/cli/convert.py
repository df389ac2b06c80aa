"""`fastpack convert`."""

import dataclasses
from pathlib import Path
from typing import Any

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.commands import Command
from fastpack.cli.options import (
    classes_option,
    dataset_argument,
    float64_option,
    folder_options,
    format_option,
    index_dir_option,
    json_option,
    kinds_option,
    names,
    num_workers_option,
    overwrite_option,
    quiet_option,
    shards_options,
    without_indexes,
)
from fastpack.cli.pack import packed_text


@click.command(cls=Command)
@dataset_argument
@click.argument("output", metavar="OUT")
@format_option
@click.option(
    "--fields",
    metavar="A,B",
    callback=names,
    help="Fields to keep beside image, label and key. Default: all.",
)
@float64_option
@shards_options
@num_workers_option("Threads. Default: one for each core.")
@overwrite_option("Replace all existing files of OUT, as a whole.")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the same conversion after an interruption, also with --overwrite.",
)
@classes_option
@folder_options
@kinds_option
@index_dir_option
@json_option
@quiet_option
def convert(
    paths: tuple[str, ...],
    output: str,
    overwrite: bool,
    resume: bool,
    index_dir: Path | None,
    as_json: bool,
    quiet: bool,
    folder: dict[str, Any],
    kinds: dict[str, str],
    **options: Any,
) -> None:
    """Write a dataset in another format. Image files stay unmodified.

    OUT is the file to write: train.tfrecord, train.h5, or train.tar as WebDataset reads it.
    Without a suffix it is a folder, as `extract` writes it, if that can hold all fields. Fields
    that a format cannot hold are an error before anything is written.

    PATH is a TFRecord (also gzip'ed), HDF5 or tar file, a folder of shards or of images, or a glob
    in quotes. It may be a URL, such as s3://bucket/train.tfrecord.
    """
    with terminal.progress("converting", quiet) as update:
        result = fastpack.convert(
            without_indexes(paths),
            output,
            fastpack.PackOptions(**options, **folder),
            index_dir=index_dir,
            kinds=kinds,
            overwrite=overwrite,
            resume=resume,
            progress=update,
        )
    if as_json:
        terminal.emit(dataclasses.asdict(result))
    elif not quiet:
        click.echo(packed_text(result))
