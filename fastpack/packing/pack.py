"""pack: writes the samples of a source to files of a standard format, all or nothing."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

from fastpack.core.progress import Progress
from fastpack.errors import OptionError, warn
from fastpack.files.arguments import check_arguments
from fastpack.files.companions import report_path
from fastpack.files.file_names import path_of
from fastpack.files.naming import Member, data_members
from fastpack.formats.index.index import Index
from fastpack.packing.destination import Destination, Mode, Stage, Written, destination_of
from fastpack.packing.open_source import open_source
from fastpack.packing.options import PackKwargs, PackOptions, pack_options
from fastpack.packing.pack_folder import receipt_of
from fastpack.packing.packer import Faults, Packer, ProgressCounter
from fastpack.packing.plan import PackPlan, plan_pack
from fastpack.packing.rejects import DUPLICATE, KEPT_DUPLICATE, Reject
from fastpack.packing.results import PackResult, PlannedShard
from fastpack.packing.transcode import Transcodes
from fastpack.packing.virtual_dataset import virtual_container
from fastpack.reading.class_lists import class_list
from fastpack.reading.reader import Reader
from fastpack.sources import Source
from fastpack.stores.store_path import is_in_store


def pack(
    source: Source | str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: PackOptions | None = None,
    *,
    overwrite: bool = False,
    append: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    **keywords: Unpack[PackKwargs],
) -> PackResult:
    """Pack images into TFRecord, HDF5 or tar files that other programs can read.

    Each shard is written in a hidden folder beside the output, read back, compared with the
    checksums of its samples and synced. Then all shards get their names. Until then no existing
    file changes. Finished shards of a failed pack stay in that folder for `resume`. If a pack is
    killed while files get their names, the next pack completes it; until then `open` raises
    MixedSetError.

    Args:
        source: a folder of images (class = folder), a CSV, JSONL or Parquet table of images, a
            packed dataset, or a Source such as a Reader.
        output: the file to write, such as "train.tfrecord", "train.h5" or "train.tar", or a URL
            such as "s3://bucket/train.tfrecord". With
            `shards` or `shard_size`, files are named "train-00000-of-00010.tfrecord" and so on.
            `open` takes the output's name for all of them.
        options: how to pack.
        overwrite: replace all files of the output, even if there will be fewer.
        append: add new shards to those of the output, with the next numbers. They need the same
            fields. New class names come after those of the output.
        resume: continue an interrupted pack of the same source with the same options; its finished
            shards are kept. Without an interrupted pack, start one.
        progress: called with (samples done, samples in all, bytes done).
        **keywords: fields of PackOptions; they override those of `options`.

    Returns:
        The files, counts, and what was left out.

    Raises:
        OptionError: an option is not valid.
        EmptySourceError: there are no samples to pack.
        OutputExistsError: the output exists, without `overwrite`, `append` or `resume`.
        PlanChangedError: `resume` with another source or other options.
        StagingBusyError: another process is packing to this output.
        FastpackError: a sample is bad, or a file cannot be read or written.

    Example:
        >>> import numpy as np
        >>> from fastpack.images.codecs import encode
        >>> folder = getfixture("tmp_path")
        >>> (folder / "photos" / "cat").mkdir(parents=True)
        >>> png = encode(np.zeros((8, 8, 3), np.uint8), "png")
        >>> _ = (folder / "photos" / "cat" / "a.png").write_bytes(png)
        >>> pack(folder / "photos", folder / "cats.h5", size=4).num_samples
        1
    """
    started = time.perf_counter()
    check_arguments(overwrite=overwrite, append=append, resume=resume, progress=progress)
    options = pack_options(options, keywords)
    if append and overwrite:
        raise OptionError("give append or overwrite, not both")
    destination = destination_of(output, options, Mode(overwrite, append, resume))
    destination.check()
    options = replace(options, classes=class_list(options.classes) or None)
    samples = _source_of(source, options)
    if not options.dry_run:
        destination.prepare()
    plan = plan_pack(samples, destination.local, options, append=append, resume=resume)
    warn(plan.notes)
    if options.dry_run:
        plan.refuse_faulty()
        return _dry_run_result(plan, destination, time.perf_counter() - started)
    if resume and append and (finished := _appended_before(plan)) is not None:
        written = destination.written(finished)
        return _result(finished, written, *_reported(finished), time.perf_counter() - started)
    with destination.stage(plan) as staging:
        rejects, faulty, transcodes = _publish(plan, staging, progress)
    written = destination.written(plan)
    warn(written.notes)
    result = _result(plan, written, rejects, faulty, time.perf_counter() - started)
    return replace(result, transcodes=transcodes)


def _publish(
    plan: PackPlan, staging: Stage, progress: Progress | None
) -> tuple[list[Reject], list[Reject], Transcodes | None]:
    """Write all files and give them their names.

    Returns all rejects, the bad samples among them, and the counts of rewritten JPEGs.
    """
    if not staging.is_published:
        plan.refuse_faulty()
        _write(plan, staging, progress)
        _write_virtual_datasets(plan, staging)
    faulty, transcodes = staging.rejects, staging.transcodes
    rejects = sorted([*plan.rejects, *faulty], key=lambda reject: reject.sample)
    staging.publish(rejects)
    return rejects, faulty, transcodes


def _appended_before(plan: PackPlan) -> PackPlan | None:
    """Return the plan with the shards that the same pack appended before."""
    paths = plan.joined.written_by(receipt_of(plan.facts())) if plan.joined else []
    if not paths or len(paths) != len(plan.paths):
        return None
    return replace(plan, paths=tuple(paths), report=report_path(paths[0]))


def _reported(plan: PackPlan) -> tuple[list[Reject], list[Reject]]:
    """Read the report of a finished pack: all rejects, and the bad samples among them."""
    lines = plan.report.read_text().splitlines() if plan.report.exists() else []
    rejects = [Reject.from_facts(json.loads(line)) for line in lines]
    duplicates = (DUPLICATE, KEPT_DUPLICATE)
    return rejects, [reject for reject in rejects if reject.reason not in duplicates]


def _write_virtual_datasets(plan: PackPlan, staging: Stage) -> None:
    """Write virtual datasets of the existing shards and the staged ones."""
    for virtual in plan.virtual_paths:
        new = [
            path for path in plan.paths if (member := Member.of(path)) and member.output == virtual
        ]
        old = [path for path in data_members(virtual) if path not in new] if plan.joined else []
        container = virtual_container(plan.container, virtual)
        shards = [*old, *map(staging.staged, new)]
        container.write_virtual_dataset(staging.staged(virtual), shards, sync=plan.options.sync)


def _source_of(source: Source | str | os.PathLike[str], options: PackOptions) -> Source:
    if isinstance(source, (str, os.PathLike)) or is_in_store(source):
        path = path_of("source", source)
        return open_source(path, fields=options.fields, **options.select.source_options)
    if options.class_folder is not None or options.sidecars is not None:
        message = "class_folder and sidecars are for the path of a source"
        raise OptionError(f"{message}; give them to `from_folder` or `open`, which made this one")
    if not hasattr(source, "read") or not hasattr(source, "schema"):
        message = f"a source is a path, an ImageFiles or a Reader, not {type(source).__name__}"
        raise OptionError(f"{message}; of a list of files make ImageFiles(files, labels)")
    return _stored(source) if isinstance(source, Reader) else source


def _stored(source: Reader) -> Reader:
    """Return a Reader that gives the stored files. Raises OptionError for one that changes them."""
    if not source.options.decode:
        return source
    if source.options.steps:
        raise OptionError("pack stores whole images; open the source without a transform")
    return source.with_options(decode=False)


def _write(plan: PackPlan, staging: Stage, progress: Progress | None) -> None:
    """Write the shards that are not finished."""

    def finish(number: int, index: Index, faults: Faults) -> None:
        if plan.joined:
            plan.joined.refuse_index(index)
        staging.finish(number, index, plan.rejected(faults), plan.transcodes(number))

    missing = {
        number: staging.path(number)
        for number in range(len(plan.paths))
        if not staging.is_finished(number)
    }
    if plan.pack_input.keeps_sizes and not plan.options.storage.is_filtered:
        sizes = plan.stored_sizes
        staging.require_space(
            [int(sizes[plan.cuts[number] : plan.cuts[number + 1]].sum()) for number in missing]
        )
    Packer(
        plan.container,
        plan.pack_input,
        plan.options.write,
        ProgressCounter(progress, len(plan.source)),
        finish,
        staging.begin,
    ).write(missing, plan.cuts)


def _result(
    plan: PackPlan,
    written: Written,
    rejects: Sequence[Reject],
    faulty: Sequence[Reject],
    seconds: float,
) -> PackResult:
    left_out = [reject.sample for reject in faulty]
    return PackResult(
        written.paths,
        len(plan.source) - len(faulty),
        int(plan.source.sizes.sum()) - plan.source.bytes_of(left_out),
        written.num_bytes,
        seconds,
        rejects=tuple(rejects),
        report=written.report if rejects else None,
        notes=(*plan.notes, *written.notes),
        splits=plan.splits(left_out),
    )


def _dry_run_result(plan: PackPlan, destination: Destination, seconds: float) -> PackResult:
    paths = tuple(map(destination.final, plan.paths))
    faulty = plan.rejected(plan.source.faults)
    return PackResult(
        paths,
        len(plan.source) - len(faulty),
        int(plan.source.sizes.sum()),
        sum(plan.num_bytes),
        seconds,
        rejects=tuple(sorted([*plan.rejects, *faulty], key=lambda reject: reject.sample)),
        planned=tuple(map(PlannedShard, paths, plan.num_samples, plan.num_bytes)),
        notes=plan.notes,
        splits=plan.splits([reject.sample for reject in faulty]),
    )
