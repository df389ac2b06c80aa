"""Arguments and options that commands share."""

import functools
import glob
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

import fastpack
from fastpack.files.classes import ClassFolder
from fastpack.files.companions import is_beside
from fastpack.files.naming import numbered_members

Command = TypeVar("Command", bound=Callable[..., Any])
_SIDECARS_HELP = "Endings of text files beside the images that become fields, such as txt,json; or none. By default what most images have."
_IMAGE_COLUMNS_HELP = (
    "Which other columns of a table name images; =mask where pixels are class numbers; '' for none."
)


def existing(
    ctx: click.Context, parameter: click.Parameter, value: str | tuple[str, ...] | None
) -> str | tuple[str, ...] | None:
    for path in [value] if isinstance(value, str) else value or ():
        if not os.path.exists(path) and not glob.glob(path) and not numbered_members(Path(path)):
            raise click.BadParameter(
                f"{path!r} is not there, and no file matches it", ctx, parameter
            )
    return value


def image_size(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> int | tuple[int, int] | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", value.lower())
    if not match:
        raise click.BadParameter(
            f"{value!r} is no size; write HEIGHTxWIDTH, such as 224x320, or one number",
            ctx,
            parameter,
        )
    return (int(match[1]), int(match[2])) if match[2] else int(match[1])


def number(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    return None if value is None else int(value)


def names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Of `a,b`."""
    return None if value is None else [name.strip() for name in value.split(",") if name.strip()]


def renamed(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Of `image=image/encoded,label=y`, given once or more."""
    found: dict[str, str] = {}
    for pair in (pair for value in values for pair in value.split(",")):
        field, equals, name = (part.strip() for part in pair.partition("="))
        if not (field and equals and name) or field in found:
            raise click.BadParameter(
                f"{pair!r} is not a new name of a field; write FIELD=NAME, each field once",
                ctx,
                parameter,
            )
        found[field] = name
    return found


def image_columns(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> dict[str, str] | None:
    """Of `depth,labels=mask`."""
    parts = names(ctx, parameter, value)
    return (
        None
        if parts is None
        else {part.partition("=")[0]: part.partition("=")[2] or "image" for part in parts}
    )


def fractions(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> dict[str, float]:
    """Of `train=0.9,val=0.1`."""
    found: dict[str, float] = {}
    for part in value.split(",") if value else ():
        name, _, fraction = part.partition("=")
        try:
            found[name.strip()] = float(fraction)
        except ValueError:
            raise click.BadParameter(
                f"{part!r} is no part; write NAME=FRACTION, such as train=0.9,val=0.1",
                ctx,
                parameter,
            ) from None
    return found


def axes(ctx: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, str]:
    """Of `images=NCHW,masks=NHW`."""
    found: dict[str, str] = {}
    for part in value.split(",") if value else ():
        name, equals, letters = part.partition("=")
        if not equals:
            raise click.BadParameter(
                f"{part!r} is not a pair; write NAME=AXES, such as images=NCHW", ctx, parameter
            )
        found[name.strip()] = letters.strip()
    return found


def axes_option(command: Command) -> Command:
    help = "Axes of arrays in HDF5 files of others, such as images=NCHW, where the guess is wrong."
    return click.option("--axes", metavar="NAME=AXES", callback=axes, help=help)(command)


def dataset_argument(command: Command) -> Command:
    return click.argument("paths", metavar="PATH...", nargs=-1, required=True, callback=existing)(
        command
    )


def index_dir_option(command: Command) -> Command:
    kind = click.Path(file_okay=False, exists=True, path_type=Path)
    return click.option(
        "--index-dir",
        type=kind,
        help="Where the saved indexes are, when they are not beside the files.",
    )(command)


def kinds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, str]:
    """Of `caption=text,seg=mask`."""
    found = {}
    for part in names(ctx, parameter, value) or ():
        name, equals, kind = part.rpartition("=")
        if not equals or not name:
            raise click.BadParameter(
                f"{part!r} is no kind of a field; write NAME=KIND, such as caption=text",
                ctx,
                parameter,
            )
        found[name] = kind
    return found


def kinds_option(command: Command) -> Command:
    help_text = "What fields are, where the files do not say it: image, mask, bytes or text."
    return click.option("--kinds", metavar="A=text,B=mask", callback=kinds, help=help_text)(command)


def sidecars(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Of `txt,json`, or `none`."""
    return [] if value == "none" else names(ctx, parameter, value)


def folder_options(command: Command) -> Command:
    """How a folder of images is taken: the command gets `taking`, for `fastpack.open` and `fastpack.from_folder`."""

    @functools.wraps(command)
    def taking(
        *arguments: Any,
        allow_external: bool,
        class_folder: str | None,
        sidecars: list[str] | None,
        **options: Any,
    ) -> Any:
        chosen = {
            "allow_external": allow_external,
            "class_folder": class_folder,
            "sidecars": sidecars,
        }
        return command(*arguments, taking=chosen, **options)

    for option in _FOLDER_OPTIONS:
        taking = option(taking)
    return taking  # type: ignore[return-value]


_FOLDER_OPTIONS = [
    click.option("--sidecars", metavar="A,B", callback=sidecars, help=_SIDECARS_HELP),
    click.option(
        "--class-folder",
        type=click.Choice(get_args(ClassFolder)),
        help="Which folder of an image's path is its class.",
    ),
    click.option(
        "--allow-external",
        is_flag=True,
        help="Follow links that lead out of a folder of images, or of a table's.",
    ),
]


TABLE_COLUMNS = ("root", "path_column", "label_column", "image_columns")


def table_options(command: Command) -> Command:
    """How a table is read: the command gets `columns`, for `fastpack.from_table`."""

    @functools.wraps(command)
    def reading(*arguments: Any, **options: Any) -> Any:
        return command(
            *arguments, columns={name: options.pop(name) for name in TABLE_COLUMNS}, **options
        )

    for option in _TABLE_OPTIONS:
        reading = option(reading)
    return reading  # type: ignore[return-value]


_TABLE_OPTIONS = [
    click.option(
        "--image-columns", metavar="A,B=mask", callback=image_columns, help=_IMAGE_COLUMNS_HELP
    ),
    click.option(
        "--label-column",
        metavar="NAME",
        help="The column of a table that holds the labels; '' for none.",
    ),
    click.option(
        "--path-column",
        metavar="NAME",
        help="The column of a table that names or holds the images.",
    ),
    click.option(
        "--root",
        metavar="DIR",
        help="The folder that a table's paths are below; by default the table's own.",
    ),
]


def classes_option(command: Command) -> Command:
    about = "What labels count in: a file with a class name a line, or a dataset, such as the training set."
    return click.option("--classes", metavar="FILE|DATASET", callback=existing, help=about)(command)


def open_dataset(paths: tuple[str, ...], index_dir: Path | None, **taking: Any) -> fastpack.Reader:
    return fastpack.open(without_indexes(paths), index_dir=index_dir, **taking)


def json_option(command: Command) -> Command:
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print one JSON object on stdout; on failure it has an `error`.",
    )(command)


def quiet_option(command: Command) -> Command:
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        help="Show no progress, and print no summary when all is well.",
    )(command)


def without_indexes(paths: tuple[str, ...]) -> list[str]:
    """The shell's `train*` also finds the indexes that lie beside the files."""
    return [path for path in paths if not is_beside(Path(path))]
