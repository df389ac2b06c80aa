"""Compare fastpack with other libraries, each in an environment of its own.

python -m benches.compare_rivals QUESTION|all
"""

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

from benches.photos import VARIABLE, photos
from benches.provenance import record
from benches.ratio import machine
from benches.rival_process import TIMEOUT_SECONDS, RivalBenchmark, RivalResult, RivalSpec
from benches.rivals.protocol import Task
from benches.workloads import plain_jpegs

_TFRECORD = RivalSpec("fastpack, TFRecord", "fastpack", variant="photos.tfrecord")
_HDF5 = RivalSpec("fastpack, HDF5", "fastpack", variant="photos.h5")
_FFCV = RivalSpec("FFCV", "ffcv", "ffcv")
_TF_DATA = RivalSpec("tf.data", "tensorflow", "tensorflow")
_ARRAY_RECORD = RivalSpec("ArrayRecord", "grain_array_record", "tensorflow")
_VAHIDK = RivalSpec("vahidk/tfrecord", "vahidk_tfrecord", "tensorflow")
_WEBDATASET = RivalSpec("WebDataset", "webdataset", "torch")
_MOSAICML = RivalSpec("MosaicML Streaming", "mosaicml", "torch")
_LITDATA = RivalSpec("LitData", "litdata", "torch")
_LMDB = RivalSpec("LMDB", "lmdb", "torch")
_LANCE = RivalSpec("Lance", "lance", "torch")
_HUGGING_FACE = RivalSpec("HF datasets", "huggingface", "torch")


@dataclass(frozen=True)
class Subject:
    """A question to rivals. The first rival that runs is the baseline.

    - share: factor of `--samples`; some rivals would take minutes for all.
    """

    title: str
    rivals: tuple[RivalSpec, ...]
    unit: str = "samples"
    share: float = 1.0


