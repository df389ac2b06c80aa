"""Growth of throughput and memory.

python -m benches.scaling threads|dataset|image|batch|cache|all
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import fastpack
from benches.curves import Curve, Point, measured
from benches.internals import ImageFiles, Ragged, offsets_of, probe_blobs
from benches.memory import peak, reset_peak, resident
from benches.page_cache import evict
from benches.photos import VARIABLE, photos
from benches.provenance import record
from benches.reference import decode_loop
from benches.rivals.fastpack import write
from benches.rivals.protocol import Task
from benches.workloads import plain_jpegs

_STEPS = (fastpack.RandomResizedCrop(224), fastpack.HorizontalFlip())
_BATCH = 256
_NUM_IMAGES = 512
_MEGAPIXELS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
_PIXELS_A_TURN = 25e6
_BATCH_SIZES = (1, 4, 16, 64, 256, 1024)
_DATASET_SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
_SAMPLES_READ = 50_000

Arguments = argparse.Namespace


def rate(
    num_units: float, work: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return units a second. The clock may be processor time, which load does not affect."""
    started = clock()
    work()
    return num_units / (clock() - started)


def epoch(loader: fastpack.Loader) -> None:
    for _ in loader:
        pass


def packed(
    paths: Sequence[Path], folder: Path, *, num_images: int, name: str = "photos.tfrecord"
) -> Path:
    """Pack the photos, cycled, into one file."""
    chosen = [paths[i % len(paths)] for i in range(num_images)]
    fastpack.pack(ImageFiles(chosen), folder / name)
    return folder / name


def along_threads(paths: Sequence[Path], folder: Path, arguments: Arguments) -> Iterator[Curve]:
    """Return 1, 2, 4 ... all cores, and twice as many threads."""
    cores = len(os.sched_getaffinity(0))
    counts = [*(2**i for i in range(cores.bit_length()) if 2**i < cores), cores, 2 * cores]
    dataset = fastpack.open(packed(paths, folder, num_images=arguments.images), orient=False)
    looping = DecodingLoop([path.read_bytes() for path in paths[: len(dataset)]])
    points = []
    for count in counts:
        crops = fastpack.Loader(
            dataset, transform=_STEPS, batch_size=_BATCH, shuffle=0, num_workers=count
        )
        records = fastpack.Loader(
            dataset.with_options(decode=False), batch_size=_BATCH, shuffle=0, num_workers=count
        )
        whole = dataset.with_options(num_workers=count)
        points += [
            Point("whole images", count, partial(rate, len(whole), partial(each_batch, whole))),
            Point("random crops", count, partial(rate, len(dataset), partial(epoch, crops))),
            # This is short, so it runs several times.
            Point(
                "encoded records",
                count,
                partial(rate, 5 * len(dataset), partial(several, 5, partial(epoch, records))),
            ),
            Point(
                "C loop, whole images",
                count,
                partial(rate, len(looping), partial(looping.run, count)),
            ),
        ]
    yield Curve("threads", "Threads", "threads", "images/s", measured(points, arguments.rounds))


def several(times: int, work: Callable[[], object]) -> None:
    for _ in range(times):
        work()


def each_batch(dataset: fastpack.Reader) -> None:
    for first in range(0, len(dataset), _BATCH):
        dataset.read(range(first, min(first + _BATCH, len(dataset))))


class DecodingLoop:
    """The C loop over libjpeg-turbo: JPEGs in memory to preallocated pixels."""

    def __init__(self, jpegs: Sequence[bytes]) -> None:
        self._blobs = Ragged.of_bytes(jpegs)
        infos, _ = probe_blobs(self._blobs)
        self._pixel_offsets = offsets_of(infos["width"].astype(np.int64) * infos["height"] * 3)
        self._pixels = np.ones(self._pixel_offsets[-1], np.uint8)

    def __len__(self) -> int:
        return len(self._blobs)

    def run(self, num_threads: int) -> None:
        decode_loop(
            self._blobs.values,
            self._blobs.offsets,
            self._pixels,
            self._pixel_offsets,
            num_threads=num_threads,
        )


