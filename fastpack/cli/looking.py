"""`fastpack info`, `verify`, `preview` and `ls`."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

import fastpack
from fastpack.cli import terminal
from fastpack.cli.options import (
    TABLE_COLUMNS,
    axes_option,
    dataset_argument,
    existing,
    folder_options,
    index_dir_option,
    json_option,
    kinds_option,
    open_dataset,
    quiet_option,
    table_options,
    without_indexes,
)
from fastpack.cli.text import (
    decoders_text,
    described_text,
    listed_text,
    printable,
    statistics_text,
    verified_text,
)
from fastpack.cli.words import in_cli_words
from fastpack.errors import OptionError
from fastpack.files.atomic import check_absent
from fastpack.inspection.contact_sheet import (
    check_sheet_output,
    choose_samples,
    contact_sheet,
    save_sheet,
)
from fastpack.inspection.decoders import decoder_usage
from fastpack.inspection.describe import describe
from fastpack.inspection.listing import list_samples
from fastpack.inspection.page import html_page, save_page
from fastpack.inspection.statistics import image_statistics
from fastpack.integrity.compare import source_at
from fastpack.sources import Source, is_table


@click.command(epilog=terminal.EPILOG)
@dataset_argument
@axes_option
@folder_options
@kinds_option
@index_dir_option
@json_option
def info(
    paths: tuple[str, ...],
    index_dir: Path | None,
    as_json: bool,
    taking: dict[str, Any],
    **options: Any,
) -> None:
    """Tells what a dataset holds.

    Files, samples, fields, classes, sizes and kinds of images, and which decoder takes them: for that alone some images are
    read, 1,000 at most; none is decoded.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes.
    """
    dataset = open_dataset(paths, index_dir, **options, **taking)
    description, statistics, decoders = (
        describe(dataset),
        image_statistics(dataset),
        decoder_usage(dataset),
    )
    if as_json:
        further = {"statistics": statistics, "decoders": decoders}
        terminal.emit(
            dataclasses.asdict(description)
            | {name: facts and dataclasses.asdict(facts) for name, facts in further.items()}
        )
    else:
        click.echo(described_text(description))
        if statistics:
            click.echo(statistics_text(statistics))
        if decoders:
            click.echo(decoders_text(decoders))


@click.command(epilog=terminal.EPILOG)
@dataset_argument
@click.option("--decode", is_flag=True, help="Decode each image too.")
@table_options
@click.option(
    "--against",
    metavar="SRC",
    callback=existing,
    help="Compare with the folder or table that was packed, byte for byte.",
)
@click.option(
    "-j",
    "--num-workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Files looked at side by side; by default one a core.",
)
@folder_options
@index_dir_option
@json_option
@quiet_option
def verify(
    paths: tuple[str, ...], against: str | None, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Compares a dataset with its checksums.

    Everything is read, and each problem is listed with its place. Records that were cut off or swapped since the file was
    indexed, and files missing from a numbered set, are problems too.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes.
    """
    source = _compared(against, **options.pop("taking"), **options.pop("columns"))
    with terminal.progress("verifying", quiet) as update:
        verified = fastpack.verify(
            without_indexes(paths),
            against=source,
            progress=update,
            **options,
        )
    command = click.get_current_context().command
    verified = dataclasses.replace(
        verified, problems=tuple(in_cli_words(problem, command) for problem in verified.problems)
    )
    if as_json:
        terminal.emit(dataclasses.asdict(verified) | {"is_sound": verified.is_sound})
    else:
        for problem in verified.problems:
            click.echo(printable(problem))
        if not (quiet and verified.is_sound):
            click.echo(verified_text(verified))
    if not verified.is_sound:
        click.get_current_context().exit(terminal.EXIT_DATA)


