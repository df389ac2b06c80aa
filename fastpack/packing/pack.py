"""pack: a Source becomes shards of a standard container, whole or not at all."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fastpack.core.progress import Progress
from fastpack.errors import Location, OptionError, warn, with_location
from fastpack.files.arguments import check_arguments
from fastpack.files.companions import report_path
from fastpack.files.file_names import path_of
from fastpack.files.free_space import require_free_space
from fastpack.files.naming import Member, data_members
from fastpack.files.publication import complete_pending
from fastpack.formats.index.index import Index
from fastpack.packing.options import PackOptions, pack_options
from fastpack.packing.packer import Faults, Packer, ProgressCounter
from fastpack.packing.plan import PackPlan, outputs_of, plan_pack
from fastpack.packing.rejects import DUPLICATE, KEPT_DUPLICATE, Reject
from fastpack.packing.staging import Staging, receipt_of
from fastpack.packing.transcode import Transcodes
from fastpack.packing.virtual_dataset import virtual_container
from fastpack.reading.class_lists import class_list
from fastpack.sources import Source, source_of


@dataclass(frozen=True)
class PlannedShard:
    """A file that a dry run would have been followed by: its samples, and its bytes, about."""

    path: Path
    num_samples: int
    num_bytes: int


@dataclass(frozen=True)
class PackResult:
    """What was written: files, samples, bytes of images that went in, bytes of the files, seconds.

    - transcodes: with jpeg="fast", what became of the JPEGs.
    - rejects: what was left out, in the order of the source; and duplicates, if they were asked for.
    - report: the file that says so, if there is anything to say.
    - notes: what was guessed about the source or left out of it, a sentence each. `pack` warns of them.
    - planned: of a dry run, which writes nothing: the files that it would write, and how large they would be, about.
    """

    paths: tuple[Path, ...]
    num_samples: int
    source_bytes: int
    output_bytes: int
    seconds: float
    transcodes: Transcodes | None = None
    rejects: tuple[Reject, ...] = ()
    report: Path | None = None
    planned: tuple[PlannedShard, ...] = ()
    notes: tuple[str, ...] = ()


def pack(
    source: Source | str | os.PathLike[str],
    output: str | Path,
    options: PackOptions | None = None,
    *,
    overwrite: bool = False,
    append: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> PackResult:
    """Packs images into TFRecord or HDF5 files that stock TensorFlow and stock h5py open.

    - source: a folder of images (class = folder), a CSV, JSONL or Parquet table, or any Source.
    - output: the file to write, such as "train.tfrecord" or "train.h5". With `shards` or `shard_size` the files are named
      "train-00000-of-00010.tfrecord" and so on. The name stands for the whole set of these files: `open` takes it too.
    - overwrite: replace all files of the set, also when there will be fewer, as a whole.
    - append: put the samples into new shards beside the existing ones, which are not changed. Numbers go on where
      those end: after one file comes "train-00001-of-00002.tfrecord". Fields must be those of the set. Labels count in the
      class names of the set, and new class names come after them.
    - resume: go on where an earlier pack of the same source, with the same options, was interrupted: shards that were finished
      are kept. Where there was none, begin. With `overwrite`, the set may be there already.
    - progress: called with (samples done, samples in all, bytes done).

    Each shard is written in a hidden folder beside the output, read back and compared with the checksums of what went in,
    and synced. When all are, they take their names. When anything fails before, no existing file changes, and finished shards
    wait in the folder for `resume`. A pack that is killed while files take their names is completed by the next one; until
    then `open` raises MixedSetError. Raises FastpackError of the kind that fits.

    >>> import numpy as np
    >>> from fastpack.sources import ImageFiles
    >>> from fastpack.images.codecs import encode
    >>> folder = Path(getfixture("tmp_path"))
    >>> _ = (folder / "a.png").write_bytes(encode(np.zeros((8, 8, 3), np.uint8), "png"))
    >>> pack(ImageFiles([folder / "a.png"], [0]), folder / "one.tfrecord").num_samples
    1
    """
    started = time.perf_counter()
    check_arguments(overwrite=overwrite, append=append, resume=resume, progress=progress)
    options = pack_options(options)
    output = path_of("output", output)
    if append and overwrite:
        raise OptionError("give append or overwrite, not both")
    if not output.parent.is_dir():
        raise OptionError(
            with_location(
                "the output's folder is not there; make it first", Location(output.parent)
            )
        )
    options = replace(options, classes=class_list(options.classes) or None)
    samples = _samples(source, options)
    if not options.dry_run:
        complete_pending(output, outputs_of(output, options), sync=options.sync)
    plan = plan_pack(samples, output, options, append=append, resume=resume)
    warn(plan.notes)
    if options.dry_run:
        plan.refuse_faulty()
        return _foreseen(plan, time.perf_counter() - started)
    if resume and append and (finished := _appended_before(plan)) is not None:
        return _saved(finished, *_reported(finished), time.perf_counter() - started)
    with _staging(output, plan, append=append, resume=resume, overwrite=overwrite) as staging:
        rejects, faulty, transcodes = _publish(plan, staging, progress)
    return replace(
        _saved(plan, rejects, faulty, time.perf_counter() - started), transcodes=transcodes
    )


def _publish(
    plan: PackPlan, staging: Staging, progress: Progress | None
) -> tuple[list[Reject], list[Reject], Transcodes | None]:
    """Makes all files and gives them their names.

    Returns what was left out, the bad samples among it, and what became of JPEGs.
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
    """The plan by which the very same pack appended its shards, when it was stopped after that."""
    paths = plan.joined.written_by(receipt_of(plan.facts())) if plan.joined else []
    return (
        replace(plan, paths=tuple(paths), report=report_path(paths[0]))
        if paths and len(paths) == len(plan.paths)
        else None
    )


