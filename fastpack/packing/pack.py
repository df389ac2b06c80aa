"""pack: a Source becomes shards of a standard container, whole or not at all."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fastpack.class_lists import class_list
from fastpack.errors import OptionError, Place, at, warn
from fastpack.index import Index
from fastpack.master import write_master
from fastpack.packing.options import PackOptions
from fastpack.packing.packer import Faults, Packer, Progress, Report
from fastpack.packing.plan import PackPlan, plan_pack
from fastpack.packing.room import refuse_full
from fastpack.packing.staging import Staging
from fastpack.packing.transcode import Transcodes
from fastpack.rejects import Reject
from fastpack.sources import Source, source_of


@dataclass(frozen=True)
class PlannedShard:
    """A file that a dry run would have been followed by: its samples, and its bytes, about."""

    path: Path
    num_samples: int
    num_bytes: int


@dataclass(frozen=True)
class Packed:
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
) -> Packed:
    """Packs images into TFRecord or HDF5 files that stock TensorFlow and stock h5py open.

    - source: a folder of images (class = folder), a CSV, JSONL or Parquet table, or any Source.
    - output: the file to write, such as "train.tfrecord" or "train.h5". Several shards are named
      "train-00000-of-00010.tfrecord" and so on.
    - overwrite: replace files that are there already.
    - append: put the samples into new shards beside those that are there, which are left as they are. Numbers go on where
      those end: with one shard there, the next is "train-00001-of-00002.tfrecord".
    - resume: go on where an earlier pack of the same source, with the same options, was interrupted: shards that were finished
      are kept. Where there was none, begin.
    - progress: called with (samples done, samples in all, bytes done).

    Each shard is written in a hidden folder beside the output, read back and compared with the checksums of what went in,
    and synced; when all are, they take their names. When anything fails, nothing stands under a final name; finished shards
    wait in the folder for `resume`. Raises FastpackError of the kind that fits.

    >>> import numpy as np
    >>> from fastpack.sources import Paths
    >>> from fastpack.codecs import encode
    >>> folder = Path(getfixture("tmp_path"))
    >>> _ = (folder / "a.png").write_bytes(encode(np.zeros((8, 8, 3), np.uint8), "png"))
    >>> pack(Paths([folder / "a.png"], [0]), folder / "one.tfrecord").num_samples
    1
    """
    started = time.perf_counter()
    options = options or PackOptions()
    output = Path(output)
    if (append and overwrite) or (resume and overwrite):
        raise OptionError(f"give {'append' if append else 'resume'} or overwrite, not both")
    if not output.parent.is_dir():
        raise OptionError(at("the output's folder is not there; make it first", Place(output.parent)))
    options = replace(options, classes=class_list(options.classes) or None)
    plan = plan_pack(_samples(source, options), output, options, append=append, resume=resume)
    warn(plan.source.notes)
    if options.dry_run:
        plan.refuse_faulty()
        return _foreseen(plan, time.perf_counter() - started)
    with Staging(output, plan.paths, plan.facts(), report=plan.report, resume=resume, overwrite=overwrite, sync=options.sync) as staging:
        plan.refuse_faulty()
        _write(plan, staging, progress)
        faulty, transcodes = staging.rejects, staging.transcodes
        rejects = sorted([*plan.rejects, *faulty], key=lambda reject: reject.sample)
        staging.publish(rejects)
    if options.master:
        for name in plan.outputs:
            if name not in plan.paths:  # else the one shard has the name already
                write_master(name, overwrite=True, sync=options.sync)
    return replace(_told(plan, rejects, faulty, time.perf_counter() - started), transcodes=transcodes)


def _samples(source: Source | str | os.PathLike[str], options: PackOptions) -> Source:
    if isinstance(source, (str, os.PathLike)):
        return source_of(Path(source), fields=options.fields, **options.taking)
    if not hasattr(source, "read") or not hasattr(source, "schema"):
        message = f"a source is a path, a fastpack.Paths or a Reader, not {type(source).__name__}"
        raise OptionError(f"{message}; of files in a list make fastpack.Paths(files, labels)")
    return source


def _write(plan: PackPlan, staging: Staging, progress: Progress | None) -> None:
    """Makes what is missing of the shards."""

    def finish(number: int, index: Index, faults: Faults) -> None:
        staging.finish(number, index, plan.rejected(faults), plan.transcodes(number))

    missing = {number: staging.path(number) for number in range(len(plan.paths)) if not staging.is_finished(number)}
    if plan.supply.keeps_sizes and not plan.options.storage.is_filtered:
        refuse_full(plan.report.parent, sum(int(plan.supply.sizes[plan.cuts[number] : plan.cuts[number + 1]].sum()) for number in missing))
    Packer(plan.container, plan.supply, plan.options.manner, Report(progress, len(plan.source)), finish).write(missing, plan.cuts)


def _told(plan: PackPlan, rejects: Sequence[Reject], faulty: Sequence[Reject], seconds: float) -> Packed:
    source_bytes = int(plan.source.sizes.sum()) - plan.source.bytes_of([reject.sample for reject in faulty])
    output_bytes = sum(path.stat().st_size for path in plan.paths)
    report = plan.report if rejects else None
    num_samples = len(plan.source) - len(faulty)
    notes = plan.source.notes
    return Packed(plan.paths, num_samples, source_bytes, output_bytes, seconds, rejects=tuple(rejects), report=report, notes=notes)


def _foreseen(plan: PackPlan, seconds: float) -> Packed:
    """What a dry run knows."""
    faults = plan.source.faults
    rejects = sorted([*plan.rejects, *plan.rejected(faults)], key=lambda reject: reject.sample)
    num_samples, source_bytes = len(plan.source) - len(faults), int(plan.source.sizes.sum())
    shards = tuple(map(PlannedShard, plan.paths, plan.num_samples, plan.num_bytes))
    facts = plan.paths, num_samples, source_bytes, sum(plan.num_bytes), seconds
    return Packed(*facts, rejects=tuple(rejects), planned=shards, notes=plan.source.notes)
