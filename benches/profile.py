"""Profile of the processor's time by stage, with Linux perf.

python -m benches.profile SUBJECT|all
"""

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import fastpack
from benches.internals import SEEK_POINTS, ImageFiles
from benches.photos import VARIABLE, photos
from benches.provenance import record

_KERNELS = Path(__file__).parent.parent / "src_cython" / "kernels"
_FREQUENCY = 997  # a prime, so that it is not in step with any loop
_NUM_IMAGES = 1024
# Warm-up calls: after these, imports are done and all batch buffers exist.
_WARMED = 8
_BATCH = 256

# The stage of each C source; a function belongs to its file's stage.
SOURCES = {
    "reading": ("span", "chunks", "files", "tables"),
    "checksums": ("crc32c",),
    "parsing": (
        "example",
        "features",
        "frames",
        "image",
        "order",
        "probe",
        "salvage",
        "status",
        "tar",
        "tfrecord",
        "write_rows",
    ),
    "selecting": ("bitmap",),
    "entropy decoding": ("entropy", "huffman", "seek_points"),
    "inverse DCT": ("idct",),
    "upsampling and color": ("upsample", "ycc"),
    "resampling": ("geometry", "resample", "weights"),
    "rest of the decoder": (
        "decode",
        "fax",
        "libjpeg",
        "png",
        "scans",
        "sequential",
        "transcode",
        "unpack",
        "vectors",
    ),
    "filters": ("blosc", "blosc_encode", "decompress", "filters", "parts", "shuffle"),
}
# Stages of time in the kernel: the first pattern that a frame matches.
_SYSTEM = {
    "fresh memory": r"page_fault|do_munmap|madvise|do_mmap|brk",
    "opening files": r"openat|do_sys_open|filp_close|__fput|vfs_fstat|vfs_statx|do_statx|newfstat",
    "reading": r"vfs_read|ksys_read|do_readv|do_preadv|filemap_read|fadvise",
    "writing": r"vfs_write|ksys_write|do_writev|do_pwritev|vfs_iter_write|fsync|fallocate"
    r"|ftruncate",
}
_LIBRARIES = {
    "rest of the decoder": r"libjpeg",
    "filters": r"libdeflate|liblz4|libzstd",
    "HDF5's library": r"libhdf5",
    "C library": r"libc[.-]|libm[.-]",
    "Python": r"python|_native|\.cpython|numpy|openblas|ld-linux|\[vdso\]|perf-\d+\.map",
}
STAGES = tuple(dict.fromkeys([*SOURCES, *_SYSTEM, *_LIBRARIES, "system", "other"]))
_FRAME = re.compile(r"^\s+[0-9a-f]+ (?P<symbol>.*) \((?P<library>[^()]*(?:\([^()]*\))?)\)$")


@dataclass(frozen=True)
class Frame:
    symbol: str
    library: str


def functions_of(source: str) -> set[str]:
    """Return the functions that a C file defines or declares at the beginning of a line.

    >>> sorted(functions_of("static int first(int a) {\\n    second(a);\\n}\\nvoid *third(void) {"))
    ['first', 'third']
    """
    return set(re.findall(r"^[A-Za-z_][\w \t*]*?\b(\w+)\(", source, flags=re.M))


def stages_of_functions() -> dict[str, str]:
    texts = {
        stage: [(_KERNELS / f"{name}.c").read_text() for name in names]
        for stage, names in SOURCES.items()
    }
    return {
        function: stage
        for stage, found in texts.items()
        for text in found
        for function in functions_of(text)
    }


def stage_of(frames: Sequence[Frame], functions: dict[str, str]) -> str:
    """Return the stage of the running function or, in the kernel, of what was requested."""
    at_work = frames[0]
    if "kernel" in at_work.library or at_work.library.endswith(".ko"):
        asked = (
            stage
            for stage, pattern in _SYSTEM.items()
            if any(re.search(pattern, frame.symbol) for frame in frames)
        )
        return next(asked, "system")
    if at_work.symbol in functions and "_native" in at_work.library:
        return functions[at_work.symbol]
    name = at_work.library.rpartition("/")[2]
    return next(
        (stage for stage, pattern in _LIBRARIES.items() if re.search(pattern, name)), "other"
    )


def samples(script: str) -> Iterator[list[Frame]]:
    """Yield call chains of the output of `perf script`, innermost function first."""
    for block in script.split("\n\n"):
        frames = [match for line in block.splitlines() if (match := _FRAME.match(line))]
        if frames:
            yield [
                Frame(re.sub(r"\.\w+(?:\.\d+)?.*|@plt", "", frame["symbol"]), frame["library"])
                for frame in frames
            ]


def profile_of(name: str, title: str, script: str) -> dict[str, Any]:
    """Return percentages by stage, and of the hottest functions of each."""
    functions = stages_of_functions()
    counts: dict[str, Counter[str]] = {stage: Counter() for stage in STAGES}
    for frames in samples(script):
        counts[stage_of(frames, functions)][frames[0].symbol] += 1
    total = sum(found.total() for found in counts.values())
    if not total:
        raise SystemExit(
            f"{name}: perf took no samples; check /proc/sys/kernel/perf_event_paranoid"
        )
    shares = {stage: 100 * found.total() / total for stage, found in counts.items() if found}
    hottest = {
        stage: [(symbol, 100 * count / total) for symbol, count in counts[stage].most_common(5)]
        for stage in shares
    }
    return {
        "name": name,
        "title": title,
        "num_samples": total,
        "shares": shares,
        "functions": hottest,
    }