def _reported(plan: PackPlan) -> tuple[list[Reject], list[Reject]]:
    """What the report of a finished pack lists: all, and the samples that were bad."""
    lines = plan.report.read_text().splitlines() if plan.report.exists() else []
    rejects = [Reject.from_facts(json.loads(line)) for line in lines]
    return rejects, [
        reject for reject in rejects if reject.reason not in (DUPLICATE, KEPT_DUPLICATE)
    ]


def _staging(
    output: Path, plan: PackPlan, *, append: bool, resume: bool, overwrite: bool
) -> Staging:
    return Staging(
        output,
        plan.paths,
        plan.facts(),
        outputs=plan.outputs,
        virtual_paths=plan.virtual_paths,
        report=plan.report,
        append=append,
        resume=resume,
        overwrite=overwrite,
        sync=plan.options.sync,
    )


def _write_virtual_datasets(plan: PackPlan, staging: Staging) -> None:
    """Of the shards that are there already and those that are staged."""
    for virtual in plan.virtual_paths:
        new = [
            path for path in plan.paths if (member := Member.of(path)) and member.output == virtual
        ]
        old = [path for path in data_members(virtual) if path not in new] if plan.joined else []
        container = virtual_container(plan.container, virtual)
        shards = [*old, *map(staging.staged, new)]
        container.write_virtual_dataset(staging.staged(virtual), shards, sync=plan.options.sync)


def _samples(source: Source | str | os.PathLike[str], options: PackOptions) -> Source:
    if isinstance(source, (str, os.PathLike)):
        return source_of(path_of("source", source), fields=options.fields, **options.taking)
    if options.class_folder is not None or options.sidecars is not None:
        raise OptionError(
            "class_folder and sidecars say how a path is taken; give them to `from_folder` or `open`, which made this source"
        )
    if not hasattr(source, "read") or not hasattr(source, "schema"):
        message = f"a source is a path, a fastpack.sources.ImageFiles or a Reader, not {type(source).__name__}"
        raise OptionError(
            f"{message}; of files in a list make fastpack.sources.ImageFiles(files, labels)"
        )
    return source


def _write(plan: PackPlan, staging: Staging, progress: Progress | None) -> None:
    """Makes what is missing of the shards."""

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
        require_free_space(
            plan.report.parent,
            sum(int(sizes[plan.cuts[number] : plan.cuts[number + 1]].sum()) for number in missing),
        )
    Packer(
        plan.container,
        plan.pack_input,
        plan.options.write_options,
        ProgressCounter(progress, len(plan.source)),
        finish,
    ).write(missing, plan.cuts)


def _saved(
    plan: PackPlan, rejects: Sequence[Reject], faulty: Sequence[Reject], seconds: float
) -> PackResult:
    source_bytes = int(plan.source.sizes.sum()) - plan.source.bytes_of(
        [reject.sample for reject in faulty]
    )
    output_bytes = sum(path.stat().st_size for path in plan.paths)
    report = plan.report if rejects else None
    num_samples = len(plan.source) - len(faulty)
    notes = plan.notes
    return PackResult(
        plan.paths,
        num_samples,
        source_bytes,
        output_bytes,
        seconds,
        rejects=tuple(rejects),
        report=report,
        notes=notes,
    )


def _foreseen(plan: PackPlan, seconds: float) -> PackResult:
    """What a dry run knows."""
    faults = plan.source.faults
    rejects = sorted([*plan.rejects, *plan.rejected(faults)], key=lambda reject: reject.sample)
    num_samples, source_bytes = len(plan.source) - len(faults), int(plan.source.sizes.sum())
    shards = tuple(map(PlannedShard, plan.paths, plan.num_samples, plan.num_bytes))
    facts = plan.paths, num_samples, source_bytes, sum(plan.num_bytes), seconds
    return PackResult(*facts, rejects=tuple(rejects), planned=shards, notes=plan.notes)
