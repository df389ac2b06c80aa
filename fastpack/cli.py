"""The command line: `fastpack pack`, `info`, `verify` and `preview`, each thin over the function of that name.

Results go to stdout; progress and errors to stderr.
"""

import contextlib
import dataclasses
import glob
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

import fastpack
from fastpack.errors import EmptySourceError, FastpackError, OptionError, OutputExistsError
from fastpack.index import is_index
from fastpack.preview import check_sheet_output, contact_sheet, save_sheet
from fastpack.report import describe, described_text, packed_text, printable, readable_size, verified_text
from fastpack.sources import Source
from fastpack.sources.table import TABLE_SUFFIXES

EXIT_DATA, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
# What the user asked for makes no sense, whatever the data.
_USAGE_ERRORS = (OptionError, OutputExistsError)
_EPILOG = """\b
Exit status:
  0    all is well
  1    the data cannot be used, or `verify` found problems
  2    the command cannot be obeyed: an unknown option, a bad value,
       an input that is not there, an output that is there already
  130  interrupted; nothing half-written is left"""

Command = TypeVar("Command", bound=Callable[..., Any])


class _Commands(click.Group):
    """Turns what a command raises into one line on stderr, an exit status and, with --json, an object on stdout."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Looked for by hand: the error may be that the options cannot be parsed.
        ctx.meta["json"] = "--json" in args
        with _errors_told(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _errors_told(ctx):
            return super().invoke(ctx)


@contextlib.contextmanager
def _errors_told(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        _emit_error(ctx, error, error.format_message())
        raise  # click prints the usage
    except FastpackError as error:
        message = str(error.args[-1])  # an OSError's own text would begin with its number
        _emit_error(ctx, error, message)
        click.echo(f"fastpack: {printable(message)}", err=True)
        ctx.exit(EXIT_USAGE if isinstance(error, _USAGE_ERRORS) else EXIT_DATA)
    except KeyboardInterrupt as error:
        _emit_error(ctx, error, "interrupted")
        click.echo("fastpack: interrupted", err=True)
        ctx.exit(EXIT_INTERRUPTED)


def _emit_error(ctx: click.Context, error: BaseException, message: str) -> None:
    if ctx.meta["json"]:
        _emit({"error": message, "error_type": type(error).__name__})


def _emit(facts: dict[str, Any]) -> None:
    # JSON's escapes carry names that are no UTF-8 or that a terminal would obey.
    click.echo(json.dumps(facts, default=str, indent=2))


@contextlib.contextmanager
def _progress(description: str, quiet: bool) -> Iterator[Callable[..., None]]:
    """A bar on stderr, when that is a terminal; gives the function that moves it."""
    if quiet or not sys.stderr.isatty():
        yield lambda **changes: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[done]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None, done="")
        yield lambda **changes: bar.update(task, **changes)


def _existing(ctx: click.Context, parameter: click.Parameter, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    for path in [value] if isinstance(value, str) else value:
        if not os.path.exists(path) and not glob.glob(path):
            raise click.BadParameter(f"{path!r} is not there, and no file matches it", ctx, parameter)
    return value


def _image_size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | tuple[int, int] | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", value.lower())
    if not match:
        raise click.BadParameter(f"{value!r} is no size; write HEIGHTxWIDTH, such as 224x320, or one number", ctx, parameter)
    return (int(match[1]), int(match[2])) if match[2] else int(match[1])


def _dataset_argument(command: Command) -> Command:
    return click.argument("paths", metavar="PATH...", nargs=-1, required=True, callback=_existing)(command)


def _json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout; on failure it has an `error`.")(command)


def _quiet_option(command: Command) -> Command:
    return click.option("-q", "--quiet", is_flag=True, help="Show no progress, and print no summary when all is well.")(command)


@click.group(cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(fastpack.__version__, prog_name="fastpack")
def main() -> None:
    """Packs piles of images into standard TFRecord and HDF5 files, and looks into such files."""


# The options are the fields of PackOptions, under the same names, and go there together.
@main.command(epilog=_EPILOG)
@click.argument("src", callback=_existing)
@click.option("-o", "--output", required=True, metavar="OUT", help="The file to write, such as train.tfrecord or train.h5.")
@click.option("--format", type=click.Choice(["tfrecord", "hdf5"]), help="What to write; by default the ending of OUT says it.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "encoded", "pixels"]),
    default="auto",
    help="Of HDF5: image files as they are, or decoded pixels of one size. auto: pixels when there is a --size.",
)
@click.option("--size", metavar="HxW", callback=_image_size, help="Resample to height x width, such as 224x320; 224 is 224x224.")
@click.option("--shards", type=click.IntRange(min=1), metavar="N", help="Write N files.")
@click.option("--shard-size", metavar="SIZE", help="Write files of at most this size, such as 1GB or 256MiB.")
@click.option("-j", "--num-workers", type=click.IntRange(min=1), metavar="N", help="Threads; by default one a core.")
@click.option("--color", type=click.Choice(["RGB", "BGR", "GRAY"], case_sensitive=False), default="RGB", help="Of decoded pixels.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option("--no-sync", "sync", is_flag=True, default=True, flag_value=False, help="Do not wait for the disk.")
@_json_option
@_quiet_option
def pack(src: str, output: str, overwrite: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Packs SRC into TFRecord or HDF5 files.

    SRC is a folder of images (class = folder), a CSV, TSV, JSONL or Parquet table that names them, or a
    TFRecord or HDF5 dataset: a file, a folder of shards, or a glob in quotes.
    """
    pack_options = fastpack.PackOptions(**options)
    source = _source_at(src)
    with _progress("packing", quiet) as update:
        packed = fastpack.pack(
            source,
            output,
            pack_options,
            overwrite=overwrite,
            progress=lambda done, total, num_bytes: update(completed=done, total=total, done=readable_size(num_bytes)),
        )
    if as_json:
        _emit(dataclasses.asdict(packed))
    elif not quiet:
        click.echo(packed_text(packed))


