"""`fastpack doctor`."""

import json
from typing import Any

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.options import existing, image_size, json_option
from fastpack.comparison import source_at
from fastpack.doctor import doctor as diagnose
from fastpack.errors import OptionError
from fastpack.report import diagnosed_text


@click.command(epilog=terminal.EPILOG)
@click.argument("path", metavar="SRC|DATASET", callback=existing)
@click.option("--size", metavar="HxW", callback=image_size, help="Decode crops of this size, as training does; by default whole images.")
@click.option("--consumer", type=click.FloatRange(min=0, min_open=True), metavar="RATE", help="Images a second that training takes.")
@click.option("-j", "--num-workers", type=click.IntRange(min=1), metavar="N", help="Threads; by default one a core.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=2.0, show_default=True, help="For each stage, about.")
@json_option
def doctor(path: str, size: int | tuple[int, int] | None, as_json: bool, **options: Any) -> None:
    """Measures how fast images can be loaded, and says what holds them back.

    Disk, memory, decoder and, when --consumer tells its speed, training are measured apart; the slowest is the ceiling.

    SRC is a folder of images or a table of them; DATASET a TFRecord or HDF5 file, or a folder of these.
    """
    subject = source_at(path)
    if size is not None:
        if not isinstance(subject, fastpack.Reader):
            raise OptionError("--size is for a dataset: a folder of images is decoded as it is")
        subject = subject.with_options(transform=fastpack.RandomResizedCrop(size))
    with terminal.progress("measuring", as_json):
        diagnosis = diagnose(subject, **options)
    if as_json:
        terminal.emit(json.loads(diagnosis.to_json()))
    else:
        click.echo(diagnosed_text(diagnosis))
