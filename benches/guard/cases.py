"""Guarded cases: a kernel in one thread and a reference on the same data.

Each side takes some milliseconds. Cases use public functions where they can, so that an older
fastpack can run them.
"""

import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastpack
from benches.crops import Cropping
from benches.internals import FILTER, VIEW, ImageFiles, Ragged, first_method, probe_blobs
from benches.photos import make_photos
from benches.reference import plain, pread_loop
from benches.workloads import Decoding, Reading
from fastpack._native.crc32c import crc32c
from fastpack._native.decode import Decoder
from fastpack._native.example import ExampleFrames
from fastpack._native.features import Features
from fastpack._native.filters import Pipeline
from fastpack._native.tar import Members
from fastpack._native.tfrecord import scan

_NUM_PHOTOS = 16
_NUM_SMALL = 20_000
_SIDE = 224
_CHUNK = (4, _SIDE, _SIDE, 3)  # of the HDF5 dataset: about 600 KB
_MAX_RECORD_BYTES = 2**30
# HDF5's filter numbers and parameters; Blosc2's codec numbers: 5 is Zstandard, 1 is LZ4.
_CHUNK_BYTES = int(np.prod(_CHUNK))
_FILTERS: dict[str, list[tuple[int, list[int]]]] = {
    "gzip": [(2, [4]), (1, [4])],
    "lz4": [(32004, [_CHUNK_BYTES]), (3, [])],
    "zstd": [(32015, [3])],
    "blosc2": [(32026, [1, 0, 4, _CHUNK_BYTES, 5, 1, 1])],
}

Work = Callable[[], object]


@dataclass(frozen=True)
class Case:
    kernel: Work
    reference: Work


