"""`fastpack doctor` and `fastpack bench`."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.options import (
    dataset_argument,
    existing,
    folder_options,
    image_size,
    index_dir_option,
    json_option,
    open_dataset,
)
from fastpack.cli.text import benchmarked_text, diagnosed_text
from fastpack.core.threads import num_cores
from fastpack.errors import OptionError
from fastpack.inspection.bench import Benchmark, Speed
from fastpack.inspection.bench import bench as measure
from fastpack.inspection.doctor import doctor as diagnose
from fastpack.integrity.compare import source_at


@click.command(epilog=terminal.EPILOG)
@click.argument("path", metavar="SRC|DATASET", callback=existing)
@click.option(
    "--size",
    metavar="HxW",
    callback=image_size,
    help="Decode crops of this size, as training does; by default whole images.",
)
@click.option(
    "--consumer",
    type=click.FloatRange(min=0, min_open=True),
    metavar="RATE",
    help="Images a second that training takes.",
)
@click.option(
    "-j",
    "--num-workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads; by default one a core.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="For each stage, about.",
)
@folder_options
@index_dir_option
@json_option
def doctor(
    path: str,
    size: int | tuple[int, int] | None,
    index_dir: Path | None,
    as_json: bool,
    taking: dict[str, Any],
    **options: Any,
) -> None:
    """Measures how fast images can be loaded, and says what holds them back.

    Disk, memory, decoder and, when --consumer tells its speed, training are measured apart; the slowest is the ceiling.

    SRC is a folder of images or a table of them; DATASET a TFRecord, HDF5 or tar file, or a folder of these.
    """
    subject = source_at(path, index_dir, **taking)
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


@click.command(epilog=terminal.EPILOG)
@dataset_argument
@click.option(
    "--size",
    metavar="HxW",
    callback=image_size,
    default="224",
    show_default=True,
    help="Of the crops that are trained on.",
)
@click.option(
    "-j",
    "--num-workers",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="N",
    help="Threads, once or more; by default 1, 2, 4 ...",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=0.5,
    show_default=True,
    help="For each figure, about.",
)
@folder_options
@index_dir_option
@json_option
def bench(
    paths: tuple[str, ...],
    size: int | tuple[int, int],
    as_json: bool,
    taking: dict[str, Any],
    **options: Any,
) -> None:
    """Measures in some seconds how fast a dataset is read, decoded and loaded here, with one thread and with more.

    Records as they are stored, whole images, random crops as training takes them, and the same through a Loader; all from memory.
    Then what binds, the disk included: see `fastpack doctor`.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes.
    """
    dataset = open_dataset(paths, options.pop("index_dir"), **taking)
    options["num_workers"] = options["num_workers"] or None
    with terminal.progress("measuring", as_json):
        found = measure(dataset, size=size, **options)
    if as_json:
        terminal.emit(_measured_on() | json.loads(found.to_json()))
        return
    click.echo(benchmarked_text(found))
    _print_speeds(found)
    click.echo(diagnosed_text(found.diagnosis))


def _measured_on() -> dict[str, Any]:
    """Without these, figures of two machines or two versions would be compared one day."""
    return {
        "fastpack": fastpack.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": num_cores(),
    }


_COLUMNS = {"records": "records/s", "decode": "images/s", "train": "crops/s", "loader": "loader/s"}


def _print_speeds(found: Benchmark) -> None:
    """A row for each number of threads: medians, with the extremes of the rounds below."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    names = [name for name in _COLUMNS if any(speed.name == name for speed in found.speeds)]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
    table.add_column("threads", justify="right")
    for name in names:
        table.add_column(_COLUMNS[name], justify="right")
    for count in dict.fromkeys(speed.num_workers for speed in found.speeds):
        table.add_row(str(count), *(_cell(found.speeds, name, count) for name in names))
    Console(highlight=False).print(table)


def _cell(speeds: Sequence[Speed], name: str, count: int) -> str:
    speed = next(speed for speed in speeds if (speed.name, speed.num_workers) == (name, count))
    alone = min(speed.num_workers for speed in speeds)
    first = next(each for each in speeds if (each.name, each.num_workers) == (name, alone))
    times = f" x{speed.samples_per_second / first.samples_per_second:.2f}" if count != alone else ""
    return f"[bold]{speed.samples_per_second:,.0f}[/bold]{times}\n[dim]{speed.least:,.0f}..{speed.most:,.0f}[/dim]"
