"""fastpack beside other libraries, each in an environment of its own: python -m benches.compare_rivals QUESTION|all."""

import argparse
import contextlib
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benches.contest import PATIENCE_SECONDS, Contest, Entry, Standing
from benches.photos import VARIABLE, photos
from benches.ratio import machine
from benches.recorded import record
from benches.rivals.turns import Task
from benches.workloads import plain_jpegs

_TFRECORD = Entry("fastpack, TFRecord", "fastpack", variant="photos.tfrecord")
_HDF5 = Entry("fastpack, HDF5", "fastpack", variant="photos.h5")
_FFCV = Entry("FFCV", "ffcv", "ffcv")
_TF_DATA = Entry("tf.data", "tensorflow", "tensorflow")
_ARRAY_RECORD = Entry("ArrayRecord", "grain_array_record", "tensorflow")
_VAHIDK = Entry("vahidk/tfrecord", "vahidk_tfrecord", "tensorflow")
_WEBDATASET = Entry("WebDataset", "webdataset", "torch")
_MOSAICML = Entry("MosaicML Streaming", "mosaicml", "torch")
_LITDATA = Entry("LitData", "litdata", "torch")
_LMDB = Entry("LMDB", "lmdb", "torch")
_LANCE = Entry("Lance", "lance", "torch")
_HUGGING_FACE = Entry("HF datasets", "huggingface", "torch")


@dataclass(frozen=True)
class Subject:
    """A question that rivals answer; the first entry that takes part is the yardstick.

    - share: how many times `--samples` there are; some rivals would take minutes for all.
    """

    title: str
    entries: tuple[Entry, ...]
    unit: str = "samples"
    share: float = 1.0


# The short ones first: what they leave of the time, the long ones need.
SUBJECTS = {
    "decode": Subject(
        "whole JPEGs to RGB, threads: {num_threads}",
        (
            Entry("C loop, libjpeg-turbo", "c_loops", variant="photos.tfrecord"),
            replace(_TFRECORD, name="fastpack Reader.read"),
            Entry("simplejpeg", "decoders", "torch", "simplejpeg"),
            Entry("OpenCV", "decoders", "torch", "opencv"),
            Entry("Pillow", "decoders", "torch", "pillow"),
            Entry("torchcodec", "decoders", "torch", "torchcodec"),
            replace(_TF_DATA, name="tf.io.decode_jpeg"),
        ),
        unit="images",
        share=0.2,
    ),
    "pixels": Subject(
        "HDF5 pixels, {size} x {size}, shuffled, batches of {batch}, threads: {num_threads}",
        (
            Entry("C preads", "c_loops", variant="pixels.h5"),
            replace(_HDF5, variant="pixels.h5"),
            Entry("numpy.memmap", "hdf5_pixels", "torch", "memmap"),
            Entry("hidefix", "hdf5_pixels", "torch", "hidefix"),
            Entry("h5py, read_direct", "hdf5_pixels", "torch", "direct"),
            Entry("h5py, fancy index", "hdf5_pixels", "torch", "fancy"),
        ),
        share=0.2,
    ),
    "open": Subject(
        "open {num_small:,} images of 100 bytes and take the first batch of {batch}",
        (_TFRECORD, _HDF5, _ARRAY_RECORD, _LMDB, _LANCE, _HUGGING_FACE, _TF_DATA, _VAHIDK),
    ),
    "records": Subject(
        "encoded images as they are, shuffled, batches of {batch}, threads or workers: {num_threads}",
        (
            Entry("C preads, CRC", "c_loops", variant="photos.tfrecord"),
            _TFRECORD,
            _HDF5,
            _LMDB,
            _LANCE,
            _HUGGING_FACE,
            _FFCV,
            _MOSAICML,
            _ARRAY_RECORD,
            _TF_DATA,
            _VAHIDK,
            _WEBDATASET,
            _LITDATA,
        ),
    ),
    "pack": Subject(
        "pack a list of files, into the page cache, threads or workers: {num_threads}",
        (
            Entry("cat", "files", variant="cat"),
            Entry("tar", "files", variant="tar"),
            _TFRECORD,
            _HDF5,
            replace(_ARRAY_RECORD, name="ArrayRecordWriter"),
            _LMDB,
            _LANCE,
            _VAHIDK,
            replace(_TF_DATA, name="tf.io.TFRecordWriter"),
            replace(_FFCV, name="FFCV DatasetWriter"),
            replace(_LITDATA, name="LitData optimize"),
            replace(_WEBDATASET, name="WebDataset ShardWriter"),
            replace(_MOSAICML, name="MDSWriter"),
        ),
        unit="files",
        share=2.0,
    ),
    "train": Subject(
        "random resized crops of {size}, mirrored or not, shuffled, batches of {batch}, threads or workers: {num_threads}",
        (
            _TFRECORD,
            _HDF5,
            _FFCV,
            _TF_DATA,
            _WEBDATASET,
            _MOSAICML,
            _LITDATA,
            replace(_ARRAY_RECORD, name="Grain + ArrayRecord, OpenCV"),
            Entry("DALI, CPU", "dali", "dali"),
            Entry("torch DataLoader + ImageFolder, Pillow", "image_files", "torch", "pillow"),
            Entry(
                "torch DataLoader + ImageFolder, torchcodec", "image_files", "torch", "torchcodec"
            ),
            Entry("torch DataLoader, OpenCV", "image_files", "torch", "opencv"),
        ),
    ),
}


