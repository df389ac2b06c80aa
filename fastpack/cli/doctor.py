"""`fastpack doctor`."""

import json
from pathlib import Path
from typing import Any

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.commands import Command
from fastpack.cli.formatting import aligned
from fastpack.cli.info import decoders_text
from fastpack.cli.options import (
    existing,
    folder_options,
    image_size,
    index_dir_option,
    json_option,
    num_workers_option,
    seconds_option,
)
from fastpack.cli.store_doctor import store_lines
from fastpack.core.plural import counted
from fastpack.core.units import readable_size
from fastpack.errors import OptionError
from fastpack.inspection.doctor import Diagnosis, Stage
from fastpack.inspection.doctor import doctor as diagnose
from fastpack.integrity.compare import source_at


@click.command(cls=Command)
@click.argument("path", metavar="SRC|DATASET", callback=existing)
@click.option(
    "--size",
    metavar="HxW",
    callback=image_size,
    help="Decode random crops of this size, as training does. Default: whole images.",
)
@click.option(
    "--consumer",
    type=click.FloatRange(min=0, min_open=True),
    metavar="RATE",
    help="Images per second that training takes.",
)
@num_workers_option("Threads. Default: one for each core.")
@seconds_option(2.0, "Seconds for each stage, approximately.")
@folder_options
@index_dir_option
@json_option
def doctor(
    path: str,
    size: int | tuple[int, int] | None,
    index_dir: Path | None,
    as_json: bool,
    folder: dict[str, Any],
    **options: Any,
) -> None:
    """Measure each stage of loading and name the slowest.

    Stages are disk, memory, decoder and, with --consumer, training. The slowest is the ceiling.

    SRC is a folder or table of images. DATASET is a TFRecord, HDF5 or tar file, or a folder of
    these.

    Of a DATASET in a store, such as s3://bucket/train-*.tfrecord, latency and bandwidth are
    measured too. The plan says which order, window and cache training needs, and what an epoch
    costs in requests.
    """
    subject = source_at(path, index_dir, **folder)
    if size is not None:
        if not isinstance(subject, fastpack.Reader):
            raise OptionError(
                "size=... is for a dataset; pack the folder or table, or leave it out"
            )
        subject = subject.with_options(transform=fastpack.RandomResizedCrop(size))
    with terminal.progress("measuring", as_json):
        diagnosis = diagnose(subject, **options)
    if as_json:
        terminal.emit(json.loads(diagnosis.to_json()))
    else:
        click.echo(diagnosed_text(diagnosis))


def diagnosed_text(diagnosis: Diagnosis) -> str:
    """Format the speed of each stage, the ceiling, and advice."""
    measured = f"{counted(diagnosis.num_samples, 'image')}, {readable_size(diagnosis.num_bytes)}"
    if diagnosis.memory_bytes is not None:
        measured += f"; {readable_size(diagnosis.memory_bytes)} of memory for cached files"
    stages = [_stage_cells(stage, diagnosis.binding) for stage in diagnosis.stages]
    lines = [
        f"{measured}; {counted(diagnosis.num_workers, 'thread')}",
        *aligned([("stage", "images/s", "bytes/s"), *stages]),
    ]
    if diagnosis.decoders:
        lines.append(decoders_text(diagnosis.decoders))
    if diagnosis.store:
        lines += store_lines(diagnosis.store)
    lines.append(f"ceiling: {diagnosis.ceiling:,.0f} images/s, set by {diagnosis.binding}")
    ctx = click.get_current_context()
    advice = [f"- {terminal.in_options(advice, ctx)}" for advice in diagnosis.advice]
    return "\n".join([*lines, *advice])


def _stage_cells(stage: Stage, binding: str) -> tuple[str, ...]:
    mark = "  <- bottleneck" if stage.name == binding else ""
    size = readable_size(int(stage.bytes_per_second))
    return stage.name, f"{stage.samples_per_second:,.0f}", f"{size}{mark}"
