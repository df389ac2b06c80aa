"""Damages files like disks do, and checks verify and repair against the known whole samples.

`python -m tests.support.disk_damage --times 1000` repeats each kind of damage and of file.
"""

import argparse
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

import fastpack
from fastpack.errors import FastpackError
from fastpack.files.companions import index_path
from tests.support.images import jpeg

PAGE_BYTES = 4096
Damager = Callable[[bytes, np.random.Generator], bytes]
Sample = tuple[str, int, bytes]  # key, label, image


def flip_bit(data: bytes, random: np.random.Generator) -> bytes:
    changed = bytearray(data)
    changed[random.integers(len(data))] ^= 1 << int(random.integers(8))
    return bytes(changed)


def cut(data: bytes, random: np.random.Generator) -> bytes:
    return data[: random.integers(len(data))]


def overwrite_page(data: bytes, random: np.random.Generator) -> bytes:
    """With noise, or with zeros as after a lost write."""
    first = int(random.integers(-(-len(data) // PAGE_BYTES))) * PAGE_BYTES
    length = min(PAGE_BYTES, len(data) - first)
    page = random.bytes(length) if random.integers(2) else bytes(length)
    return data[:first] + page + data[first + length :]


DAMAGERS: dict[str, Damager] = {"flip": flip_bit, "cut": cut, "page": overwrite_page}
ENDINGS = ("tfrecord", "h5")


@dataclass(frozen=True)
class Original:
    """A sound file, and the spans [first byte, end) of each sample's image, label and the rest."""

    path: Path
    data: bytes
    samples: list[Sample]
    sample_spans: list[list[tuple[int, int]]]
    shared: list[tuple[int, int]]  # labels and keys of all samples, where they lie together


def make_original(folder: Path, ending: str, num_samples: int = 24) -> Original:
    """A packed file of JPEGs of 400 bytes to 20 KB, with its index."""
    files = [folder / f"{number:03d}.jpg" for number in range(num_samples)]
    for number, file in enumerate(files):
        side = 8 + number * 37 % 200
        file.write_bytes(jpeg(side, side + 5, seed=number, quality=90))
    path = folder / f"data.{ending}"
    labels = [number % 5 for number in range(num_samples)]
    fastpack.pack(
        fastpack.sources.ImageFiles(
            files, labels, keys=[file.name for file in files], class_names=list("abcde")
        ),
        path,
        fastpack.PackOptions(sync=False),
    )
    samples = [
        (file.name, label, file.read_bytes()) for file, label in zip(files, labels, strict=True)
    ]
    spans = fastpack.open(path).index.spans["image"]
    if ending == "tfrecord":
        frames = [
            (int(s["record_offset"]) - 12, int(s["record_offset"] + s["record_length"]) + 4)
            for s in spans
        ]
        return Original(path, path.read_bytes(), samples, [[frame] for frame in frames], [])
    sample_spans = [[(int(s["offset"]), int(s["offset"] + s["length"]))] for s in spans]
    with h5py.File(path) as file:
        tables = [file["labels"], file["keys"]]
        shared = [(table.id.get_offset(), table.id.get_offset() + table.nbytes) for table in tables]
    return Original(path, path.read_bytes(), samples, sample_spans, shared)


def changed_offsets(before: bytes, after: bytes) -> np.ndarray:
    """(n,) the bytes that differ, those that are gone among them."""
    common = min(len(before), len(after))
    old, new = np.frombuffer(before, np.uint8), np.frombuffer(after, np.uint8)
    return np.concatenate(
        [np.flatnonzero(old[:common] != new[:common]), np.arange(common, len(before))]
    )


def hits(changed: np.ndarray, sample_spans: list[tuple[int, int]]) -> bool:
    return any(((changed >= first) & (changed < end)).any() for first, end in sample_spans)


def complaints(original: Original, data: bytes, target: Path, *, with_index: bool) -> Iterator[str]:
    """Yields errors of verify and repair on the file `data`."""
    target.write_bytes(data)
    output = target.with_name(f"repaired{target.suffix}")
    for stale in (index_path(target), output, index_path(output)):
        stale.unlink(missing_ok=True)
    if with_index:
        shutil.copy(index_path(original.path), index_path(target))
    changed = changed_offsets(original.data, data)
    touched = [hits(changed, sample_spans) for sample_spans in original.sample_spans]
    is_sound = fastpack.verify(target).is_sound
    if is_sound and (any(touched) or hits(changed, original.shared)):
        yield "verify found nothing"
    before = target.read_bytes()
    whole = [
        sample
        for sample, is_touched in zip(original.samples, touched, strict=True)
        if not is_touched
    ]
    try:
        damages = fastpack.repair(target, output).damages
    except FastpackError as error:
        # An HDF5 file without tables and index is lost; so is a file without a whole sample.
        may_fail = not whole or (target.suffix == ".h5" and not with_index)
        if not may_fail:
            yield f"repair failed: {error}"
        return
    if target.read_bytes() != before:
        yield "repair changed the damaged file"
    yield from differences(
        original,
        whole,
        fastpack.open(output, decode=False),
        {damage.reason.split(":")[0] for damage in damages},
    )
    if not fastpack.verify(output, decode=True).is_sound:
        yield "what repair wrote is not sound"


def differences(
    original: Original, whole: list[Sample], saved: fastpack.Reader, damaged: set[str]
) -> Iterator[str]:
    """Yields samples that were not saved, or that never existed.

    A damaged column may be missing if `damaged` names it. Images may have another name if theirs
    was damaged in the HDF5 file.
    """
    kept = {field.name for field in saved.schema.fields if not field.is_blob}
    for column in {"key", "label"} - kept:
        if f"{column}s" not in damaged:
            yield f"repair lost {column}s without a word"

    def seen(key: object, label: object, image: bytes) -> tuple[object, ...]:
        return "key" in kept and key, "label" in kept and label, image

    image_field = saved.schema.image_field
    assert image_field is not None
    got = Counter(
        seen(sample.get("key"), sample.get("label"), sample[image_field.name]) for sample in saved
    )
    lacking, strange = (
        Counter(seen(*sample) for sample in whole) - got,
        got - Counter(seen(*sample) for sample in original.samples),
    )
    if lacking or strange:
        yield f"repair lacks {len(lacking)} whole records and has {len(strange)} that never were"


def run(folder: Path, times: int, seed: int) -> int:
    num_complaints = 0
    for ending in ENDINGS:
        original = make_original(folder, ending)
        for name, damage in DAMAGERS.items():
            random, found = np.random.default_rng([seed, *name.encode()]), Counter[str]()
            for _ in range(times):
                data = damage(original.data, random)
                for with_index in (True, False):
                    found.update(
                        complaints(
                            original, data, folder / f"damaged.{ending}", with_index=with_index
                        )
                    )
            print(
                f"{ending:9}{name:6}{times} times, with and without index: "
                f"{dict(found) or 'all found, all saved'}",
                flush=True,
            )
            num_complaints += found.total()
    return num_complaints


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        raise SystemExit(run(Path(scratch), arguments.times, arguments.seed) > 0)