def along_dataset(paths: Sequence[Path], folder: Path, arguments: Arguments) -> Iterator[Curve]:
    """Use images of 100 bytes, to show the cost of a sample. Each read has a new process."""
    sizes = [size for size in _DATASET_SIZES if size <= arguments.max_samples]
    files = {size: _small_images(folder, size) for size in sizes}
    times: dict[str, dict[Any, list[float]]] = {
        name: {} for name in ("shuffled", "in order", "pack")
    }
    memory: dict[str, dict[Any, list[float]]] = {
        name: {} for name in ("peak of the process", "its index")
    }
    opening: dict[Any, list[float]] = {}
    for _ in range(arguments.rounds):
        for size, (path, packing) in files.items():
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                seen = pool.submit(read_small, path).result()
            times["pack"].setdefault(size, [packing / size * 1e6])
            for name in ("shuffled", "in order"):
                times[name].setdefault(size, []).append(seen[name])
            memory["peak of the process"].setdefault(size, []).append(seen["peak"])
            memory["its index"].setdefault(size, []).append(seen["index"])
            opening.setdefault(size, []).append(seen["open"])
    yield Curve(
        "dataset",
        "Dataset size: a sample of 100 bytes",
        "samples",
        "processor microseconds a sample",
        times,
    )
    yield Curve("dataset-memory", "Dataset size: memory", "samples", "MB", memory)
    yield Curve(
        "dataset-open",
        "Dataset size: until the first batch",
        "samples",
        "milliseconds",
        {"open and first batch": opening},
    )


def _small_images(folder: Path, size: int) -> tuple[Path, float]:
    """Return the file and the processor seconds of packing."""
    (folder / str(size)).mkdir()
    task = Task(
        "open",
        str(folder / str(size)),
        [],
        [],
        batch=_BATCH,
        num_threads=2,
        size=1,
        num_small=size,
        variant="photos.tfrecord",
    )
    started = time.process_time()
    return Path(write(task, task.folder)), time.process_time() - started


def read_small(path: Path) -> dict[str, float]:
    """Return processor microseconds a sample, milliseconds to the first batch, and MB."""
    fastpack.Loader(
        fastpack.open(path, decode=False), batch_size=_BATCH
    ).close()  # imports and first-use setup
    gc.collect()
    reset_peak()
    started = time.perf_counter()
    dataset = fastpack.open(path, decode=False)
    loaders = {
        "shuffled": fastpack.Loader(dataset, batch_size=_BATCH, shuffle=0),
        "in order": fastpack.Loader(dataset, batch_size=_BATCH),
    }
    next(iter(loaders["shuffled"]))
    seen = {"open": 1e3 * (time.perf_counter() - started)}
    for name, loader in loaders.items():
        started = time.process_time()
        num_samples = _read_some(loader)
        seen[name] = 1e6 * (time.process_time() - started) / num_samples
    index = path.with_name(f"{path.name}.fpindex").stat().st_size
    return seen | {"peak": peak(), "index": index / 1e6, "resident": resident()}


def _read_some(loader: fastpack.Loader) -> int:
    count = 0
    while count < _SAMPLES_READ:
        for batch in loader:
            count += batch.num_samples
            if count >= _SAMPLES_READ:
                break
    return count


def along_image(paths: Sequence[Path], folder: Path, arguments: Arguments) -> Iterator[Curve]:
    """Tile one photo to a number of pixels, one thread: the cost of a pixel should not change."""
    photo = fastpack.decode(paths[0].read_bytes())
    points = []
    for megapixels in (each for each in _MEGAPIXELS if each <= arguments.max_megapixels):
        jpeg = fastpack.encode(photo_of(photo, megapixels), "jpeg", quality=90)
        (folder / "large.jpg").write_bytes(jpeg)
        count = max(1, round(_PIXELS_A_TURN / (megapixels * 1e6)))
        dataset = fastpack.open(
            packed([folder / "large.jpg"], folder, num_images=count, name=f"{megapixels}.tfrecord"),
            num_workers=1,
        )
        out = np.ones((1, *fastpack.decode(jpeg).shape), np.uint8)
        looping = DecodingLoop([jpeg])
        rows = {
            "whole, new memory": partial(one_by_one, dataset),
            "whole, memory given": partial(one_by_one, dataset, out=out),
            "crop of 224": partial(one_by_one, dataset.with_options(transform=_STEPS)),
            "crop of 224, fast": partial(
                one_by_one, dataset.with_options(transform=_STEPS, mode="fast")
            ),
            "C loop, whole": partial(several, count, partial(looping.run, 1)),
        }
        points += [
            Point(line, megapixels, partial(rate, count * megapixels, run, time.process_time))
            for line, run in rows.items()
        ]
    lines = measured(points, arguments.rounds)
    yield Curve(
        "image",
        "Image size, one thread",
        "megapixels an image",
        "megapixels a processor second",
        lines,
    )


def photo_of(photo: npt.NDArray[np.uint8], megapixels: float) -> npt.NDArray[np.uint8]:
    """Tile the photo to an image of its proportions."""
    scale = (megapixels * 1e6 / (photo.shape[0] * photo.shape[1])) ** 0.5
    height, width = round(photo.shape[0] * scale), round(photo.shape[1] * scale)
    below, right = max(0, height - photo.shape[0]), max(0, width - photo.shape[1])
    wide = cv2.copyMakeBorder(photo, 0, below, 0, right, cv2.BORDER_REFLECT)
    return np.ascontiguousarray(wide[:height, :width])


