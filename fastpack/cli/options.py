"""Arguments and options that commands share."""

import glob
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

import fastpack
from fastpack.index import is_beside

Command = TypeVar("Command", bound=Callable[..., Any])


def existing(ctx: click.Context, parameter: click.Parameter, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
    for path in [value] if isinstance(value, str) else value or ():
        if not os.path.exists(path) and not glob.glob(path):
            raise click.BadParameter(f"{path!r} is not there, and no file matches it", ctx, parameter)
    return value


def image_size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | tuple[int, int] | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", value.lower())
    if not match:
        raise click.BadParameter(f"{value!r} is no size; write HEIGHTxWIDTH, such as 224x320, or one number", ctx, parameter)
    return (int(match[1]), int(match[2])) if match[2] else int(match[1])


def names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Of `a,b`."""
    return None if value is None else [name.strip() for name in value.split(",") if name.strip()]


def fractions(ctx: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, float]:
    """Of `train=0.9,val=0.1`."""
    found: dict[str, float] = {}
    for part in value.split(",") if value else ():
        name, _, fraction = part.partition("=")
        try:
            found[name.strip()] = float(fraction)
        except ValueError:
            raise click.BadParameter(f"{part!r} is no part; write NAME=FRACTION, such as train=0.9,val=0.1", ctx, parameter) from None
    return found


def axes(ctx: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, str]:
    """Of `images=NCHW,masks=NHW`."""
    found: dict[str, str] = {}
    for part in value.split(",") if value else ():
        name, equals, letters = part.partition("=")
        if not equals:
            raise click.BadParameter(f"{part!r} is not a pair; write NAME=AXES, such as images=NCHW", ctx, parameter)
        found[name.strip()] = letters.strip()
    return found


def axes_option(command: Command) -> Command:
    help = "Axes of arrays in HDF5 files of others, such as images=NCHW, where the guess is wrong."
    return click.option("--axes", metavar="NAME=AXES", callback=axes, help=help)(command)


def dataset_argument(command: Command) -> Command:
    return click.argument("paths", metavar="PATH...", nargs=-1, required=True, callback=existing)(command)


def index_dir_option(command: Command) -> Command:
    kind = click.Path(file_okay=False, exists=True, path_type=Path)
    return click.option("--index-dir", type=kind, help="Where the saved indexes are, when they are not beside the files.")(command)


def open_dataset(paths: tuple[str, ...], index_dir: Path | None, axes: dict[str, str] | None = None) -> fastpack.Reader:
    return fastpack.open(without_indexes(paths), index_dir=index_dir, axes=axes)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout; on failure it has an `error`.")(command)


def quiet_option(command: Command) -> Command:
    return click.option("-q", "--quiet", is_flag=True, help="Show no progress, and print no summary when all is well.")(command)


def without_indexes(paths: tuple[str, ...]) -> list[str]:
    """The shell's `train*` also finds the indexes that lie beside the files."""
    return [path for path in paths if not is_beside(Path(path))]