def _compared(path: str | None, **taking: Any) -> Source | None:
    """What a dataset is compared with. Raises OptionError when columns are named and it is no table."""
    if path is not None and is_table(path):
        return source_at(path, **taking)
    if [name for name in TABLE_COLUMNS if taking.pop(name) is not None]:
        raise OptionError(
            "columns are those of a table; give one with --against, or leave them out"
        )
    return None if path is None else source_at(path, **taking)


@click.command(epilog=terminal.EPILOG)
@dataset_argument
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="An image to write, such as sheet.png, or a page, such as look.html.",
)
@click.option(
    "-n",
    "--rows",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="N",
    help="How many samples to show.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Show a random choice, which the seed decides; by default the first samples.",
)
@click.option("--per-class", is_flag=True, help="Show N samples of each class.")
@click.option(
    "--sample",
    "samples",
    type=click.IntRange(min=0),
    multiple=True,
    metavar="NUMBER",
    help="Show this sample; may come again.",
)
@click.option(
    "--html",
    "as_page",
    is_flag=True,
    help="Write a page for a browser, whatever the ending of OUT.",
)
@click.option(
    "--columns",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Thumbnails beside each other on an image.",
)
@click.option(
    "--tile",
    type=click.IntRange(1, 4096),
    default=160,
    show_default=True,
    help="Side of a thumbnail in pixels.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there already.")
@axes_option
@folder_options
@kinds_option
@index_dir_option
def preview(
    paths: tuple[str, ...],
    output: str,
    as_page: bool,
    index_dir: Path | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Writes a contact sheet of some samples.

    It shows thumbnails with the class name (or label, or key) below; on a page they can be filtered by class and by name.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes.
    """
    as_page = as_page or Path(output).suffix.lower() in (".html", ".htm")
    if as_page:
        check_absent([Path(output)], overwrite)
    else:
        check_sheet_output(Path(output), overwrite=overwrite)
    dataset = open_dataset(
        paths,
        index_dir,
        axes=options.pop("axes"),
        kinds=options.pop("kinds"),
        **options.pop("taking"),
    )
    columns, tile = options.pop("columns"), options.pop("tile")
    chosen = _chosen(dataset, **options)
    if as_page:
        save_page(html_page(dataset, chosen, tile=tile), output, overwrite=overwrite)
    else:
        save_sheet(
            contact_sheet(dataset, chosen, columns=columns, tile=tile), output, overwrite=overwrite
        )
    click.echo(f"{len(chosen)} of {len(dataset)} samples on {output}")


def _chosen(
    dataset: fastpack.Reader, rows: int, seed: int | None, per_class: bool, samples: tuple[int, ...]
) -> npt.NDArray[np.int64]:
    if not samples:
        return choose_samples(dataset, rows, seed=seed, per_class=per_class)
    if max(samples) >= len(dataset):
        raise OptionError(
            f"there is no sample {max(samples)}: the dataset has {len(dataset)}, counted from 0"
        )
    return np.array(samples)


@click.command(epilog=terminal.EPILOG)
@dataset_argument
@click.option(
    "-n",
    "--rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="List the first N that fit; by default all.",
)
@click.option("--match", metavar="PATTERN", help="Only samples whose key fits, such as 'cat/*'.")
@click.option(
    "--class", "class_name", metavar="NAME", help="Only samples of this class, by name or label."
)
@axes_option
@folder_options
@kinds_option
@index_dir_option
@json_option
def ls(
    paths: tuple[str, ...], rows: int | None, index_dir: Path | None, as_json: bool, **options: Any
) -> None:
    """Lists samples: key, label, size, and where each lies.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes.
    """
    dataset = open_dataset(
        paths,
        index_dir,
        axes=options.pop("axes"),
        kinds=options.pop("kinds"),
        **options.pop("taking"),
    )
    samples = list(itertools.islice(list_samples(dataset, **options), rows))
    if as_json:
        terminal.emit({"samples": [dataclasses.asdict(sample) for sample in samples]})
    else:
        click.echo(listed_text(samples))
