"""Tests of memory and threads under load: python -m benches.memory large|decodes|hammer|pack"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

import fastpack
from benches.crops import SIZE, STEPS
from benches.curves import Curve, Position
from benches.internals import ImageFiles
from benches.photos import VARIABLE, make_photos, photos
from benches.provenance import record

_BATCH = 256
_NUM_SMALL = 32
_LARGE = 10_000  # its square is 100 million pixels


def resident(name: str = "VmRSS") -> int:
    """Return resident memory in MB, or with "VmHWM" its peak since `reset_peak`."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) // 1024


def peak() -> int:
    return resident("VmHWM")


def reset_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


# A process's peak begins with its parent's memory (execve keeps it), so a small parent starts it.
_PARENT = """
import os, subprocess, sys

_, status, usage = os.wait4(subprocess.Popen(sys.argv[1:]).pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(status != 0)
"""


def peak_bytes(command: Sequence[str | Path]) -> int:
    """Return a program's peak memory in bytes; raise CalledProcessError if it fails."""
    parent = [sys.executable, "-S", "-c", _PARENT, *command]
    return int(
        subprocess.run(parent, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
    )


def large_jpeg() -> bytes:
    """Write one JPEG of 100 megapixels."""
    tile = np.random.default_rng(0).integers(0, 256, (_LARGE // 100, _LARGE // 100, 3), np.uint8)
    return fastpack.encode(
        cv2.resize(tile, (_LARGE, _LARGE), interpolation=cv2.INTER_LINEAR), "jpeg", quality=90
    )


def packed(folder: Path, jpegs: list[Path]) -> Path:
    fastpack.pack(ImageFiles(jpegs), folder / "photos.tfrecord")
    return folder / "photos.tfrecord"


def measure_large(folder: Path, arguments: argparse.Namespace) -> None:
    """Print peaks of decoding batches, without and with a crop of a large image in each."""
    jpegs = make_photos(folder, _NUM_SMALL)
    (folder / "large.jpg").write_bytes(large_jpeg())
    reader = fastpack.open(
        packed(folder, [*jpegs, folder / "large.jpg"]), transform=STEPS["train"], num_workers=2
    )
    out = np.ones((_BATCH, SIZE, SIZE, 3), np.uint8)
    random = np.random.default_rng(0)
    reset_peak()
    print(f"{peak()} MB before")
    for title, rows in (
        ("small images", []),
        (f"one image of {_LARGE**2 // 10**6} megapixels in each", [len(jpegs)]),
    ):
        reset_peak()
        for epoch in range(arguments.batches):
            others = random.integers(0, len(jpegs), _BATCH - len(rows))
            reader.read([*rows, *others], epoch=epoch, out=out)
        print(
            f"{peak()} MB peak over {arguments.batches} batches, {title}; {resident()} MB after",
            flush=True,
        )


def measure_decodes(folder: Path, arguments: argparse.Namespace) -> Curve:
    """Measure resident memory over many decodes. It must not grow."""
    jpegs = photos(arguments.photos, folder)[:_NUM_SMALL]
    reader = fastpack.open(packed(folder, jpegs), transform=STEPS["train"], num_workers=2)
    random = np.random.default_rng(0)
    num_batches = -(-arguments.decodes // _BATCH)
    found: dict[Position, list[float]] = {}
    for i in range(num_batches):
        reader.read(random.integers(0, len(reader), _BATCH), epoch=i)
        if i % (num_batches // 10 or 1) == 0 or i == num_batches - 1:
            found[(i + 1) * _BATCH] = [float(resident())]
            print(f"{(i + 1) * _BATCH:7d} decodes: {resident()} MB", flush=True)
    print(f"peak {peak()} MB")
    return Curve(
        "memory-decodes",
        "Memory over many decodes",
        "images decoded",
        "MB resident",
        {"random crops": found},
    )


def measure_hammer(folder: Path, arguments: argparse.Namespace) -> None:
    """Compare random batches that many threads read from one reader with those of one thread."""
    reader = fastpack.open(
        packed(folder, make_photos(folder, _NUM_SMALL)), transform=STEPS["train"], num_workers=2
    )
    alone = reader.with_options(num_workers=1)
    rows = np.arange(len(reader))
    expected = [alone.read(rows, epoch=epoch)["image"] for epoch in range(4)]
    end = time.monotonic() + arguments.seconds
    counts, wrong = [0] * arguments.threads, []

    def read(thread: int) -> None:
        random = np.random.default_rng(thread)
        while time.monotonic() < end and not wrong:
            epoch, chosen = (
                int(random.integers(len(expected))),
                random.integers(0, len(reader), random.integers(1, 64)),
            )
            try:
                same = bool(
                    (reader.read(chosen, epoch=epoch)["image"] == expected[epoch][chosen]).all()
                )
            except Exception as error:
                wrong.append(f"thread {thread}: {error!r}")
                raise
            if not same:
                wrong.append(
                    f"thread {thread}: other pixels, epoch {epoch}, rows {chosen.tolist()}"
                )
            counts[thread] += len(chosen)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(arguments.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(
        f"{sum(counts)} images read by {len(threads)} threads in {arguments.seconds} s, "
        f"all as expected: {not wrong}; peak {peak()} MB"
    )
    if wrong:
        raise SystemExit("\n".join(wrong))


PACK = """
import sys
from pathlib import Path
import fastpack
from benches.internals import ImageFiles

listed, output, size = sys.argv[1:]
paths = [Path(line) for line in Path(listed).read_text().splitlines()]
options = fastpack.PackOptions(size=int(size) or None, sync=False)
fastpack.pack(ImageFiles(paths), output, options)
"""


def measure_pack(folder: Path, arguments: argparse.Namespace) -> Curve:
    """Measure the peak of packing few and many images, each in a new process. It must not grow."""
    jpegs = photos(arguments.photos, folder)
    lines: dict[str, dict[Position, list[float]]] = {}
    for num_images in arguments.samples:
        listed = folder / "paths"
        listed.write_text(
            "\n".join(str(jpegs[i % len(jpegs)].absolute()) for i in range(num_images))
        )
        for output, size in (("pixels.h5", 224), ("encoded.h5", 0), ("all.tfrecord", 0)):
            megabytes = (
                peak_bytes([sys.executable, "-c", PACK, listed, folder / output, str(size)]) / 2**20
            )
            print(f"{megabytes:.0f} MB peak, {num_images} images to {output}", flush=True)
            lines.setdefault(output, {})[num_images] = [megabytes]
            (folder / output).unlink()
    return Curve("memory-pack", "Memory of packing", "images packed", "MB at the peak", lines)


SUBJECTS: dict[str, Callable[[Path, argparse.Namespace], Curve | None]] = {
    "large": measure_large,
    "decodes": measure_decodes,
    "hammer": measure_hammer,
    "pack": measure_pack,
}


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.memory", description=__doc__)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument(
        "--batches", type=int, default=20, help="large: batches of 256 images of each kind"
    )
    parser.add_argument("--decodes", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60, help="hammer: duration")
    parser.add_argument(
        "--threads", type=int, default=8, help="hammer: threads; each read uses two more"
    )
    parser.add_argument(
        "--samples",
        type=int,
        nargs="+",
        default=[2000, 10_000],
        help="pack: numbers of images, each in a new process",
    )
    parser.add_argument(
        "--photos",
        type=Path,
        help=f"folder of JPEGs for decodes and pack (default: ${VARIABLE}, else generated)",
    )
    parser.add_argument(
        "--scratch",
        type=Path,
        help="folder to write to (default: the system's temporary folder)",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the figures of decodes or pack to this file",
    )
    arguments = parser.parse_args(given)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        curve = SUBJECTS[arguments.subject](Path(folder), arguments)
    if curve:
        record(arguments.json, arguments.photos, curves=[curve.to_json()])


if __name__ == "__main__":
    main()