def table(title: str, standings: Sequence[Standing], unit: str) -> str:
    """Medians; ratios are the yardstick's seconds over the rival's in the same round.

    >>> print(table("decode", [Standing("C", "1", [2.0, 3.0], 6), Standing("B", "2", [4.0, 3.0], 6, peak_mb=7)], "images"))
    decode
                             seconds    images/s     ratio   min..max       peak MB
    C 1                        2.500         2.4     1.000   1.000..1.000         0
    B 2                        3.500         1.7     0.750   0.500..1.000         7
    """
    names = [f"{standing.name} {standing.version}".strip() for standing in standings]
    width = max(20, *map(len, names))
    lines = [
        title,
        f"{'':{width}} {'seconds':>11} {unit + '/s':>11} {'ratio':>9}   {'min..max':<13} {'peak MB':>8}",
    ]
    for name, standing in zip(names, standings, strict=True):
        median, ratios = statistics.median(standing.seconds), _ratios(standing, standings[0])
        lines.append(
            f"{name:{width}} {median:11.3f} {standing.num_samples / median:11.1f} {statistics.median(ratios):9.3f}"
            f"   {min(ratios):.3f}..{max(ratios):.3f} {standing.peak_mb:9.0f}"
        )
    return "\n".join(lines)


def _ratios(standing: Standing, yardstick: Standing) -> list[float]:
    """By samples a second: one rival takes whole batches only."""
    rounds = zip(standing.seconds, yardstick.seconds, strict=True)
    return [standing.num_samples / mine / (yardstick.num_samples / its) for mine, its in rounds]


def task_of(subject: str, arguments: argparse.Namespace, folder: Path) -> Task:
    jpegs = [] if subject == "open" else plain_jpegs(photos(arguments.photos, folder))
    num_samples = int(arguments.samples * SUBJECTS[subject].share)
    chosen = [jpegs[i % len(jpegs)] for i in range(num_samples)] if jpegs else []
    classes = {parent: i for i, parent in enumerate(sorted({path.parent for path in jpegs}))}
    return Task(
        subject=subject,
        folder=str(folder),
        paths=[str(path.absolute()) for path in chosen],
        labels=[classes[path.parent] for path in chosen],
        num_small=arguments.small if subject == "open" else 0,
        batch=arguments.batch,
        num_threads=arguments.threads,
        size=224,
    )


def answered(
    name: str, arguments: argparse.Namespace, folder: Path, until: float
) -> dict[str, Any]:
    """Prints the subject's table, and gives what stands in it; who has done what meanwhile goes to stderr."""
    subject, task = SUBJECTS[name], task_of(name, arguments, folder)

    def python_of(environment: str) -> Path:
        return (
            Path(arguments.environments).absolute() / environment / "bin" / "python"
            if environment
            else Path(sys.executable)
        )

    def tell(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {name}: {line}", file=sys.stderr, flush=True)

    with contextlib.closing(Contest(60 * arguments.patience, tell)) as contest:
        for entry in subject.entries:
            if not arguments.only or entry.module in arguments.only:
                contest.enter(entry, python_of(entry.environment), task)
        standings = contest.go(arguments.rounds, until)
    num_rounds = len(standings[0].seconds) if standings else 0
    title = f"{name}: {subject.title.format(**vars(task))}; {len(task):,} {subject.unit}, {num_rounds} rounds"
    print(f"\n{table(title, standings, subject.unit) if standings else title}", flush=True)
    for absent, reason in contest.missing.items():
        print(f"missing: {absent}: {reason}", flush=True)
    return {
        "subject": name,
        "title": title,
        "unit": subject.unit,
        "standings": [each.to_json() for each in standings],
        "missing": contest.missing,
    }


def main(given: Sequence[str] | None = None) -> None:
    arguments = _arguments(given)
    print(", ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    subjects = list(SUBJECTS) if arguments.question == "all" else [arguments.question]
    end = time.monotonic() + 60 * arguments.minutes
    answers = []
    for number, subject in enumerate(subjects):
        # What a question leaves of its part of the time, the later ones have.
        until = time.monotonic() + (end - time.monotonic()) / (len(subjects) - number)
        # A rival's process that could not be ended may still write there.
        with tempfile.TemporaryDirectory(
            dir=arguments.scratch, ignore_cleanup_errors=True
        ) as folder:
            answers.append(answered(subject, arguments, Path(folder), until))
        record(arguments.json, arguments.photos, subjects=answers)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.compare_rivals", description=__doc__)
    parser.add_argument("question", choices=[*SUBJECTS, "all"])
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(".venv-rivals"),
        help="where `make bench-rivals` puts them",
    )
    parser.add_argument(
        "--photos", type=Path, help=f"a folder of JPEGs (default: ${VARIABLE}, else some are made)"
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=10_000,
        help="the photographs over and over; some questions take twice or a fifth",
    )
    parser.add_argument(
        "--small", type=int, default=500_000, help="how many images of 100 bytes to open"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        help="for all questions: fewer rounds, if there is no time for more",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE_SECONDS / 60,
        help="minutes that a rival may be silent",
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="MODULE",
        help="modules of benches.rivals that take part (default: all)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument(
        "--scratch",
        type=Path,
        help="a folder on a disk with room (default: the system's temporary one)",
    )
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
