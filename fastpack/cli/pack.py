"""`fastpack pack`."""

import dataclasses
from collections import Counter
from typing import Any

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.commands import Command
from fastpack.cli.formatting import aligned, cut, printable
from fastpack.cli.options import (
    classes_option,
    existing,
    float64_option,
    folder_options,
    format_option,
    fractions,
    image_size,
    json_option,
    names,
    num_workers_option,
    number,
    overwrite_option,
    quiet_option,
    renamed,
    shards_options,
    table_options,
)
from fastpack.core.plural import counted
from fastpack.core.units import readable_size
from fastpack.formats.storage import COMPRESSIONS
from fastpack.packing import PackResult
from fastpack.packing.open_source import open_source
from fastpack.packing.transcode import JPEG_CHOICES, METADATA_CHOICES, Transcodes

SECTIONS = {
    "Images": [
        "size",
        "resize_max",
        "quality",
        "color",
        "bits",
        "alpha",
        "jpeg",
        "metadata",
        "check",
    ],
    "Selection": [
        "include",
        "exclude",
        "fields",
        "names",
        "classes",
        "class_folder",
        "sidecars",
        "allow_external",
        "duplicates",
        "split",
        "shuffle_seed",
    ],
    "Shards and files": [
        "output",
        "format",
        "shards",
        "shard_size",
        "seek_points",
        "float64",
        "overwrite",
        "append",
        "resume",
        "sync",
        "scratch",
    ],
    "HDF5 storage": [
        "layout",
        "compression",
        "level",
        "byte_shuffle",
        "fletcher32",
        "chunk",
        "virtual",
    ],
    "Table sources": ["root", "path_column", "label_column", "image_columns"],
    "Work": ["num_workers", "memory", "on_error", "dry_run"],
}


# The options are the fields of PackOptions. They have the same names and are passed together.
@click.command(cls=Command, sections=SECTIONS)
@click.argument("src", callback=existing)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="The file to write, such as train.tfrecord or train.h5; or s3://bucket/train.tfrecord.",
)
@format_option
@shards_options
@click.option(
    "--seek-points",
    is_flag=True,
    help="Save places inside JPEGs where decoding can begin. Random crops then decode faster.",
)
@float64_option
@overwrite_option("Replace all existing files of OUT, as a whole.")
@click.option(
    "--append",
    is_flag=True,
    help="Write the samples into new shards of OUT. Labels are mapped to its class names.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the same pack after an interruption, also with --overwrite or --append.",
)
@click.option(
    "--no-sync",
    "sync",
    is_flag=True,
    default=True,
    flag_value=False,
    help="Do not wait until files are on the disk.",
)
@click.option(
    "--scratch",
    metavar="DIR",
    help="Folder for a few shards at a time, if OUT is in a store. Default: the system's.",
)
@click.option(
    "--size",
    metavar="HxW",
    callback=image_size,
    help="Resample to height x width, such as 224x320; 224 means 224x224.",
)
@click.option(
    "--resize-max",
    type=click.IntRange(min=1),
    metavar="N",
    help="Scale down and re-encode images with a side of more than N pixels.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Re-encode all images with this quality. Other re-encoding uses 95.",
)
@click.option(
    "--color",
    type=click.Choice(["RGB", "BGR", "GRAY"], case_sensitive=False),
    default="RGB",
    help="Color of decoded pixels.",
)
@click.option(
    "--bits",
    type=click.Choice(["8", "16"]),
    callback=number,
    help="Bits of decoded pixels. Default: those of the images.",
)
@click.option(
    "--alpha",
    type=click.Choice(["drop", "white", "black"]),
    default="drop",
    help="Transparency of decoded or re-encoded images: drop it, or draw on white or black.",
)
@click.option(
    "--jpeg",
    type=click.Choice(JPEG_CHOICES),
    default="keep",
    help="fast: rewrite progressive and arithmetic JPEGs as sequential JPEGs of the same pixels.",
)
@click.option(
    "--metadata",
    type=click.Choice(METADATA_CHOICES),
    default="keep",
    help="strip: remove EXIF and other metadata except the orientation.",
)
@click.option(
    "--strip-metadata",
    "metadata",
    flag_value="strip",
    help="Same as --metadata strip. Pixels stay the same.",
)
@click.option(
    "--check",
    type=click.Choice(["header", "decode"]),
    default="header",
    help="decode: decode each image once to find damage.",
)
@click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help="Pack only samples whose key matches: '*.jpg', 'cat/*'. Repeatable.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="Leave out samples whose key matches. Repeatable.",
)
@click.option(
    "--fields",
    metavar="A,B",
    callback=names,
    help="Columns of a table to keep beside label and key. Default: all.",
)
@click.option(
    "--names",
    metavar="FIELD=NAME",
    multiple=True,
    callback=renamed,
    help="Names of fields in the files, such as image=image/encoded,label=y. Repeatable.",
)
@classes_option
@folder_options
@click.option(
    "--duplicates",
    type=click.Choice(["keep", "report", "drop"]),
    default="keep",
    help="Treatment of images with exactly the same bytes.",
)
@click.option(
    "--dedupe",
    "duplicates",
    flag_value="drop",
    help="Same as --duplicates drop: keep only the first of equal images.",
)
@click.option(
    "--split",
    metavar="train=0.9,val=0.1",
    callback=fractions,
    help="Write a dataset for each part. A hash of the key decides the part.",
)
@click.option(
    "--shuffle-seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="Pack in the random order of this seed.",
)
@click.option(
    "--layout",
    type=click.Choice(["auto", "encoded", "vlen", "pixels"]),
    default="auto",
    help="encoded or vlen: image files as they are. pixels: decoded, one size. "
    "auto: pixels with a --size, else encoded.",
)
@click.option(
    "--compression",
    type=click.Choice(COMPRESSIONS),
    default="none",
    help="Compression of pixels. Other readers need hdf5plugin, except for gzip.",
)
@click.option("--level", type=int, metavar="N", help="Compression level. Default: the usual one.")
@click.option("--byte-shuffle", is_flag=True, help="Sort the bytes of numbers before compression.")
@click.option(
    "--fletcher32/--no-fletcher32",
    default=None,
    help="HDF5's checksum for each chunk. Default: on if chunks are compressed.",
)
@click.option(
    "--chunk",
    type=click.IntRange(min=1),
    metavar="N",
    help="Samples in a chunk of pixels. Default: depends on their size.",
)
@click.option(
    "--virtual",
    is_flag=True,
    help="Also write a file in which h5py sees several shards of pixels as one dataset.",
)
@table_options
@num_workers_option("Threads. Default: one for each core.")
@click.option("--memory", metavar="SIZE", help="Maximum memory of all batches, such as 512MB.")
@click.option(
    "--on-error",
    type=click.Choice(["raise", "skip"]),
    default="raise",
    help="skip: leave out bad samples and report them in OUT.rejects.jsonl.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be written, and write nothing.")
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
    folder: dict[str, Any],
    columns: dict[str, Any],
    **options: Any,
) -> None:
    """Pack images into TFRecord or HDF5 files.

    SRC is a folder of images (class = folder) or a CSV, TSV, JSONL or Parquet table of image paths.
    It can also be a dataset: a file, a folder of shards, or a glob in quotes.
    """
    pack_options = fastpack.PackOptions(**options, allow_external=folder["allow_external"])
    source = open_source(src, fields=pack_options.fields, **folder, **columns)
    with terminal.progress("packing", quiet) as update:
        result = fastpack.pack(
            source,
            output,
            pack_options,
            overwrite=overwrite,
            append=append,
            resume=resume,
            progress=update,
        )
    if as_json:
        terminal.emit(dataclasses.asdict(result))
    elif result.planned:
        click.echo("\n".join(planned_lines(result)))
    elif not quiet:
        click.echo(packed_text(result))
    if any(reject.is_left_out for reject in result.rejects):
        click.get_current_context().exit(terminal.EXIT_SKIPPED)


