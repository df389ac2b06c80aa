"""`fastpack index`."""

import dataclasses
from pathlib import Path
from typing import Any

import click

import fastpack
from fastpack.cli import terminal
from fastpack.cli.commands import Command
from fastpack.cli.info import field_lines
from fastpack.cli.options import (
    dataset_argument,
    index_dir_option,
    json_option,
    kinds_option,
    num_workers_option,
    quiet_option,
    without_indexes,
)
from fastpack.core.plural import counted
from fastpack.core.units import readable_size
from fastpack.errors import Location, OptionError, with_location
from fastpack.formats import IndexResult
from fastpack.formats.discovery import find_shards
from fastpack.formats.protocols import RecordListContainer
from fastpack.formats.registry import of_file
from fastpack.stores.store_path import is_in_store


@click.command(cls=Command)
@dataset_argument
@index_dir_option
@click.option("--rebuild", is_flag=True, help="Also rebuild existing indexes.")
@click.option(
    "--seek-points",
    is_flag=True,
    help="Also find places inside JPEGs where decoding can begin. Crops then decode faster.",
)
@click.option(
    "--offsets",
    is_flag=True,
    help="Also write NAME.idx beside each TFRecord, for DALI and vahidk/tfrecord.",
)
@num_workers_option("Number of files to index at once. Default: one for each core.")
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
    """Index a dataset in place.

    Reads and checks everything once and saves an index beside each file, so that opening is
    instant. Prints the fields of a sample. No dataset is changed.

    PATH is a TFRecord, HDF5 or tar file, a folder of shards or of images, or a glob in quotes. It
    may be a URL, such as s3://bucket/train.tfrecord: then indexes are put beside the objects.
    """
    chosen = without_indexes(paths)
    lists = record_lists(chosen) if offsets else {}
    with terminal.progress("indexing", quiet) as update:
        result = fastpack.build_indexes(chosen, index_dir=index_dir, progress=update, **options)
    write_all_offsets(lists, index_dir)
    if as_json:
        terminal.emit(dataclasses.asdict(result))
    elif not quiet:
        click.echo(indexed_text(result))


def record_lists(paths: list[str]) -> dict[Path, RecordListContainer]:
    """Return the container of each file. A file whose format lists no records is an error."""
    found = {}
    for shard in find_shards(paths):
        if is_in_store(shard):
            message = "--offsets writes files beside local ones; leave it out for stores"
            raise OptionError(with_location(message, Location(shard)))
        container = of_file(shard)
        if not isinstance(container, RecordListContainer):
            message = "--offsets lists the records of TFRecords; leave it out"
            raise OptionError(with_location(message, Location(shard)))
        found[shard] = container
    return found


def write_all_offsets(lists: dict[Path, RecordListContainer], folder: Path | None) -> None:
    for shard, container in lists.items():
        container.write_offsets(shard, (folder or shard.parent) / f"{shard.name}.idx")


def indexed_text(result: IndexResult) -> str:
    """List the fields, then summarize: how much was indexed, how fast, and the size of indexes."""
    rate = result.num_bytes / result.seconds if result.seconds else 0
    samples, files = counted(result.num_samples, "sample"), counted(len(result.paths), "file")
    per_sample = result.index_bytes / max(1, result.num_samples)
    summary = (
        f"{samples} in {files} ({readable_size(result.num_bytes)}) "
        f"in {result.seconds:.1f} s, {readable_size(int(rate))}/s; "
        f"{per_sample:.0f} bytes of index per sample"
    )
    if result.num_fresh:
        summary += f", {counted(result.num_fresh, 'index', 'indexes')} existed already"
    lines = [*field_lines(result.schema.fields), summary]
    if result.num_with_seek_points:
        share = 100 * result.seek_point_bytes / max(1, result.num_bytes)
        images = counted(result.num_with_seek_points, "image")
        size = readable_size(result.seek_point_bytes)
        lines.append(f"{images} with seek points, {size} ({share:.2f}%)")
    return "\n".join(lines)
