"""`fastpack index`, `convert` and `extract`: datasets that are there already, whoever wrote them."""

import dataclasses
from pathlib import Path
from typing import Any

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.options import (
    classes_option,
    dataset_argument,
    folder_options,
    index_dir_option,
    json_option,
    kinds_option,
    names,
    quiet_option,
    without_indexes,
)
from fastpack.cli.text import extracted_text, indexed_text, packed_text
from fastpack.errors import OptionError
from fastpack.formats.discovery import find_shards
from fastpack.formats.indexing import build_indexes
from fastpack.formats.protocols import RecordListContainer
from fastpack.formats.registry import NAMES, of_file
from fastpack.packing.convert import convert as convert_dataset
from fastpack.packing.extract import extract as extract_files


@click.command(epilog=terminal.EPILOG)
@dataset_argument
@click.option(
    "--index-dir",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Write the indexes into this folder.",
)
@click.option("--rebuild", is_flag=True, help="Build indexes anew that are there already.")
@click.option(
    "--seek-points",
    is_flag=True,
    help="Find places inside the JPEGs too where decoding may begin: crops take less time then.",
)
@click.option(
    "--offsets",
    is_flag=True,
    help="Write NAME.idx beside each TFRecord too, the text that DALI and vahidk/tfrecord read.",
)
@click.option(
    "-j",
    "--num-workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Files at once; by default one a core.",
)
@kinds_option
@json_option
@quiet_option
def index(
    paths: tuple[str, ...],
    index_dir: Path | None,
    offsets: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Indexes a dataset where it is.

    Reads and checks everything once and saves what it finds beside the files, so that opening them takes no time; shows
    what a sample holds. Nothing is rewritten.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes.
    """
    chosen = without_indexes(paths)
    lists = record_lists(chosen) if offsets else {}
    with terminal.progress("indexing", quiet) as update:
        indexed = build_indexes(
            chosen,
            index_dir=index_dir,
            progress=update,
            **options,
        )
    write_all_offsets(lists, index_dir)
    if as_json:
        terminal.emit(dataclasses.asdict(indexed))
    elif not quiet:
        click.echo(indexed_text(indexed))


def record_lists(paths: list[str]) -> dict[Path, RecordListContainer]:
    """Return the container of each file. Raises OptionError if one has no lists of records."""
    found = {}
    for shard in find_shards(paths):
        container = of_file(shard)
        if not isinstance(container, RecordListContainer):
            raise OptionError(
                f"--offsets lists the records of TFRecords; leave it out - at {shard}"
            )
        found[shard] = container
    return found


def write_all_offsets(lists: dict[Path, RecordListContainer], folder: Path | None) -> None:
    for shard, container in lists.items():
        container.write_offsets(shard, (folder or shard.parent) / f"{shard.name}.idx")


@click.command(epilog=terminal.EPILOG)
@dataset_argument
@click.argument("output", metavar="OUT")
@click.option(
    "--format",
    type=click.Choice(NAMES),
    help="What to write; by default the ending of OUT says it.",
)
@click.option(
    "--fields",
    metavar="A,B",
    callback=names,
    help="Which fields to keep beside image, label and key; by default all.",
)
@click.option(
    "--float64",
    type=click.Choice(["refuse", "round"]),
    help="Of floats that TFRecord changes; by default refused.",
)
@click.option("--shards", type=click.IntRange(min=1), metavar="N", help="Write N files.")
@click.option(
    "--shard-size", metavar="SIZE", help="Write files of at most this size, such as 1GB or 256MiB."
)
@click.option(
    "-j",
    "--num-workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads; by default one a core.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace all files of OUT that are there, as a whole."
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on where the same conversion was interrupted, also with --overwrite.",
)
@classes_option
@folder_options
@kinds_option
@index_dir_option
@json_option
@quiet_option
def convert(
    paths: tuple[str, ...],
    output: str,
    overwrite: bool,
    resume: bool,
    index_dir: Path | None,
    as_json: bool,
    quiet: bool,
    taking: dict[str, Any],
    kinds: dict[str, str],
    **options: Any,
) -> None:
    """Writes a dataset in another format, image files unmodified.

    OUT is the file to write: train.tfrecord, train.h5, or train.tar as WebDataset reads it. With no ending it is a folder, as
    `extract` writes it, where that holds all there is. What a format cannot hold is refused before anything is written.

    PATH is a TFRecord (also gzip'ed), HDF5 or tar file, a folder of shards or of images, or a glob in quotes.
    """
    if options["format"] is None and Path(output).suffix == "":
        refuse_options(options | {"resume": resume or None})
        shown: dict[str, Any] = {"as_json": as_json, "quiet": quiet}
        write_files(
            paths,
            output,
            overwrite=overwrite,
            index_dir=index_dir,
            taking=taking,
            kinds=kinds,
            whole=True,
            **shown,
        )
        return
    with terminal.progress("converting", quiet) as update:
        packed = convert_dataset(
            without_indexes(paths),
            output,
            fastpack.PackOptions(
                **{name: value for name, value in options.items() if value is not None}, **taking
            ),
            index_dir=index_dir,
            kinds=kinds,
            overwrite=overwrite,
            resume=resume,
            progress=update,
        )
    if as_json:
        terminal.emit(dataclasses.asdict(packed))
    elif not quiet:
        click.echo(packed_text(packed))


@click.command(epilog=terminal.EPILOG)
@dataset_argument
@click.argument("output", metavar="DIR")
@click.option("--field", help="Which files, when not the images.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@folder_options
@kinds_option
@index_dir_option
@json_option
@quiet_option
def extract(paths: tuple[str, ...], output: str, field: str | None, **options: Any) -> None:
    """Writes the files of a dataset into a folder, or into one .tar, byte for byte.

    Each is called by its key, or by its number when there are no keys. DIR is made when it is not there, and no file is
    written outside it.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes.
    """
    write_files(paths, output, field, **options)


def refuse_options(options: dict[str, Any]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise OptionError(
            f"a folder or tar of files has no {given[0]}; leave it out, or name a file such as train.tfrecord"
        )


def write_files(
    paths: tuple[str, ...],
    output: str,
    field: str | None = None,
    *,
    overwrite: bool,
    index_dir: Path | None,
    as_json: bool,
    quiet: bool,
    taking: dict[str, Any],
    kinds: dict[str, str],
    whole: bool = False,
) -> None:
    with terminal.progress("extracting", quiet) as update:
        extracted = extract_files(
            fastpack.open(
                without_indexes(paths), index_dir=index_dir, save_index=False, kinds=kinds, **taking
            ),
            output,
            field=field,
            overwrite=overwrite,
            whole=whole,
            progress=update,
        )
    if as_json:
        terminal.emit(dataclasses.asdict(extracted))
    elif not quiet:
        click.echo(extracted_text(extracted))
