"""Work of the benchmarks, done by fastpack and by a reference on the same input."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import numpy.typing as npt

import fastpack
from benches.internals import (
    FORMATS,
    SPAN,
    DecodeOptions,
    EncodedImages,
    ImageFiles,
    Location,
    PackResult,
    Ragged,
    decode_images,
    offsets_of,
    plan_batch,
    probe_blobs,
    source_of,
    whole,
)
from benches.reference import crop_loop, decode_loop, pread_loop

_SIZE = 224

Pixels = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]


def plain_jpegs(paths: Sequence[Path]) -> list[Path]:
    """Return the JPEGs with gray or YCbCr pixels: the reference knows no others."""
    infos, statuses = probe_blobs(Ragged.of_bytes(path.read_bytes() for path in paths))
    kept = (
        (statuses == 0)
        & (infos["format"] == FORMATS.index("jpeg"))
        & np.isin(infos["components"], (1, 3))
    )
    return [path for path, keep in zip(paths, kept, strict=True) if keep]


# Formats that keep encoded images: file name and HDF5 layout.
FORMS: dict[str, tuple[str, str]] = {
    "tfrecord": ("photos.tfrecord", "auto"),
    "encoded": ("photos.h5", "encoded"),
    "vlen": ("photos-vlen.h5", "vlen"),
}


def pack_as(form: str, paths: Sequence[Path], folder: Path) -> Path:
    """Pack `paths` and return the file."""
    name, layout = FORMS[form]
    fastpack.pack(ImageFiles(paths), folder / name, fastpack.PackOptions(layout=layout, sync=False))
    return folder / name


class Decoding:
    """JPEGs in memory, decoded to preallocated RGB pixels: one array for each side."""

    def __init__(self, paths: Sequence[Path]) -> None:
        blobs = Ragged.of_bytes(path.read_bytes() for path in paths)
        infos, _ = probe_blobs(blobs)
        spans = np.zeros(len(blobs), SPAN)
        spans["offset"], spans["length"] = blobs.offsets[:-1], blobs.lengths
        self._jpegs, self._jpeg_offsets = blobs.values, blobs.offsets
        self._pictures = EncodedImages(
            source_of(blobs.values), spans, infos, lambda row: Location(paths[row])
        )
        self._plan = whole(infos["width"], infos["height"])
        shapes = [(int(info["height"]), int(info["width"]), 3) for info in infos]
        self._pixel_offsets = offsets_of(
            [height * width * channels for height, width, channels in shapes]
        )
        self.by_fastpack, self.by_reference = (
            np.empty(self._pixel_offsets[-1], np.uint8) for _ in range(2)
        )
        self.clear_outputs()
        places = zip(self._pixel_offsets[:-1], self._pixel_offsets[1:], shapes, strict=True)
        self._outs = [self.by_fastpack[start:end].reshape(shape) for start, end, shape in places]

    def __len__(self) -> int:
        return len(self._outs)

    def clear_outputs(self) -> None:
        """Fill the outputs with different bytes: a pixel that is not written then shows."""
        self.by_fastpack.fill(1)
        self.by_reference.fill(2)

    def fastpack(self, num_threads: int) -> None:
        decode_images(
            self._pictures, self._plan, self._outs, DecodeOptions(num_workers=num_threads), {}
        )

    def reference(self, num_threads: int) -> None:
        decode_loop(
            self._jpegs,
            self._jpeg_offsets,
            self.by_reference,
            self._pixel_offsets,
            num_threads=num_threads,
        )


class Packing:
    """Packing of a list of files, cycled, to one file in `folder`."""

    def __init__(self, paths: Sequence[Path], num_records: int, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.paths = [paths[i % len(paths)] for i in range(num_records)]
        self._labels = np.arange(num_records) % 1000
        self._folder = folder
        self._list = folder / "list"
        self._names = [os.fspath(path) for path in self.paths]
        self._list.write_bytes(b"\0".join(map(os.fsencode, self._names)))

    def output(self, name: str) -> Path:
        return self._folder / name

    def remove(self) -> None:
        """Remove all outputs, with their dirty pages."""
        for path in self._folder.iterdir():
            if path != self._list:
                path.unlink()

    def fastpack(self, name: str, *, sync: bool = False, **options: Any) -> PackResult:
        source = ImageFiles(self._names, self._labels)
        return fastpack.pack(source, self.output(name), fastpack.PackOptions(sync=sync, **options))

    def cat(self, *, sync: bool = False) -> None:
        output = self.output("cat")
        with open(output, "xb") as file:
            subprocess.run(["xargs", "-0", "-a", self._list, "cat"], stdout=file, check=True)
        if sync:
            subprocess.run(["sync", output], check=True)

    def tar(self) -> None:
        options = [
            "--null",
            "--hard-dereference",
            "--no-recursion",
            "--absolute-names",
            f"--files-from={self._list}",
        ]
        subprocess.run(["tar", "-c", "-f", self.output("tar"), *options], check=True)

    def loop(self) -> None:
        """Copy files one after the other in Python."""
        with open(self.output("loop"), "xb") as output:
            for name in self._names:
                with open(name, "rb") as file:
                    output.write(file.read())


class PackingPixels:
    """Packing of JPEG files, cycled, to an HDF5 dataset of 224 x 224 pixels.

    The reference is a C loop that only decodes and resamples, from memory to preallocated memory.
    """

    SNIPPETS_SHARE = 0.1

    def __init__(self, paths: Sequence[Path], num_images: int, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.paths = [paths[i % len(paths)] for i in range(num_images)]
        self._blobs = Ragged.of_bytes(path.read_bytes() for path in paths)
        infos, _ = probe_blobs(self._blobs)
        self._views = plan_batch((fastpack.Resize(_SIZE),), infos["width"], infos["height"]).views
        self._out = np.zeros((len(paths), _SIZE, _SIZE, 3), np.uint8)

    def remove(self) -> None:
        for path in self._folder.iterdir():
            path.unlink()

    def reference(self, *, num_threads: int) -> None:
        """Run whole rounds of the photos, and a part of one at the end."""
        for first in range(0, len(self.paths), len(self._views)):
            count = min(len(self._views), len(self.paths) - first)
            offsets = self._blobs.offsets[: count + 1]
            crop_loop(
                self._blobs.values,
                offsets,
                self._views[:count],
                self._out[:count],
                num_threads=num_threads,
            )

    def fastpack(self, *, num_threads: int, **storage: Any) -> PackResult:
        options = fastpack.PackOptions(size=_SIZE, num_workers=num_threads, sync=False, **storage)
        return fastpack.pack(ImageFiles(self.paths), self._folder / "pixels.h5", options)

    def snippet(self) -> None:
        """Read, resize and assign one image at a time, as tutorials do; a tenth of the images."""
        paths = self.paths[: int(len(self.paths) * self.SNIPPETS_SHARE)]
        with h5py.File(self._folder / "snippet.h5", "w") as file:
            images = file.create_dataset("images", (len(paths), _SIZE, _SIZE, 3), np.uint8)
            for i, path in enumerate(paths):
                images[i] = cv2.resize(
                    cv2.imread(str(path), cv2.IMREAD_COLOR_RGB),
                    (_SIZE, _SIZE),
                    interpolation=cv2.INTER_AREA,
                )


class Reading:
    """Random batches of blobs of one file: encoded images or stored pixels.

    The reference reads into preallocated memory; the reader makes new arrays, as for users.
    """

    def __init__(self, path: Path, *, batch: int, num_batches: int, num_threads: int) -> None:
        self.path = path
        self.reader = fastpack.open(path, decode=False, num_workers=num_threads)
        random = np.random.default_rng(0)
        self._batches: list[Rows] = [
            random.integers(0, len(self.reader), batch) for _ in range(num_batches)
        ]
        self._num_threads = num_threads
        self._spans = self.reader.index.spans["image"]
        self._fd = os.open(path, os.O_RDONLY)
        self._out = np.ones(
            batch * int(max(self._spans["length"].max(), self._spans["record_length"].max())),
            np.uint8,
        )

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self._fd)

    def fastpack(self, *, check: bool) -> Any:
        """Return the last batch's blobs. The others are released, as in a training loop."""
        reader = self.reader.with_options(check=check)
        for rows in self._batches:
            blobs = reader.read(rows)["image"]
        return blobs

    def reference(self, *, check: bool) -> Pixels:
        """Return the last batch's bytes. With `check`, read whole records, which the CRC covers."""
        for rows in self._batches:
            spans = self._spans[rows]
            offsets, lengths = (
                (spans["record_offset"], spans["record_length"])
                if check
                else (spans["offset"], spans["length"])
            )
            crcs = np.ascontiguousarray(spans["crc32c"]) if check else None
            lengths = np.ascontiguousarray(lengths)
            pread_loop(
                self._fd,
                np.ascontiguousarray(offsets),
                lengths,
                self._out,
                num_threads=self._num_threads,
                crcs=crcs,
            )
        return self._out[: int(lengths.sum())]
