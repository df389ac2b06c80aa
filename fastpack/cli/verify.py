"""`fastpack verify`."""

import dataclasses
from typing import Any

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.commands import Command
from fastpack.cli.formatting import printable
from fastpack.cli.options import (
    TABLE_COLUMNS,
    dataset_argument,
    existing,
    folder_options,
    index_dir_option,
    json_option,
    num_workers_option,
    quiet_option,
    table_options,
    without_indexes,
)
from fastpack.core.plural import counted
from fastpack.errors import OptionError
from fastpack.integrity import VerifyResult
from fastpack.integrity.compare import source_at
from fastpack.sources import Source, is_table


@click.command(cls=Command)
@dataset_argument
@click.option("--decode", is_flag=True, help="Also decode each image.")
@click.option(
    "--against",
    metavar="SRC",
    callback=existing,
    help="Compare with the folder or table that was packed, byte for byte.",
)
@table_options
@num_workers_option("Number of files to check at once. Default: one for each core.")
@folder_options
@index_dir_option
@json_option
@quiet_option
def verify(
    paths: tuple[str, ...],
    against: str | None,
    as_json: bool,
    quiet: bool,
    folder: dict[str, Any],
    columns: dict[str, Any],
    **options: Any,
) -> None:
    """Compare a dataset with its checksums.

    Reads everything and lists each problem with its place. Records that were cut off or swapped
    since the file was indexed are problems, and so are missing files of a numbered set.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes. It
    may be a URL: objects are copied to temporary files, one for each core.
    """
    source = _source_to_compare(against, folder, columns)
    with terminal.progress("verifying", quiet) as update:
        result = fastpack.verify(without_indexes(paths), against=source, progress=update, **options)
    ctx = click.get_current_context()
    if as_json:
        terminal.emit(dataclasses.asdict(result) | {"is_sound": result.is_sound})
    else:
        for problem in result.problems:
            click.echo(printable(terminal.in_options(problem, ctx)))
        if not (quiet and result.is_sound):
            click.echo(verified_text(result))
    if not result.is_sound:
        ctx.exit(terminal.EXIT_DATA)


def _source_to_compare(
    path: str | None, folder: dict[str, Any], columns: dict[str, Any]
) -> Source | None:
    """Open the source of --against. Columns without a table are an error."""
    if path is not None and is_table(path):
        return source_at(path, **folder, **columns)
    if given := [name for name in TABLE_COLUMNS if columns[name] is not None]:
        raise OptionError(
            f"{given[0]}=... is for a table; give one with --against, or leave it out"
        )
    return None if path is None else source_at(path, **folder)


def verified_text(result: VerifyResult) -> str:
    """Summarize a verification."""
    checked = f"{counted(result.num_samples, 'sample')} in {counted(result.num_files, 'file')}"
    outcome = "sound" if result.is_sound else counted(len(result.problems), "problem")
    text = f"{checked}: {outcome}"
    if result.num_unchecked:
        text += f"; {counted(result.num_unchecked, 'sample')} without a checksum could be read"
    if result.num_repeated_keys:
        repeated = counted(result.num_repeated_keys, "sample")
        example = next(iter(result.repeated_keys), "")
        text += f"; {repeated} with the key of an earlier one, such as {example!r}"
    return printable(text)