def packed_text(result: PackResult) -> str:
    """Summarize a pack: files, speed, splits, rewritten JPEGs and samples that were left out."""
    first, *others = result.paths
    where = f"{first} and {len(others):,} more" if others else str(first)
    rate = result.num_samples / result.seconds if result.seconds else 0
    summary = (
        f"packed {counted(result.num_samples, 'sample')} ({readable_size(result.source_bytes)}) "
        f"into {where} ({readable_size(result.output_bytes)}) "
        f"in {result.seconds:.1f} s, {rate:,.0f} samples/s"
    )
    transcodes = [_transcodes_text(result.transcodes)] if result.transcodes else []
    return "\n".join(
        [printable(summary), *_split_lines(result), *transcodes, *_rejected_lines(result)]
    )


def planned_lines(result: PackResult) -> list[str]:
    """Summarize a dry run."""
    source = f"{counted(result.num_samples, 'sample')} ({readable_size(result.source_bytes)})"
    rows = [
        (str(shard.path), f"{shard.num_samples:,}", f"about {readable_size(shard.num_bytes)}")
        for shard in result.planned
    ]
    return [
        f"would pack {source}; nothing is written",
        *cut(aligned([("file", "samples", "size"), *rows])),
        *_split_lines(result),
        *_rejected_lines(result),
    ]


def _split_lines(result: PackResult) -> list[str]:
    parts = ", ".join(f"{name} {count:,}" for name, count in result.splits.items())
    return [printable(f"samples of each split: {parts}")] if parts else []


def _transcodes_text(transcodes: Transcodes) -> str:
    before, after = readable_size(transcodes.bytes_before), readable_size(transcodes.bytes_after)
    sizes = f" ({before} became {after})" if transcodes.num_transcoded else ""
    kept = "".join(f"; {count:,} {reason}" for reason, count in transcodes.left_alone.items())
    return f"JPEGs: {transcodes.num_transcoded:,} made fast{sizes}{kept}"


def _rejected_lines(result: PackResult) -> list[str]:
    left_out = [reject for reject in result.rejects if reject.is_left_out]
    counts = Counter(reject.reason for reject in left_out)
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
    listed = f"; {result.report} lists them" if result.report else ""
    lines = [f"left out {counted(len(left_out), 'sample')}: {reasons}{listed}"] if left_out else []
    if num_kept := len(result.rejects) - len(left_out):
        lines.append(f"{counted(num_kept, 'sample')} with the bytes of an earlier one{listed}")
    return [printable(line) for line in lines]
