"""`fastpack pack`."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.options import (
    classes_option,
    existing,
    folder_options,
    fractions,
    image_size,
    json_option,
    names,
    number,
    quiet_option,
    renamed,
    table_options,
)
from fastpack.cli.text import packed_text, planned_lines
from fastpack.errors import EmptySourceError, OptionError
from fastpack.formats.registry import NAMES
from fastpack.formats.storage import COMPRESSIONS
from fastpack.packing.transcode import JPEG_CHOICES, METADATA_CHOICES
from fastpack.sources import Source, is_table, source_of


# The options are the fields of PackOptions, under the same names, and go there together.
@click.command(epilog=terminal.EPILOG)
@click.argument("src", callback=existing)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="The file to write, such as train.tfrecord or train.h5.",
)
@click.option(
    "--format",
    type=click.Choice(NAMES),
    help="What to write; by default the ending of OUT says it.",
)
@click.option(
    "--layout",
    type=click.Choice(["auto", "encoded", "vlen", "pixels"]),
    default="auto",
    help="Of HDF5: image files as they are, in one piece or as rows of variable length, or decoded pixels of one size. "
    "auto: pixels when there is a --size, else encoded.",
)
@click.option(
    "--size",
    metavar="HxW",
    callback=image_size,
    help="Resample to height x width, such as 224x320; 224 is 224x224.",
)
@click.option("--shards", type=click.IntRange(min=1), metavar="N", help="Write N files, numbered.")
@click.option(
    "--shard-size",
    metavar="SIZE",
    help="Write numbered files of at most this size, such as 1GB or 256MiB.",
)
@click.option(
    "-j",
    "--num-workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads; by default one a core.",
)
@click.option(
    "--color",
    type=click.Choice(["RGB", "BGR", "GRAY"], case_sensitive=False),
    default="RGB",
    help="Of decoded pixels.",
)
@click.option(
    "--bits",
    type=click.Choice(["8", "16"]),
    callback=number,
    help="Of decoded pixels; by default those of the images.",
)
@click.option(
    "--alpha",
    type=click.Choice(["drop", "white", "black"]),
    default="drop",
    help="Of decoded or re-encoded images: leave transparency out, or show them on that ground.",
)
@click.option(
    "--jpeg",
    type=click.Choice(JPEG_CHOICES),
    default="keep",
    help="fast: rewrite progressive and arithmetic JPEGs as sequential ones that decode to the same pixels.",
)
@click.option(
    "--metadata",
    type=click.Choice(METADATA_CHOICES),
    default="keep",
    help="strip: EXIF and the like, but not the orientation.",
)
@click.option(
    "--strip-metadata",
    "metadata",
    flag_value="strip",
    help="The same as --metadata strip. Pixels stay the same.",
)
@click.option(
    "--resize-max",
    type=click.IntRange(min=1),
    metavar="N",
    help="Scale down and encode again images with a side of more than N pixels.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Encode all images again, also to a --size; by default 95 where it must be.",
)
@click.option(
    "--check",
    type=click.Choice(["header", "decode"]),
    default="header",
    help="decode: see whether each image can be, as it is packed.",
)
@click.option(
    "--compression",
    type=click.Choice(COMPRESSIONS),
    default="none",
    help="Of pixels; all but gzip ask other readers for hdf5plugin.",
)
@click.option(
    "--level", type=int, metavar="N", help="How hard to compress; by default what is usual."
)
@click.option("--byte-shuffle", is_flag=True, help="Sort the bytes of numbers before compressing.")
@click.option(
    "--fletcher32/--no-fletcher32",
    default=None,
    help="HDF5's checksum for each chunk; by default where chunks are compressed.",
)
@click.option(
    "--chunk",
    type=click.IntRange(min=1),
    metavar="N",
    help="Samples in a chunk of pixels; by default as fits their size.",
)
@click.option(
    "--virtual",
    is_flag=True,
    help="Of several shards of pixels: write a file in which h5py sees them as one, too.",
)
@click.option("--memory", metavar="SIZE", help="What batches may take together, such as 512MB.")
@click.option(
    "--on-error",
    type=click.Choice(["raise", "skip"]),
    default="raise",
    help="skip: leave bad samples out and report them in OUT.rejects.jsonl.",
)
@click.option(
    "--float64",
    type=click.Choice(["refuse", "round"]),
    default="refuse",
    help="Of floats that TFRecord would change.",
)
@click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help="Pack only samples whose key fits: '*.jpg', 'cat/*'. May be repeated.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="Leave out samples whose key fits. May be repeated.",
)
@classes_option
@folder_options
@click.option(
    "--fields",
    metavar="A,B",
    callback=names,
    help="Which columns of a table to keep beside label and key; by default all.",
)
@click.option(
    "--names",
    metavar="FIELD=NAME",
    multiple=True,
    callback=renamed,
    help="What the files call a field: image=image/encoded. Commas between several; may be repeated.",
)
@table_options
@click.option(
    "--shuffle-seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="Pack in the random order of this seed.",
)
@click.option(
    "--split",
    metavar="train=0.9,val=0.1",
    callback=fractions,
    help="Write a dataset for each part, by a hash of the samples' keys.",
)
@click.option(
    "--duplicates",
    type=click.Choice(["keep", "report", "drop"]),
    default="keep",
    help="Of images with exactly the same bytes.",
)
@click.option(
    "--dedupe",
    "duplicates",
    flag_value="drop",
    help="Leave out images with exactly the bytes of an earlier one.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be written, and write nothing.")
@click.option(
    "--seek-points",
    is_flag=True,
    help="Note in the index where decoding may begin inside the JPEGs: crops take less time.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace all files of OUT that are there, as a whole."
)
@click.option(
    "--append",
    is_flag=True,
    help="Put the samples into new shards of OUT. Labels are mapped to its class names.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on where the same pack was interrupted, also with --overwrite or --append.",
)
@click.option(
    "--no-sync",
    "sync",
    is_flag=True,
    default=True,
    flag_value=False,
    help="Do not wait for the disk.",
)
@json_option
@quiet_option
def pack(
    src: str,
    output: str,
    overwrite: bool,
    append: bool,
    resume: bool,
    as_json: bool,
    quiet: bool,
    taking: dict[str, Any],
    columns: dict[str, Any],
    **options: Any,
) -> None:
    """Packs SRC into TFRecord or HDF5 files.

    SRC is a folder of images (class = folder), a CSV, TSV, JSONL or Parquet table that names them, or a
    TFRecord or HDF5 dataset: a file, a folder of shards, or a glob in quotes.
    """
    pack_options = fastpack.PackOptions(**options, allow_external=taking["allow_external"])
    source = _source_at(src, pack_options.fields, taking, columns)
    with terminal.progress("packing", quiet) as update:
        packed = fastpack.pack(
            source,
            output,
            pack_options,
            overwrite=overwrite,
            append=append,
            resume=resume,
            progress=update,
        )
    if as_json:
        terminal.emit(dataclasses.asdict(packed))
    elif packed.planned:
        click.echo("\n".join(planned_lines(packed)))
    elif not quiet:
        click.echo(packed_text(packed))
    if any(reject.is_left_out for reject in packed.rejects):
        click.get_current_context().exit(terminal.EXIT_SKIPPED)


def _source_at(
    path: str, fields: Sequence[str] | None, taking: dict[str, Any], columns: dict[str, Any]
) -> Source:
    """The images of a folder or of a table; else the dataset that is there."""
    if is_table(path):
        return source_of(path, fields=fields, **taking, **columns)
    if given := [name for name, value in columns.items() if value is not None]:
        raise OptionError(
            f"--{given[0].replace('_', '-')} is for a table, and {path} is not one; leave it out"
        )
    if not os.path.isdir(path):
        return fastpack.open(path, decode=False, **taking)
    try:
        return fastpack.from_folder(path, **taking)
    except EmptySourceError as no_images:
        try:
            return fastpack.open(path, decode=False, **taking)
        except EmptySourceError:
            raise no_images from None