@dataclass(frozen=True)
class Inputs:
    """Input files of the cases, in one folder for all processes. Always the same bytes."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Inputs":
        inputs = cls(folder)
        photos = make_photos(folder, _NUM_PHOTOS)
        fastpack.pack(
            ImageFiles(photos), folder / "photos.tfrecord", fastpack.PackOptions(sync=False)
        )
        pixels = fastpack.PackOptions(size=_SIDE, compression="lz4", chunk=_CHUNK[0], sync=False)
        fastpack.pack(ImageFiles(photos), folder / "pixels.h5", pixels)
        inputs._make_tar()
        frames = small_frames(small_values())
        frames.run()
        frames.records.tofile(folder / "small.tfrecord")
        return inputs

    @property
    def photos(self) -> list[Path]:
        return sorted(self.folder.glob("*.jpg"))

    def pixels(self) -> Any:
        """Return photos, (4, 224, 224, 3), with few enough levels to be compressible."""
        reader = fastpack.open(
            self.folder / "photos.tfrecord", transform=(fastpack.Resize(_SIDE),), save_index=False
        )
        return reader.read(range(_CHUNK[0]))["image"] & 0xE0

    def _make_tar(self) -> None:
        with tarfile.open(self.folder / "small.tar", "w") as tar:
            (self.folder / "one").write_bytes(b"1")
            for number in range(400):
                tar.add(self.folder / "one", f"{number:06d}.cls")


def small_values() -> Ragged:
    random = np.random.default_rng(0)
    offsets = np.zeros(_NUM_SMALL + 1, np.int64)
    np.cumsum(random.integers(60, 140, _NUM_SMALL), out=offsets[1:])
    return Ragged(random.integers(0, 256, offsets[-1], np.uint8), offsets)


def small_frames(values: Ragged) -> ExampleFrames:
    labels = np.arange(_NUM_SMALL)
    columns: list[Any] = [
        ("image", "bytes", values.values, values.offsets, None),
        ("label", "int", labels, None, None),
        ("weight", "float", labels.astype(np.float32), None, None),
    ]
    return ExampleFrames(columns, _NUM_SMALL)


def decode(inputs: Inputs) -> Case:
    decoding = Decoding(inputs.photos[:4])
    return Case(partial(decoding.fastpack, 1), partial(decoding.reference, 1))


def crop(inputs: Inputs) -> Case:
    cropping = Cropping(inputs.photos, "train", num_images=8, batch=8, scratch=inputs.folder)
    return Case(partial(cropping.run, "kernel", 1), partial(cropping.run, "reference", 1))


def resample(inputs: Inputs) -> Case:
    pixels = fastpack.decode(inputs.photos[0].read_bytes())
    run = first_method(Decoder(), "resample", "place")
    view = np.zeros(1, VIEW)
    view["height"], view["width"], _ = pixels.shape
    view["scaled_width"] = view["scaled_height"] = _SIDE
    out, plain_out = np.ones((_SIDE, _SIDE, 3), np.uint8), np.ones((_SIDE, _SIDE, 3), np.uint8)
    return Case(
        _often(20, lambda: run(pixels, view, out)),
        _often(20, lambda: plain.blend(pixels, plain_out)),
    )


def gather(inputs: Inputs) -> Case:
    """Read encoded images at random, with their checksums."""
    reading = Reading(inputs.folder / "photos.tfrecord", batch=64, num_batches=4, num_threads=1)
    return Case(partial(reading.fastpack, check=True), partial(reading.reference, check=False))


def crc(inputs: Inputs) -> Case:
    """Compute CRC-32C of 64 KB in the cache.

    512-bit vectors are up to a fifth slower if another virtual machine uses the core's second
    thread; the reference is not. The committed ratio is of such an hour, like that of `gather`.
    """
    data = np.concatenate([np.fromfile(photo, np.uint8) for photo in inputs.photos])[: 2**16]
    return Case(_often(600, lambda: crc32c(data)), _often(10, lambda: plain.crc(data)))


def frame(inputs: Inputs) -> Case:
    values = small_values()
    out = np.ones(len(values.values) + 16 * len(values), np.uint8)
    return Case(
        _often(2, lambda: small_frames(values).run()),
        lambda: plain.frame(values.values, values.offsets, out),
    )


def pack(inputs: Inputs) -> Case:
    """Pack a list of files to one TFRecord, which the writer reads back."""
    paths, target, copied = (
        inputs.photos * 4,
        inputs.folder / "packed.tfrecord",
        inputs.folder / "copied",
    )
    options = fastpack.PackOptions(sync=False, num_workers=1)
    buffer = np.ones(max(path.stat().st_size for path in paths), np.uint8)

    def kernel() -> None:
        fastpack.pack(ImageFiles(paths), target, options)
        for path in inputs.folder.glob("packed*"):
            path.unlink()

    def reference() -> None:
        plain.copy(paths, copied, buffer)
        copied.unlink()

    return Case(kernel, reference)


def parse(inputs: Inputs) -> Case:
    """Parse small Examples: find frames, look up features."""
    records = np.fromfile(inputs.folder / "small.tfrecord", np.uint8)

    def kernel() -> None:
        offsets, lengths, *_ = scan(records, len(records), record_limit=_MAX_RECORD_BYTES)
        Features(max_features=100).add(records, offsets, lengths)

    return Case(kernel, lambda: plain.walk(records))


def tar(inputs: Inputs) -> Case:
    """List headers of small members; the reference does as many preads."""
    fd = os.open(inputs.folder / "small.tar", os.O_RDONLY)
    size = os.fstat(fd).st_size
    places = np.arange(0, size - 512, 1024, dtype=np.uint64)
    lengths, out = np.full_like(places, 512), np.ones(512 * len(places), np.uint8)
    return Case(
        _often(10, lambda: Members(fd, size, 100)),
        _often(20, lambda: pread_loop(fd, places, lengths, out, num_threads=1)),
    )


def probe(inputs: Inputs) -> Case:
    """Parse the first KB of many JPEGs, which has all their headers."""
    heads = Ragged.of_bytes(photo.read_bytes()[:1024] for photo in inputs.photos * 32)
    return Case(
        _often(300, lambda: probe_blobs(heads)),
        _often(300, lambda: plain.markers(heads.values, heads.offsets)),
    )


def order(inputs: Inputs) -> Case:
    reader = fastpack.open(inputs.folder / "small.tfrecord", save_index=False)
    samples_at = first_method(fastpack.Shuffle(0).order(reader), "samples_at", "visits")
    positions, out = np.arange(_NUM_SMALL), np.ones(_NUM_SMALL * 10, np.int64)
    return Case(_often(5, lambda: samples_at(0, positions)), lambda: plain.mix(out))


def chunks(inputs: Inputs) -> Case:
    """Read pixels from compressed HDF5 chunks; the reference does preads and decompression."""
    reader = fastpack.open(inputs.folder / "pixels.h5", num_workers=1, save_index=False)
    pixels = reader.read(range(len(reader)))["image"]
    out, plain_out = np.ones_like(pixels), np.ones_like(pixels).reshape(-1)
    fd, size = os.open(inputs.folder / "pixels.h5", os.O_RDONLY), len(plain_out) // 4
    places, lengths = np.arange(0, 4 * size, size, dtype=np.uint64), np.full(4, size, np.uint64)
    stored, read = np.ones(2 * size, np.uint8), np.ones(4 * size, np.uint8)
    compressed = stored[
        : plain.code("lz4", pixels.reshape(-1)[:size], stored, compresses=True)
    ].copy()

    def reference() -> None:
        pread_loop(fd, places, lengths, read, num_threads=1)
        for first in range(0, len(plain_out), size):
            plain.code("lz4", compressed, plain_out[first : first + size], compresses=False)

    return Case(_often(3, lambda: reader.read(range(len(reader)), out=out)), _often(3, reference))


def unfilter(inputs: Inputs, *, name: str, codec: str, rounds: int) -> Case:
    pipeline, raw = Pipeline(_filters(name)), inputs.pixels().reshape(-1)
    stored, out = pipeline.encode(raw), np.ones(len(raw), np.uint8)
    return Case(
        _often(rounds, lambda: pipeline.decode(stored, out)),
        _codec_work(inputs, codec, compresses=False, rounds=rounds),
    )


def filter_chunk(inputs: Inputs, *, name: str, codec: str, rounds: int) -> Case:
    pipeline, raw = Pipeline(_filters(name)), inputs.pixels().reshape(-1)
    return Case(
        _often(rounds, lambda: pipeline.encode(raw)),
        _codec_work(inputs, codec, compresses=True, rounds=rounds),
    )


CASES: dict[str, Callable[[Inputs], Case]] = {
    "decode": decode,
    "crop": crop,
    "resample": resample,
    "gather": gather,
    "crc32c": crc,
    "frame": frame,
    "pack": pack,
    "parse": parse,
    "tar": tar,
    "probe": probe,
    "order": order,
    "chunks": chunks,
    "unfilter gzip": partial(unfilter, name="gzip", codec="gzip", rounds=4),
    "unfilter lz4": partial(unfilter, name="lz4", codec="lz4", rounds=8),
    "unfilter blosc2": partial(unfilter, name="blosc2", codec="lz4", rounds=8),
    "filter zstd": partial(filter_chunk, name="zstd", codec="zstd", rounds=2),
    "filter blosc2": partial(filter_chunk, name="blosc2", codec="lz4", rounds=4),
}


def _often(times: int, work: Work) -> Work:
    def run() -> None:
        for _ in range(times):
            work()

    return run


def _filters(name: str) -> Any:
    steps = _FILTERS[name]
    filters = np.zeros(len(steps), FILTER)
    for row, (number, parameters) in zip(filters, steps, strict=True):
        row["id"], row["num_parameters"] = number, len(parameters)
        row["parameters"][: len(parameters)] = parameters
    return filters


def _codec_work(inputs: Inputs, codec: str, *, compresses: bool, rounds: int) -> Work:
    raw = inputs.pixels().reshape(-1)
    stored = np.ones(2 * len(raw) + 4096, np.uint8)
    length = plain.code(codec, raw, stored, compresses=True)
    if compresses:
        return _often(rounds, lambda: plain.code(codec, raw, stored, compresses=True))
    out, compressed = np.ones(len(raw), np.uint8), stored[:length].copy()
    return _often(rounds, lambda: plain.code(codec, compressed, out, compresses=False))
