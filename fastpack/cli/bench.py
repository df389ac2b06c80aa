"""`fastpack bench`."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.commands import Command
from fastpack.cli.doctor import diagnosed_text
from fastpack.cli.options import (
    dataset_argument,
    folder_options,
    image_size,
    index_dir_option,
    json_option,
    num_workers_option,
    open_dataset,
    seconds_option,
)
from fastpack.core.plural import counted
from fastpack.core.threads import num_cores
from fastpack.core.units import readable_size
from fastpack.inspection.bench import Benchmark, Speed
from fastpack.inspection.bench import bench as measure


@click.command(cls=Command)
@dataset_argument
@click.option(
    "--size",
    metavar="HxW",
    callback=image_size,
    default="224",
    show_default=True,
    help="Size of the random crops.",
)
@num_workers_option("Threads. Repeatable. Default: 1, 2, 4 ...", multiple=True)
@seconds_option(0.5, "Seconds for each figure, approximately.")
@folder_options
@index_dir_option
@json_option
def bench(
    paths: tuple[str, ...],
    size: int | tuple[int, int],
    num_workers: tuple[int, ...],
    seconds: float,
    index_dir: Path | None,
    as_json: bool,
    folder: dict[str, Any],
) -> None:
    """Measure reading, decoding and loading with one thread and with more.

    Measures stored records, whole images, random crops as in training, and the same through a
    Loader, all from memory. Then names the slowest stage, including the disk: see `fastpack
    doctor`.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes.
    """
    dataset = open_dataset(paths, index_dir, **folder)
    with terminal.progress("measuring", as_json):
        result = measure(dataset, size=size, num_workers=num_workers or None, seconds=seconds)
    if as_json:
        terminal.emit(_environment() | json.loads(result.to_json()))
        return
    click.echo(benchmarked_text(result))
    _print_speeds(result)
    click.echo(diagnosed_text(result.diagnosis))


def _environment() -> dict[str, Any]:
    """Describe the machine and version, without which figures cannot be compared."""
    return {
        "fastpack": fastpack.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": num_cores(),
    }


def benchmarked_text(result: Benchmark) -> str:
    """Describe what was measured, above the table of speeds."""
    height, width = (result.size, result.size) if isinstance(result.size, int) else result.size
    images = f"{counted(result.num_samples, 'image')}, {readable_size(result.num_bytes)}"
    return (
        f"{images}; crops of {height} x {width}, all from memory; "
        "below each median the slowest and the fastest round"
    )


_COLUMNS = {"records": "records/s", "decode": "images/s", "train": "crops/s", "loader": "loader/s"}


def _print_speeds(result: Benchmark) -> None:
    """Print a row for each number of threads: medians, with extremes of the rounds below."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    names = [name for name in _COLUMNS if any(speed.name == name for speed in result.speeds)]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
    table.add_column("threads", justify="right")
    for name in names:
        table.add_column(_COLUMNS[name], justify="right")
    for count in dict.fromkeys(speed.num_workers for speed in result.speeds):
        table.add_row(str(count), *(_cell(result.speeds, name, count) for name in names))
    Console(highlight=False).print(table)


def _cell(speeds: Sequence[Speed], name: str, count: int) -> str:
    rates = {speed.num_workers: speed for speed in speeds if speed.name == name}
    speed, lowest = rates[count], min(rates)
    median = f"[bold]{speed.samples_per_second:,.0f}[/bold]"
    if count != lowest:
        ratio = speed.samples_per_second / rates[lowest].samples_per_second
        median += f" x{ratio:.2f}"
    return f"{median}\n[dim]{speed.slowest:,.0f}..{speed.fastest:,.0f}[/dim]"