def one_by_one(dataset: fastpack.Reader, out: npt.NDArray[np.uint8] | None = None) -> None:
    for row in range(len(dataset)):
        dataset.read([row], epoch=row, out=out)


def along_batch(paths: Sequence[Path], folder: Path, arguments: Arguments) -> Iterator[Curve]:
    dataset = fastpack.open(packed(paths, folder, num_images=2 * arguments.images), orient=False)
    records = dataset.with_options(decode=False)
    points = []
    for size in (size for size in _BATCH_SIZES if size <= len(dataset)):
        crops = fastpack.Loader(dataset, transform=_STEPS, batch_size=size, shuffle=0)
        encoded = fastpack.Loader(records, batch_size=size, shuffle=0)
        points += [
            Point("random crops", size, partial(rate, len(dataset), partial(epoch, crops))),
            Point(
                "encoded records",
                size,
                partial(rate, 2 * len(dataset), partial(several, 2, partial(epoch, encoded))),
            ),
        ]
    yield Curve(
        "batch",
        "Batch size, all cores",
        "samples a batch",
        "images/s",
        measured(points, arguments.rounds),
    )


def along_cache(paths: Sequence[Path], folder: Path, arguments: Arguments) -> Iterator[Curve]:
    """Compare a file in the page cache with the same file evicted. A RAM disk has no curve."""
    points = []
    for name in ("photos.tfrecord", "photos.h5"):
        path = packed(paths, folder, num_images=2 * arguments.images, name=name)
        if not evict([path]):
            print("cold: skipped, since the OS keeps the files in memory; use --scratch on a disk")
            return
        dataset = fastpack.open(path, orient=False)
        subjects = {
            "encoded records": fastpack.Loader(
                dataset.with_options(decode=False), batch_size=_BATCH, shuffle=0
            ),
            "random crops": fastpack.Loader(
                dataset, transform=_STEPS, batch_size=_BATCH, shuffle=0
            ),
        }
        kind = "TFRecord" if name.endswith("tfrecord") else "HDF5"
        for subject, loader in subjects.items():
            points += [
                Point("warm", f"{subject}, {kind}", partial(_warm, path, loader)),
                Point("cold", f"{subject}, {kind}", partial(_cold, path, loader)),
            ]
    yield Curve("cache", "Page cache", "data", "images/s", measured(points, arguments.rounds))


def _warm(path: Path, loader: fastpack.Loader) -> float:
    with open(path, "rb", buffering=0) as file:
        while file.read(2**20):
            pass
    return rate(len(loader.dataset), partial(epoch, loader))


def _cold(path: Path, loader: fastpack.Loader) -> float:
    evict([path])
    return rate(len(loader.dataset), partial(epoch, loader))


SUBJECTS: dict[str, Callable[[Sequence[Path], Path, Arguments], Iterator[Curve]]] = {
    "threads": along_threads,
    "dataset": along_dataset,
    "image": along_image,
    "batch": along_batch,
    "cache": along_cache,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.scaling", description=__doc__)
    parser.add_argument("subject", choices=[*SUBJECTS, "all"], nargs="?", default="all")
    parser.add_argument(
        "--photos", type=Path, help=f"folder of JPEGs (default: ${VARIABLE}, else generated)"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--images",
        type=int,
        default=_NUM_IMAGES,
        help="number of images; photos repeat; some questions use twice as many",
    )
    parser.add_argument(
        "--max-samples", type=int, default=_DATASET_SIZES[-1], help="samples of the largest dataset"
    )
    parser.add_argument(
        "--max-megapixels", type=float, default=_MEGAPIXELS[-1], help="of the largest image"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    parser.add_argument(
        "--scratch",
        type=Path,
        help="folder on a disk with space (default: the system's temporary folder)",
    )
    chosen = parser.parse_args(arguments)
    curves = []
    for subject in SUBJECTS if chosen.subject == "all" else [chosen.subject]:
        with tempfile.TemporaryDirectory(dir=chosen.scratch) as folder:
            paths = plain_jpegs(photos(chosen.photos, Path(folder)))[:_NUM_IMAGES]
            for curve in SUBJECTS[subject](paths, Path(folder), chosen):
                curves.append(curve.to_json())
                print(f"{curve.table()}\n", flush=True)
        record(chosen.json, chosen.photos, curves=curves)


if __name__ == "__main__":
    main()