# Short questions first: they leave time for the long ones.
SUBJECTS = {
    "decode": Subject(
        "whole JPEGs to RGB, threads: {num_threads}",
        (
            RivalSpec("C loop, libjpeg-turbo", "c_loops", variant="photos.tfrecord"),
            replace(_TFRECORD, name="fastpack Reader.read"),
            RivalSpec("simplejpeg", "decoders", "torch", "simplejpeg"),
            RivalSpec("OpenCV", "decoders", "torch", "opencv"),
            RivalSpec("Pillow", "decoders", "torch", "pillow"),
            RivalSpec("torchcodec", "decoders", "torch", "torchcodec"),
            replace(_TF_DATA, name="tf.io.decode_jpeg"),
        ),
        unit="images",
        share=0.2,
    ),
    "pixels": Subject(
        "HDF5 pixels, {size} x {size}, shuffled, batches of {batch}, threads: {num_threads}",
        (
            RivalSpec("C preads", "c_loops", variant="pixels.h5"),
            replace(_HDF5, variant="pixels.h5"),
            RivalSpec("numpy.memmap", "hdf5_pixels", "torch", "memmap"),
            RivalSpec("hidefix", "hdf5_pixels", "torch", "hidefix"),
            RivalSpec("h5py, read_direct", "hdf5_pixels", "torch", "direct"),
            RivalSpec("h5py, fancy index", "hdf5_pixels", "torch", "fancy"),
        ),
        share=0.2,
    ),
    "open": Subject(
        "open {num_small:,} images of 100 bytes and take the first batch of {batch}",
        (_TFRECORD, _HDF5, _ARRAY_RECORD, _LMDB, _LANCE, _HUGGING_FACE, _TF_DATA, _VAHIDK),
    ),
    "records": Subject(
        "encoded images, shuffled, batches of {batch}, threads or workers: {num_threads}",
        (
            RivalSpec("C preads, CRC", "c_loops", variant="photos.tfrecord"),
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
            RivalSpec("cat", "files", variant="cat"),
            RivalSpec("tar", "files", variant="tar"),
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
        "random resized crops of {size}, flips, shuffled, batches of {batch}, "
        "threads or workers: {num_threads}",
        (
            _TFRECORD,
            _HDF5,
            _FFCV,
            _TF_DATA,
            _WEBDATASET,
            _MOSAICML,
            _LITDATA,
            replace(_ARRAY_RECORD, name="Grain + ArrayRecord, OpenCV"),
            RivalSpec("DALI, CPU", "dali", "dali"),
            RivalSpec("torch DataLoader + ImageFolder, Pillow", "image_files", "torch", "pillow"),
            RivalSpec(
                "torch DataLoader + ImageFolder, torchcodec", "image_files", "torch", "torchcodec"
            ),
            RivalSpec("torch DataLoader, OpenCV", "image_files", "torch", "opencv"),
        ),
    ),
}


def table(title: str, results: Sequence[RivalResult], unit: str) -> str:
    """Format medians. A ratio is baseline seconds over rival seconds of the same round.

    >>> loop = RivalResult("C", "1", [2.0, 3.0], 6)
    >>> rival = RivalResult("B", "2", [4.0, 3.0], 6, peak_mb=7)
    >>> print(table("decode", [loop, rival], "images"))
    decode
                             seconds    images/s     ratio   min..max       peak MB
    C 1                        2.500         2.4     1.000   1.000..1.000         0
    B 2                        3.500         1.7     0.750   0.500..1.000         7
    """
    names = [f"{result.name} {result.version}".strip() for result in results]
    width = max(20, *map(len, names))
    lines = [
        title,
        f"{'':{width}} {'seconds':>11} {unit + '/s':>11} {'ratio':>9}   "
        f"{'min..max':<13} {'peak MB':>8}",
    ]
    for name, result in zip(names, results, strict=True):
        median, ratios = statistics.median(result.seconds), _ratios(result, results[0])
        lines.append(
            f"{name:{width}} {median:11.3f} {result.num_samples / median:11.1f} "
            f"{statistics.median(ratios):9.3f}   {min(ratios):.3f}..{max(ratios):.3f} "
            f"{result.peak_mb:9.0f}"
        )
    return "\n".join(lines)


def _ratios(result: RivalResult, baseline: RivalResult) -> list[float]:
    """Compare samples a second: some rivals deliver whole batches only."""
    rounds = zip(result.seconds, baseline.seconds, strict=True)
    return [result.num_samples / mine / (baseline.num_samples / its) for mine, its in rounds]


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


def answer(name: str, arguments: argparse.Namespace, folder: Path, until: float) -> dict[str, Any]:
    """Print the subject's table and return its figures. Progress goes to stderr."""
    subject, task = SUBJECTS[name], task_of(name, arguments, folder)

    def python_of(environment: str) -> Path:
        if not environment:
            return Path(sys.executable)
        return Path(arguments.environments).absolute() / environment / "bin" / "python"

    def log(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {name}: {line}", file=sys.stderr, flush=True)

    with contextlib.closing(RivalBenchmark(60 * arguments.timeout, log)) as benchmark:
        for spec in subject.rivals:
            if not arguments.only or spec.module in arguments.only:
                benchmark.add(spec, python_of(spec.environment), task)
        results = benchmark.run(arguments.rounds, until)
    num_rounds = len(results[0].seconds) if results else 0
    title = (
        f"{name}: {subject.title.format(**vars(task))}; {len(task):,} {subject.unit}, "
        f"{num_rounds} rounds"
    )
    print(f"\n{table(title, results, subject.unit) if results else title}", flush=True)
    for absent, reason in benchmark.missing.items():
        print(f"missing: {absent}: {reason}", flush=True)
    return {
        "subject": name,
        "title": title,
        "unit": subject.unit,
        "results": [each.to_json() for each in results],
        "missing": benchmark.missing,
    }


def main(given: Sequence[str] | None = None) -> None:
    arguments = _arguments(given)
    print(", ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    subjects = list(SUBJECTS) if arguments.question == "all" else [arguments.question]
    end = time.monotonic() + 60 * arguments.minutes
    answers = []
    for number, subject in enumerate(subjects):
        # Time that a question does not use goes to the later ones.
        until = time.monotonic() + (end - time.monotonic()) / (len(subjects) - number)
        # A rival process that could not be ended may still write there.
        with tempfile.TemporaryDirectory(
            dir=arguments.scratch, ignore_cleanup_errors=True
        ) as folder:
            answers.append(answer(subject, arguments, Path(folder), until))
        record(arguments.json, arguments.photos, subjects=answers)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.compare_rivals", description=__doc__)
    parser.add_argument("question", choices=[*SUBJECTS, "all"])
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(".venv-rivals"),
        help="folder of the environments of `make bench-rivals`",
    )
    parser.add_argument(
        "--photos", type=Path, help=f"folder of JPEGs (default: ${VARIABLE}, else generated)"
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=10_000,
        help="photos repeat; some questions use twice or a fifth as many",
    )
    parser.add_argument(
        "--small", type=int, default=500_000, help="number of images of 100 bytes to open"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        help="time for all questions; fewer rounds if it runs out",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT_SECONDS / 60,
        help="minutes to wait for a rival's answer",
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="MODULE",
        help="modules of benches.rivals to run (default: all)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    parser.add_argument(
        "--scratch",
        type=Path,
        help="folder on a disk with space (default: the system's temporary folder)",
    )
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
