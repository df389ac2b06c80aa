"""Print ratios of fastpack to references and rivals in this interpreter.

python -m benches.compare train|eval|decode|pack|pack-small|pixels|read|hdf5
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import fastpack
from benches.crops import Cropping, Ffcv
from benches.hdf5_reading import compare_hdf5
from benches.internals import SEEK_POINTS, ImageFiles
from benches.memory import peak_bytes
from benches.photos import REENCODED, VARIABLE, make_small, photos, reencoded
from benches.provenance import record
from benches.ratio import Comparison, Rival, compare, machine
from benches.workloads import Decoding, Packing, PackingPixels, Reading, plain_jpegs

Arguments = argparse.Namespace
_BATCH = 256
_NUM_BATCHES = 20
_NUM_CROPPED = 1000
_MAX_PIXELS = 10_000


def compare_decode(arguments: Arguments, folder: Path) -> Iterator[Comparison]:
    """Compare whole decodes into memory, and Reader.read from a TFRecord to new arrays."""
    for name, paths in _jpeg_sets(arguments, folder).items():
        yield from _compare_decodes(name, paths, arguments, Path(tempfile.mkdtemp(dir=folder)))


def _compare_decodes(
    name: str, paths: list[Path], arguments: Arguments, folder: Path
) -> Iterator[Comparison]:
    decoding = Decoding(paths)
    packed = folder / "photos.tfrecord"
    fastpack.pack(ImageFiles(paths), packed)
    for num_threads in sorted({1, arguments.threads}):
        reader = fastpack.open(packed, orient=False, num_workers=num_threads)
        with_seek_points = fastpack.open(
            packed,
            orient=False,
            num_workers=num_threads,
            save_index=False,
            **{SEEK_POINTS: True},
        )
        rivals = [
            Rival("C loop", partial(decoding.reference, num_threads)),
            Rival("fastpack kernel", partial(decoding.fastpack, num_threads)),
            Rival("Reader.read", partial(reader.read, range(len(reader)))),
            Rival("fastpack, seek points", partial(with_seek_points.read, range(len(reader)))),
        ]
        yield compare(
            f"decode, {name}, threads: {num_threads}",
            rivals,
            unit="images",
            num_units=len(decoding),
            rounds=arguments.rounds,
        )
    if not (decoding.by_fastpack == decoding.by_reference).all():
        raise SystemExit("decode: pixels differ from the C loop's")


def _jpeg_sets(arguments: Arguments, folder: Path) -> dict[str, list[Path]]:
    """Return the photos and, with --reencode, the same photos re-encoded like most of ImageNet."""
    paths = plain_jpegs(photos(arguments.photos, folder))
    return {"originals": paths} | (
        {REENCODED: reencoded(paths, folder)} if arguments.reencode else {}
    )


def compare_pack(arguments: Arguments, folder: Path) -> Iterator[Comparison]:
    """Compare packing a list of files with cat, into the page cache and then to the disk."""
    packing = Packing(photos(arguments.photos, folder), arguments.records, folder / "outputs")
    for sync in (False, True):
        rivals = [
            Rival("cat", partial(packing.cat, sync=sync), after=packing.remove),
            Rival(
                "TFRecord",
                partial(packing.fastpack, "out.tfrecord", sync=sync),
                after=packing.remove,
            ),
            Rival("HDF5", partial(packing.fastpack, "out.h5", sync=sync), after=packing.remove),
        ]
        if not sync:
            rivals.append(Rival("tar", packing.tar, after=packing.remove))
            rivals.append(Rival("Python loop", packing.loop, after=packing.remove))
        title = f"pack, {'to the disk' if sync else 'into the page cache'}"
        yield compare(
            title, rivals, unit="files", num_units=arguments.records, rounds=arguments.rounds
        )


def compare_pack_small(arguments: Arguments, folder: Path) -> Iterator[Comparison]:
    """Compare packing many 1 KB files, then a tenth; print peaks of memory of new processes."""
    paths = make_small(folder / "small", arguments.records)
    for count in (arguments.records // 10, arguments.records):
        packing = Packing(paths[:count], count, folder / "outputs")
        rivals = [
            Rival("cat", packing.cat, after=packing.remove),
            Rival("TFRecord", partial(packing.fastpack, "out.tfrecord"), after=packing.remove),
            Rival("HDF5", partial(packing.fastpack, "out.h5"), after=packing.remove),
        ]
        yield compare(
            "pack files of 1 KB, into the page cache",
            rivals,
            unit="files",
            num_units=count,
            rounds=arguments.rounds,
        )
        table = folder / "small" / f"{count}.csv"
        table.write_text(
            "path\n" + "".join(f"{path.relative_to(table.parent)}\n" for path in paths[:count])
        )
        for name in ("out.tfrecord", "out.h5"):
            command = [
                sys.executable,
                "-m",
                "fastpack",
                "pack",
                table,
                "-o",
                packing.output(name),
                "--quiet",
                "--no-sync",
            ]
            print(
                f"{count} files to {name} in a new process: "
                f"peak {peak_bytes(command) / 2**20:.0f} MB",
                flush=True,
            )
            packing.remove()


def compare_pixels(arguments: Arguments, folder: Path) -> Iterator[Comparison]:
    """Compare packing 224 x 224 pixels with a C loop that only decodes and resamples."""
    num_images = min(arguments.records, _MAX_PIXELS)
    packing = PackingPixels(
        plain_jpegs(photos(arguments.photos, folder)), num_images, folder / "outputs"
    )
    for num_threads in sorted({1, arguments.threads}):
        rivals = [Rival("C loop", partial(packing.reference, num_threads=num_threads))]
        for compression in ("none", "lz4", "zstd"):
            run = partial(packing.fastpack, num_threads=num_threads, compression=compression)
            rivals.append(Rival(f"fastpack, {compression}", run, after=packing.remove))
        rivals.append(
            Rival(
                "imread, resize, assign",
                packing.snippet,
                after=packing.remove,
                share=packing.SNIPPETS_SHARE,
            )
        )
        yield compare(
            f"pack pixels, threads: {num_threads}",
            rivals,
            unit="images",
            num_units=num_images,
            rounds=arguments.rounds,
        )


def compare_read(arguments: Arguments, folder: Path) -> Iterator[Comparison]:
    """Compare random batches of encoded images with preads of the same spans."""
    packing = Packing(photos(arguments.photos, folder), arguments.records, folder / "outputs")
    for name in ("out.tfrecord", "out.h5"):
        packing.fastpack(name)
        for num_threads in sorted({1, arguments.threads}):
            with Reading(
                packing.output(name),
                batch=_BATCH,
                num_batches=_NUM_BATCHES,
                num_threads=num_threads,
            ) as reading:
                rivals = [
                    Rival("C preads", partial(reading.reference, check=False)),
                    Rival("C preads, CRC", partial(reading.reference, check=True)),
                    Rival("fastpack", partial(reading.fastpack, check=False)),
                    Rival("fastpack, CRC", partial(reading.fastpack, check=True)),
                ]
                title = f"read {name}, batches of {_BATCH}, threads: {num_threads}"
                yield compare(
                    title,
                    rivals,
                    unit="records",
                    num_units=_BATCH * _NUM_BATCHES,
                    rounds=arguments.rounds,
                )


def compare_stored_pixels(arguments: Arguments, folder: Path) -> Iterator[Comparison]:
    """Compare random batches of 224 x 224 pixels from HDF5 files of h5py."""
    paths = plain_jpegs(photos(arguments.photos, folder))
    threads = sorted({1, arguments.threads})
    return compare_hdf5(
        paths,
        folder,
        num_samples=min(arguments.records, 10_000),
        threads=threads,
        rounds=arguments.rounds,
    )


def compare_crops(arguments: Arguments, folder: Path, *, subject: str) -> Iterator[Comparison]:
    """Compare batches of 224 x 224 pixels in preallocated memory.

    FFCV re-encodes the photos; all rivals then read FFCV's bytes too.
    """
    about = {"num_images": _NUM_CROPPED, "batch": _BATCH}
    own_sets = _jpeg_sets(arguments, folder)
    for num_threads in sorted({1, arguments.threads}):
        with ExitStack() as stack:
            sets, ffcv = dict(own_sets), None
            if arguments.ffcv:
                ffcv = stack.enter_context(
                    Ffcv(
                        arguments.ffcv, sets["originals"], subject, num_threads=num_threads, **about
                    )
                )
                sets["re-encoded by FFCV"] = ffcv.reencoded
            for name, jpegs in sets.items():
                cropping = Cropping(jpegs, subject, scratch=folder, **about)
                difference = cropping.max_difference("kernel", "reference")
                if difference > 2:
                    raise SystemExit(
                        f"{subject}: pixels differ from the C loop's by {difference} levels"
                    )
                sides = {
                    "C crop loop": "reference",
                    "fastpack kernel": "kernel",
                    "Reader.read": "read",
                    "fastpack, seek points": "read_with_seek_points",
                    "OpenCV, linear": "linear",
                    "OpenCV, area": "area",
                }
                rivals = [
                    Rival(side, partial(cropping.run, run, num_threads))
                    for side, run in sides.items()
                ]
                rivals.append(Rival("Loader, seek points", partial(cropping.load, num_threads)))
                if ffcv:
                    rivals.append(Rival(f"FFCV {ffcv.version}, re-encoded", ffcv.epoch))
                title = f"{subject}, {name}, threads: {num_threads}"
                yield compare(
                    title, rivals, unit="images", num_units=len(cropping), rounds=arguments.rounds
                )
    if not arguments.ffcv:
        print("\nmissing: FFCV; give a Python that has it: --ffcv PYTHON")


SUBJECTS: dict[str, Callable[[Arguments, Path], Iterator[Comparison]]] = {
    "train": partial(compare_crops, subject="train"),
    "eval": partial(compare_crops, subject="eval"),
    "decode": compare_decode,
    "pack": compare_pack,
    "pack-small": compare_pack_small,
    "pixels": compare_pixels,
    "read": compare_read,
    "hdf5": compare_stored_pixels,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.compare", description=__doc__)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument(
        "--photos", type=Path, help=f"folder of JPEGs (default: ${VARIABLE}, else generated)"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--records", type=int, default=20_000, help="number of files to pack or records to read"
    )
    parser.add_argument(
        "--ffcv",
        type=Path,
        metavar="PYTHON",
        help="interpreter with FFCV, for train and eval",
    )
    parser.add_argument(
        "--reencode",
        action="store_true",
        help="also use the photos at quality 90 and 4:2:0: decode, train, eval",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    parser.add_argument(
        "--scratch",
        type=Path,
        help="folder to write to (default: the system's temporary folder)",
    )
    arguments = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    comparisons = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        for comparison in SUBJECTS[arguments.subject](arguments, Path(folder)):
            comparisons.append(comparison.to_json())
            print(f"\n{comparison.table()}", flush=True)
    record(arguments.json, arguments.photos, comparisons=comparisons)


if __name__ == "__main__":
    main()
