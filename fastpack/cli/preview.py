"""`fastpack preview`."""

from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

import fastpack
from fastpack.cli.commands import Command
from fastpack.cli.formatting import printable
from fastpack.cli.options import (
    axes_option,
    dataset_argument,
    folder_options,
    index_dir_option,
    kinds_option,
    open_dataset,
    overwrite_option,
)
from fastpack.core.plural import counted
from fastpack.errors import OptionError
from fastpack.files.atomic import check_absent
from fastpack.inspection.contact_sheet import (
    check_sheet_output,
    choose_samples,
    contact_sheet,
    save_sheet,
)
from fastpack.inspection.page import html_page, save_page


@click.command(cls=Command)
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
    help="Number of samples to show.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Show random samples, chosen by this seed. Default: the first samples.",
)
@click.option("--per-class", is_flag=True, help="Show N samples of each class.")
@click.option(
    "--sample",
    "samples",
    type=click.IntRange(min=0),
    multiple=True,
    metavar="NUMBER",
    help="Show this sample. Repeatable.",
)
@click.option(
    "--html",
    "as_page",
    is_flag=True,
    help="Write a page for a browser, whatever the suffix of OUT.",
)
@click.option(
    "--columns",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Thumbnails in a row of an image.",
)
@click.option(
    "--tile",
    type=click.IntRange(1, 4096),
    default=160,
    show_default=True,
    help="Side of a thumbnail in pixels.",
)
@overwrite_option("Replace an existing OUT.")
@axes_option
@folder_options
@kinds_option
@index_dir_option
def preview(
    paths: tuple[str, ...],
    output: str,
    rows: int,
    seed: int | None,
    per_class: bool,
    samples: tuple[int, ...],
    as_page: bool,
    columns: int,
    tile: int,
    overwrite: bool,
    index_dir: Path | None,
    folder: dict[str, Any],
    **options: Any,
) -> None:
    """Write a contact sheet of samples.

    It shows thumbnails with the class name (or label, or key) below. On a page they can be
    filtered by class and by name.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes. It
    may be a URL, such as s3://bucket/train.tfrecord.
    """
    as_page = as_page or Path(output).suffix.lower() in (".html", ".htm")
    if as_page:
        check_absent([Path(output)], overwrite)
    else:
        check_sheet_output(Path(output), overwrite=overwrite)
    dataset = open_dataset(paths, index_dir, **options, **folder)
    if samples:
        chosen = _numbers(dataset, samples)
    else:
        chosen = choose_samples(dataset, rows, seed=seed, per_class=per_class)
    if as_page:
        save_page(html_page(dataset, chosen, tile=tile), output, overwrite=overwrite)
    else:
        sheet = contact_sheet(dataset, chosen, columns=columns, tile=tile)
        save_sheet(sheet, output, overwrite=overwrite)
    total = counted(len(dataset), "sample")
    click.echo(printable(f"{len(chosen):,} of {total} on {output}"))


def _numbers(dataset: fastpack.Reader, samples: tuple[int, ...]) -> npt.NDArray[np.int64]:
    if max(samples) >= len(dataset):
        raise OptionError(
            f"sample {max(samples)} does not exist; give a number below {len(dataset)}"
        )
    return np.array(samples)
