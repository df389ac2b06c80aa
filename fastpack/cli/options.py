"""Arguments and options that commands share."""

import functools
import glob
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import click

import fastpack
from fastpack.files.classes import ClassFolder
from fastpack.files.companions import is_beside
from fastpack.files.naming import numbered_members
from fastpack.formats.registry import NAMES
from fastpack.stores.store_path import is_in_store, is_url, path_at

Command = TypeVar("Command", bound=Callable[..., Any])

_FLAGS = {"true": True, "false": False}

# Callbacks: from text to values


def existing(
    ctx: click.Context, parameter: click.Parameter, value: str | tuple[str, ...] | None
) -> str | tuple[str, ...] | None:
    """Check that paths exist, or are globs or names of sets that match files."""
    for path in [value] if isinstance(value, str) else value or ():
        if is_url(path):  # opening it asks the store
            continue
        if not os.path.exists(path) and not glob.glob(path) and not numbered_members(Path(path)):
            message = f"{path!r} does not exist, and no file matches it"
            raise click.BadParameter(message, ctx, parameter)
    return value


def image_size(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> int | tuple[int, int] | None:
    """Read `224x320` or `224`."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", value.lower())
    if not match:
        message = f"{value!r} is not a size; write HEIGHTxWIDTH, such as 224x320, or one number"
        raise click.BadParameter(message, ctx, parameter)
    return (int(match[1]), int(match[2])) if match[2] else int(match[1])


def number(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Read a choice of numbers."""
    return None if value is None else int(value)


def names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Read `a,b`."""
    return None if value is None else [name.strip() for name in value.split(",") if name.strip()]


def renamed(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Read `image=image/encoded,label=y`, given once or more."""
    found: dict[str, str] = {}
    for pair in (pair for value in values for pair in value.split(",")):
        field, equals, name = (part.strip() for part in pair.partition("="))
        if not (field and equals and name) or field in found:
            message = f"{pair!r} does not rename a field; write FIELD=NAME, each field once"
            raise click.BadParameter(message, ctx, parameter)
        found[field] = name
    return found


def image_columns(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> dict[str, str] | None:
    """Read `depth,labels=mask`."""
    parts = names(ctx, parameter, value)
    if parts is None:
        return None
    return {part.partition("=")[0]: part.partition("=")[2] or "image" for part in parts}


def fractions(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> dict[str, float]:
    """Read `train=0.9,val=0.1`."""
    found: dict[str, float] = {}
    for part in value.split(",") if value else ():
        name, _, fraction = part.partition("=")
        try:
            found[name.strip()] = float(fraction)
        except ValueError:
            message = f"{part!r} is not a part; write NAME=FRACTION, such as train=0.9,val=0.1"
            raise click.BadParameter(message, ctx, parameter) from None
    return found


def axes(ctx: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, str]:
    """Read `images=NCHW,masks=NHW`."""
    found: dict[str, str] = {}
    for part in value.split(",") if value else ():
        name, equals, letters = part.partition("=")
        if not equals:
            message = f"{part!r} is not a pair; write NAME=AXES, such as images=NCHW"
            raise click.BadParameter(message, ctx, parameter)
        found[name.strip()] = letters.strip()
    return found


def kinds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, str]:
    """Read `caption=text,seg=mask`."""
    found = {}
    for part in names(ctx, parameter, value) or ():
        name, equals, kind = part.rpartition("=")
        if not equals or not name:
            message = f"{part!r} is not a kind of a field; write NAME=KIND, such as caption=text"
            raise click.BadParameter(message, ctx, parameter)
        found[name] = kind
    return found


def storage_options(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str | bool]:
    """Read `region=eu-west-1`, once for each option."""
    found: dict[str, str | bool] = {}
    for pair in values:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            message = "an option is not a pair; write NAME=VALUE, such as region=eu-west-1"
            raise click.BadParameter(message, ctx, parameter)
        found[name.strip()] = _FLAGS.get(value.lower(), value)
    return found


def sidecars(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Read `txt,json`, or `none`."""
    return [] if value == "none" else names(ctx, parameter, value)


# Options


def dataset_argument(command: Command) -> Command:
    """Add the paths of a dataset. URLs get the options of `--storage-option`."""

    @functools.wraps(command)
    def run(*arguments: Any, paths: tuple[str, ...], **values: Any) -> Any:
        options = values.pop("storage_options")
        return command(*arguments, paths=tuple(path_at(paths, options)), **values)

    argument = click.argument(
        "paths", metavar="PATH...", nargs=-1, required=True, callback=existing
    )
    return argument(storage_option(cast(Command, run)))


storage_option = click.option(
    "--storage-option",
    "storage_options",
    metavar="NAME=VALUE",
    multiple=True,
    callback=storage_options,
    help="For URLs, an option of the store's client, such as region=eu-west-1. May be repeated.",
)


axes_option = click.option(
    "--axes",
    metavar="NAME=AXES",
    callback=axes,
    help="Axes of arrays in HDF5 files if the guess is wrong, such as images=NCHW.",
)
index_dir_option = click.option(
    "--index-dir",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Folder of the saved indexes. Default: beside the files.",
)
kinds_option = click.option(
    "--kinds",
    metavar="A=text,B=mask",
    callback=kinds,
    help="Kinds of fields if the guess is wrong: image, mask, bytes or text.",
)
classes_option = click.option(
    "--classes",
    metavar="FILE|DATASET",
    callback=existing,
    help="Class names that labels count in: a file with one name per line, or a dataset.",
)
format_option = click.option(
    "--format",
    type=click.Choice(NAMES),
    help="Format of the output. Default: the suffix of OUT decides.",
)
float64_option = click.option(
    "--float64",
    type=click.Choice(["refuse", "round"]),
    default="refuse",
    help="Treatment of floats that TFRecord would change.",
)
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object on stdout. After a failure it has an `error`.",
)
quiet_option = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    help="Show no progress, and no summary of a success.",
)


def overwrite_option(help: str) -> Callable[[Command], Command]:
    return click.option("--overwrite", is_flag=True, help=help)


def num_workers_option(help: str, **settings: Any) -> Callable[[Command], Command]:
    kind = click.IntRange(min=1)
    return click.option("-j", "--num-workers", type=kind, metavar="N", help=help, **settings)


def seconds_option(default: float, help: str) -> Callable[[Command], Command]:
    kind = click.FloatRange(min=0, min_open=True)
    return click.option("--seconds", type=kind, default=default, show_default=True, help=help)


def _all_of(options: list[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Apply options so that help lists them in this order."""

    def apply(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


shards_options = _all_of(
    [
        click.option(
            "--shards", type=click.IntRange(min=1), metavar="N", help="Write N numbered files."
        ),
        click.option(
            "--shard-size",
            metavar="SIZE",
            help="Write numbered files of at most this size, such as 1GB or 256MiB.",
        ),
    ]
)


def _grouped(
    options: list[Callable[[Command], Command]], group: str, members: tuple[str, ...]
) -> Callable[[Command], Command]:
    """Apply options; the command gets their values as one dict, the argument `group`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*arguments: Any, **values: Any) -> Any:
            taken = {name: values.pop(name) for name in members}
            return command(*arguments, **{group: taken}, **values)

        return _all_of(options)(cast(Command, run))

    return decorate


FOLDER_ARGUMENTS = ("allow_external", "class_folder", "sidecars")
TABLE_COLUMNS = ("root", "path_column", "label_column", "image_columns")

# How a folder of images is read. The command gets `folder`, for `open` and `from_folder`.
folder_options = _grouped(
    [
        click.option(
            "--allow-external",
            is_flag=True,
            help="Follow links out of the folder of images or of the table.",
        ),
        click.option(
            "--class-folder",
            type=click.Choice(get_args(ClassFolder)),
            help="Which folder in the path of an image is its class.",
        ),
        click.option(
            "--sidecars",
            metavar="A,B",
            callback=sidecars,
            help="Suffixes of text files beside the images that become fields, such as txt,json; "
            "or none. Default: those that most images have.",
        ),
    ],
    "folder",
    FOLDER_ARGUMENTS,
)
# How a table is read. The command gets `columns`, for `from_table`.
table_options = _grouped(
    [
        click.option(
            "--root",
            metavar="DIR",
            help="Folder that the paths of a table start from. Default: the folder of the table.",
        ),
        click.option(
            "--path-column",
            metavar="NAME",
            help="Column of a table with the paths or bytes of the images.",
        ),
        click.option(
            "--label-column",
            metavar="NAME",
            help="Column of a table with the labels; '' for none.",
        ),
        click.option(
            "--image-columns",
            metavar="A,B=mask",
            callback=image_columns,
            help="Other columns of a table that name images; =mask if pixels are class numbers; "
            "'' for none.",
        ),
    ],
    "columns",
    TABLE_COLUMNS,
)


# Datasets


def open_dataset(paths: tuple[Any, ...], index_dir: Path | None, **options: Any) -> fastpack.Reader:
    return fastpack.open(without_indexes(paths), index_dir=index_dir, **options)


def without_indexes(paths: tuple[Any, ...]) -> list[Any]:
    """Drop indexes beside the files, which the shell's `train*` matches too."""
    return [path for path in paths if is_in_store(path) or not is_beside(Path(path))]
