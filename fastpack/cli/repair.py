"""`fastpack repair`."""

import json
from pathlib import Path

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.commands import Command
from fastpack.cli.formatting import printable
from fastpack.cli.options import (
    existing,
    index_dir_option,
    json_option,
    overwrite_option,
    quiet_option,
)
from fastpack.core.plural import counted
from fastpack.core.units import readable_size
from fastpack.errors import with_location
from fastpack.integrity import RepairResult


@click.command(cls=Command)
@click.argument("path", callback=existing)
@click.option(
    "-o", "--output", required=True, metavar="OUT", help="File to write intact records to."
)
@overwrite_option("Replace an existing OUT.")
@index_dir_option
@json_option
@quiet_option
def repair(
    path: str, output: str, overwrite: bool, index_dir: Path | None, as_json: bool, quiet: bool
) -> None:
    """Copy the intact records of a damaged file to a new file.

    PATH is a TFRecord or HDF5 file; it is only read. Lists the place of each damage, and whether
    samples are lost. The exit status is 1 if any are lost, or if the new file cannot be opened
    without options.
    """
    with terminal.progress("repairing", quiet) as update:
        result = fastpack.repair(
            path,
            output,
            overwrite=overwrite,
            index_dir=index_dir,
            progress=update,
        )
    ctx = click.get_current_context()
    if as_json:
        terminal.emit(json.loads(result.to_json()))
    else:
        for damage in result.damages:
            outcome = "lost" if damage.is_lost else "saved"
            where = damage.location(Path(path))
            click.echo(printable(f"{outcome}: {with_location(damage.reason, where)}"))
        for note in result.notes:
            click.echo(printable(f"note: {terminal.in_options(note, ctx)}"))
        if result.damages or not quiet:
            click.echo(repaired_text(result))
    if result.num_lost or result.notes:
        ctx.exit(terminal.EXIT_DATA)


def repaired_text(result: RepairResult) -> str:
    """Summarize a repair."""
    samples, size = counted(result.num_samples, "sample"), readable_size(result.output_bytes)
    lost = f"{result.num_lost:,} beyond repair" if result.num_lost else "nothing was lost"
    return printable(f"{samples} in {result.output} ({size}); {lost}")
