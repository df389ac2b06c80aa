"""Where the time of decoding goes, stage by stage, as Linux's perf samples it: `python -m benches.where [--photos FOLDER]`.

Photographs are packed into a TFRecord and read by one thread: whole, as crops, and as crops that begin at checkpoints. Shares are
of samples, so a loaded machine does them no harm.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

import fastpack
from benches.photos import photos

# The first pattern that a symbol fits names its stage.
STAGES = {
    "Huffman decoding": r"^(decode|skip)_(bmi2|plain|both.*|mcus.*)|^fp_entropy|^fp_huffman_find|^decode_.*_both",
    "tables": r"^fp_huffman_make|^fill_|^number_codes",
    "taking out stuffed bytes": r"memchr|unstuff|start_segment",
    "inverse DCT": r"idct|^reduce_",
    "upsampling, colour": r"^convert_|^(blend|across|across_blended|down)(_avx2)?$|^fp_(blend|upsample|ycc|gray)|^(write|chroma)_row",
    "resampling": r"^blend_(rows|columns)|^fp_(resample|place|weights|axis)|^write_|^weigh",
    "reading, checksums": r"crc32c|pread|^copy_|_copy_to_iter|filemap|page_cache|folio|ext4|vfs_",
}
WAYS = {"full decode": (False, False), "RandomResizedCrop 224": (True, False), "the same from checkpoints": (True, True)}
_WARMED_SECONDS = 3
_BATCH = 16


def stage_of(symbol: str) -> str:
    return next((stage for stage, pattern in STAGES.items() if re.search(pattern, symbol)), "the rest")


def work(dataset_path: str, is_crop: bool, seconds: float) -> None:
    """Reads batches until the time is over: what perf looks at."""
    transform = fastpack.RandomResizedCrop(224) if is_crop else None
    dataset = fastpack.open(dataset_path, transform=transform, num_workers=1)
    end, epoch = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for first in range(0, len(dataset), _BATCH):
            dataset.read(np.arange(first, min(first + _BATCH, len(dataset))), epoch=epoch)
        epoch += 1


def shares_of(dataset_path: Path, is_crop: bool, seconds: float) -> Counter[str]:
    """Percent of the samples by stage."""
    recorded = dataset_path.with_suffix(".perf")
    child = [sys.executable, "-m", "benches.where", "--work", str(dataset_path), "--seconds", str(seconds + _WARMED_SECONDS)]
    record = ["perf", "record", "-q", "-F", "997", "-D", str(1000 * _WARMED_SECONDS), "-o", str(recorded), "--"]
    subprocess.run([*record, *child, *(["--crop"] if is_crop else [])], check=True, stdout=subprocess.DEVNULL)
    report = ["perf", "report", "-i", str(recorded), "--stdio", "--no-children", "-F", "overhead,symbol"]
    listing = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    shares: Counter[str] = Counter()
    for percent, symbol in re.findall(r"^\s*([\d.]+)%\s+\[.\]\s+(\S+)", listing, re.MULTILINE):
        shares[stage_of(symbol)] += float(percent)
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--crop", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work, arguments.crop, arguments.seconds)
        return
    with tempfile.TemporaryDirectory() as scratch:
        sources = photos(arguments.photos, Path(scratch))
        found = {}
        for name, (is_crop, has_checkpoints) in WAYS.items():
            output = Path(scratch) / f"{name.replace(' ', '-')}.tfrecord"
            fastpack.pack(fastpack.Paths(sources), output, fastpack.PackOptions(checkpoints=has_checkpoints))
            found[name] = shares_of(output, is_crop, arguments.seconds)
    print("| | " + " | ".join(found) + " |\n|---|" + "--:|" * len(found))
    for stage in [*STAGES, "the rest"]:
        print(f"| {stage} | " + " | ".join(f"{shares[stage]:.0f}" for shares in found.values()) + " |")


if __name__ == "__main__":
    main()