def _source_at(path: str) -> Source:
    """The images of a folder or of a table; else the dataset that is there."""
    if Path(path).suffix.lower() in TABLE_SUFFIXES:
        return fastpack.table(path)
    if not os.path.isdir(path):
        return fastpack.open(path, decode=False)
    try:
        return fastpack.folder(path)
    except EmptySourceError as no_images:
        try:
            return fastpack.open(path, decode=False)
        except EmptySourceError:
            raise no_images from None


@main.command(epilog=_EPILOG)
@_dataset_argument
@_json_option
def info(paths: tuple[str, ...], as_json: bool) -> None:
    """Tells what a dataset holds.

    Files, samples, fields, sizes of images, classes; no image is read.

    PATH is a TFRecord or HDF5 file, a folder of shards, or a glob in quotes.
    """
    description = describe(_open(paths))
    if as_json:
        _emit(dataclasses.asdict(description))
    else:
        click.echo(described_text(description))


def _open(paths: tuple[str, ...]) -> fastpack.Reader:
    return fastpack.open(_without_indexes(paths))


def _without_indexes(paths: tuple[str, ...]) -> list[str]:
    """The shell's `train*` also finds the indexes that lie beside the files."""
    return [path for path in paths if not is_index(Path(path))]


@main.command(epilog=_EPILOG)
@_dataset_argument
@click.option("--decode", is_flag=True, help="Decode each image too.")
@_json_option
@_quiet_option
def verify(paths: tuple[str, ...], decode: bool, as_json: bool, quiet: bool) -> None:
    """Compares a dataset with its checksums.

    Everything is read, and each problem is listed with its place.

    PATH is a TFRecord or HDF5 file, a folder of shards, or a glob in quotes.
    """
    with _progress("verifying", quiet) as update:
        verified = fastpack.verify(
            _without_indexes(paths),
            decode=decode,
            progress=lambda done, total: update(completed=done, total=total, done=readable_size(done)),
        )
    if as_json:
        _emit(dataclasses.asdict(verified) | {"is_sound": verified.is_sound})
    else:
        for problem in verified.problems:
            click.echo(printable(problem))
        if not (quiet and verified.is_sound):
            click.echo(verified_text(verified))
    if not verified.is_sound:
        click.get_current_context().exit(EXIT_DATA)


@main.command(epilog=_EPILOG)
@_dataset_argument
@click.option("-o", "--output", required=True, metavar="OUT", help="The picture to write, such as sheet.png or sheet.jpg.")
@click.option("-n", "--rows", type=click.IntRange(min=1), default=32, show_default=True, metavar="N", help="How many samples to show.")
@click.option("--seed", type=click.IntRange(min=0), help="Show a random choice, which the seed decides; by default the first samples.")
@click.option("--columns", type=click.IntRange(min=1), default=8, show_default=True, help="Thumbnails beside each other.")
@click.option("--tile", type=click.IntRange(1, 4096), default=160, show_default=True, help="Side of a thumbnail in pixels.")
@click.option("--overwrite", is_flag=True, help="Replace a picture that is there already.")
def preview(paths: tuple[str, ...], output: str, rows: int, seed: int | None, overwrite: bool, **layout: int) -> None:
    """Writes a contact sheet of some samples.

    It shows thumbnails with the class name (or label, or key) below.

    PATH is a TFRecord or HDF5 file, a folder of shards, or a glob in quotes.
    """
    check_sheet_output(Path(output), overwrite=overwrite)
    dataset = _open(paths)
    num_shown = min(rows, len(dataset))
    chosen = np.arange(num_shown) if seed is None else np.random.default_rng(seed).choice(len(dataset), num_shown, replace=False)
    sheet = contact_sheet(dataset, chosen, **layout)
    save_sheet(sheet, output, overwrite=overwrite)
    click.echo(f"{num_shown} of {len(dataset)} samples on {output}")