def profiled(work: Callable[[], object], folder: Path, seconds: float) -> str:
    """Return perf's samples of this process while it repeats the work.

    Raises SystemExit if perf is not installed or not permitted.
    """
    perf = shutil.which("perf")
    if perf is None:
        raise SystemExit(
            "install perf: apt-get install linux-perf (Debian) or linux-tools-generic (Ubuntu)"
        )
    for _ in range(_WARMED):
        work()
    output = str(folder / "perf.data")
    command = [
        perf,
        "record",
        "-e",
        "cpu-clock",
        "-F",
        str(_FREQUENCY),
        "-g",
        "-o",
        output,
        "-p",
        str(os.getpid()),
    ]
    with subprocess.Popen(
        [*command, "--", "sleep", str(seconds)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as recorder:
        while recorder.poll() is None:
            work()
        complaint = recorder.stderr.read() if recorder.stderr else ""
    if recorder.returncode:
        raise SystemExit(f"perf cannot record here: {complaint.strip()}")
    script = subprocess.run(
        [perf, "script", "-i", output, "-F", "ip,sym,dso"],
        capture_output=True,
        text=True,
        check=True,
    )
    return script.stdout


Prepare = Callable[[Sequence[Path], Path], Callable[[], object]]


def training(
    paths: Sequence[Path], folder: Path, *, seek_points: bool = False
) -> Callable[[], object]:
    steps = (fastpack.RandomResizedCrop(224), fastpack.HorizontalFlip())
    return _batches(
        fastpack.Loader(
            _packed(paths, folder, seek_points=seek_points),
            transform=steps,
            batch_size=_BATCH,
            shuffle=0,
        )
    )


def decoding(paths: Sequence[Path], folder: Path) -> Callable[[], object]:
    reader = _packed(paths, folder)
    firsts = cycle(range(0, len(reader), _BATCH))

    def decode() -> fastpack.Batch:
        first = next(firsts)
        return reader.read(range(first, min(first + _BATCH, len(reader))))

    return decode


def records(paths: Sequence[Path], folder: Path) -> Callable[[], object]:
    return _batches(
        fastpack.Loader(
            _packed(paths, folder).with_options(decode=False), batch_size=_BATCH, shuffle=0
        )
    )


def packing(
    paths: Sequence[Path], folder: Path, *, name: str, size: int | None = None
) -> Callable[[], object]:
    options = fastpack.PackOptions(sync=False, size=size)
    return lambda: fastpack.pack(ImageFiles(paths), folder / name, options, overwrite=True)


def _packed(paths: Sequence[Path], folder: Path, *, seek_points: bool = False) -> fastpack.Reader:
    fastpack.pack(
        ImageFiles(paths),
        folder / "photos.tfrecord",
        fastpack.PackOptions(**{SEEK_POINTS: seek_points}),
    )
    return fastpack.open(folder / "photos.tfrecord", orient=False)


def _batches(loader: fastpack.Loader) -> Callable[[], object]:
    """Return a function that takes one batch at each call, epoch after epoch, with prefetching."""

    def endless() -> Iterator[fastpack.Batch]:
        while True:
            yield from loader

    batches = endless()
    return lambda: next(batches)


SUBJECTS: dict[str, tuple[str, Prepare]] = {
    "decode": (
        "whole images in order, batches of 256 by Reader.read, TFRecord in the page cache",
        decoding,
    ),
    "train": (
        "random crops of 224, shuffled batches of 256 by the Loader, TFRecord in the page cache",
        training,
    ),
    "train, seek points": (
        "the same, decoded from seek points",
        partial(training, seek_points=True),
    ),
    "records": (
        "encoded images, shuffled batches of 256 by the Loader, TFRecord in the page cache",
        records,
    ),
    "pack TFRecord": (
        "files in the page cache to one TFRecord in the page cache",
        partial(packing, name="packed.tfrecord"),
    ),
    "pack HDF5": ("the same to HDF5", partial(packing, name="packed.h5")),
    "pack pixels": (
        "the same to pixels of 224 x 224 in HDF5, uncompressed",
        partial(packing, name="pixels.h5", size=224),
    ),
}


def table(profile: dict[str, Any]) -> str:
    lines = [f"{profile['name']}: {profile['title']} ({profile['num_samples']} samples)"]
    for stage, share in sorted(profile["shares"].items(), key=lambda item: -item[1]):
        hottest = ", ".join(
            f"{symbol} {part:.1f}" for symbol, part in profile["functions"][stage][:3]
        )
        lines.append(f"{share:6.1f} %  {stage:24} {hottest}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.profile", description=__doc__)
    parser.add_argument("subject", choices=[*SUBJECTS, "all"], nargs="?", default="all")
    parser.add_argument(
        "--photos", type=Path, help=f"folder of JPEGs (default: ${VARIABLE}, else generated)"
    )
    parser.add_argument(
        "--images", type=int, default=_NUM_IMAGES, help="number of images; photos repeat"
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="for each subject")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument(
        "--scratch",
        type=Path,
        help="folder on a disk with space (default: the system's temporary folder)",
    )
    chosen = parser.parse_args(arguments)
    profiles = []
    for name in SUBJECTS if chosen.subject == "all" else [chosen.subject]:
        title, prepare = SUBJECTS[name]
        with tempfile.TemporaryDirectory(dir=chosen.scratch) as folder:
            found = photos(chosen.photos, Path(folder))
            paths = [found[i % len(found)] for i in range(chosen.images)]
            profiles.append(
                profile_of(
                    name,
                    title,
                    profiled(prepare(paths, Path(folder)), Path(folder), chosen.seconds),
                )
            )
        print(f"{table(profiles[-1])}\n", flush=True)
    record(chosen.json, chosen.photos, profiles=profiles)


if __name__ == "__main__":
    main()
