"""`fastpack repair`."""

import json
from pathlib import Path

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.options import existing, index_dir_option, json_option, quiet_option
from fastpack.cli.text import printable, repaired_text
from fastpack.errors import with_location


@click.command(epilog=terminal.EPILOG)
@click.argument("path", callback=existing)
@click.option(
    "-o", "--output", required=True, metavar="OUT", help="The file to write what is whole to."
)
@click.option("--overwrite", is_flag=True, help="Replace OUT when it is there already.")
@index_dir_option
@json_option
@quiet_option
def repair(
    path: str, output: str, overwrite: bool, index_dir: Path | None, as_json: bool, quiet: bool
) -> None:
    """Writes what is whole in a damaged file to a new one.

    PATH is a TFRecord or HDF5 file; it is only read. Each damage is listed with its place, and whether what was there is lost.
    The exit status is 1 when something is, or the new file cannot be opened as it is.
    """
    with terminal.progress("repairing", quiet) as update:
        repaired = fastpack.repair(
            path,
            output,
            overwrite=overwrite,
            index_dir=index_dir,
            progress=update,
        )
    if as_json:
        terminal.emit(json.loads(repaired.to_json()))
    else:
        for damage in repaired.damages:
            click.echo(
                printable(
                    f"{'lost' if damage.is_lost else 'saved'}: {with_location(damage.reason, damage.location(Path(path)))}"
                )
            )
        for note in repaired.notes:
            click.echo(printable(f"note: {note}"))
        if not (quiet and not repaired.damages):
            click.echo(repaired_text(repaired))
    if repaired.num_lost or repaired.notes:
        click.get_current_context().exit(terminal.EXIT_DATA)
