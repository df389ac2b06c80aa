"""Random batches of pixels out of HDF5 files that h5py wrote: fastpack, plain preads, h5py and what others offer."""

import functools
import importlib.util
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import numpy.typing as npt

import fastpack
from benches.ratio import Comparison, Rival, compare
from benches.reference import pread_loop
from fastpack.structs import NO_SPAN

SIDE = 224
_SAMPLE = (SIDE, SIDE, 3)
CHUNKS = (1, 16, 64)
COMPRESSIONS = ("shuffle, gzip", "lz4", "zstd", "blosc2")
# h5py's fancy indexing takes seconds for a batch, so it gets few.
_NUM_SLOW = 32

Pixels = npt.NDArray[np.uint8]


def stored_options(compression: str, chunk: int | None) -> dict[str, Any]:
    """What h5py's create_dataset takes; a chunk of None is one piece."""
    if chunk is None:
        return {}
    options: dict[str, Any] = {"chunks": (chunk, *_SAMPLE)}
    if compression == "none":
        return options
    if compression == "shuffle, gzip":
        return options | {"shuffle": True, "compression": "gzip", "compression_opts": 4}
    import hdf5plugin

    plugins = {"lz4": hdf5plugin.LZ4, "zstd": hdf5plugin.Zstd, "blosc2": partial(hdf5plugin.Blosc2, "zstd")}
    return options | {**plugins[compression]()}


def write_pixels(path: Path, photos: list[Path], num_samples: int, compression: str, chunk: int | None) -> Path:
    """Photographs at 224 x 224, over and over."""
    kept = [fastpack.decode(photo.read_bytes()) for photo in photos[:256]]
    pixels = np.stack([cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for photo in kept])
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("images", (num_samples, *_SAMPLE), np.uint8, **stored_options(compression, chunk))
        for first in range(0, num_samples, 320):
            rows = np.arange(first, min(first + 320, num_samples))
            dataset[rows[0] : rows[-1] + 1] = pixels[rows % len(pixels)]
    return path


class Batches:
    """The same random batches for everybody, into an array that is there already where that is possible."""

    def __init__(self, path: Path, *, batch: int, num_batches: int, num_threads: int) -> None:
        self._path, self._num_threads = path, num_threads
        self._reader = fastpack.open(path, num_workers=num_threads, save_index=False)
        random = np.random.default_rng(0)
        self._rows = [random.permutation(len(self._reader))[:batch] for _ in range(num_batches)]
        self._out = np.ones((batch, *_SAMPLE), np.uint8)
        self._file = h5py.File(path, "r")
        self._fd = os.open(path, os.O_RDONLY)

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()
        os.close(self._fd)

    @property
    def num_samples(self) -> int:
        return sum(map(len, self._rows))

    def each(self, read: Callable[[npt.NDArray[np.int64]], object]) -> None:
        for rows in self._rows:
            read(rows)

    def fastpack(self, rows: npt.NDArray[np.int64]) -> Pixels:
        self._reader.read(rows, out=self._out)
        return self._out

    @property
    def has_spans(self) -> bool:
        return bool((self._reader.index.spans["image"]["offset"] != NO_SPAN).all())

    def preads(self, rows: npt.NDArray[np.int64]) -> Pixels:
        spans = self._reader.index.spans["image"][rows]
        offsets, lengths = (np.ascontiguousarray(spans[name]) for name in ("offset", "length"))
        pread_loop(self._fd, offsets, lengths, self._out.reshape(-1), num_threads=self._num_threads)
        return self._out

    def h5py_one_by_one(self, rows: npt.NDArray[np.int64]) -> Pixels:
        """In the file's order: a chunk that serves several samples may still be in the library's cache."""
        for place in np.argsort(rows, kind="stable").tolist():
            self._file["images"].read_direct(self._out, np.s_[int(rows[place])], np.s_[place])
        return self._out

    def h5py_sorted(self, rows: npt.NDArray[np.int64]) -> Pixels:
        few = np.sort(rows[:_NUM_SLOW])
        for _ in range(len(rows) // len(few)):
            pixels: Pixels = self._file["images"][few]
        return pixels

    def memmap(self, rows: npt.NDArray[np.int64]) -> Pixels:
        first = int(self._reader.index.spans["image"]["offset"][0])
        pixels = np.memmap(self._path, np.uint8, "r", first, (len(self._reader), *_SAMPLE))
        np.take(pixels, rows, axis=0, out=self._out)
        return self._out

    @functools.cached_property
    def _hidefix_dataset(self) -> Any:
        import hidefix

        return hidefix.Index(str(self._path)).dataset("images")

    def hidefix(self, rows: npt.NDArray[np.int64]) -> Pixels:
        dataset = self._hidefix_dataset
        for place, row in enumerate(rows.tolist()):
            self._out[place] = dataset[row : row + 1, :, :, :][0]
        return self._out

    def b2h5py(self, rows: npt.NDArray[np.int64]) -> Pixels:
        import b2h5py

        dataset = b2h5py.B2Dataset(self._file["images"])
        for place in np.argsort(rows, kind="stable").tolist():
            self._out[place] = dataset[int(rows[place])]
        return self._out

    def check(self) -> None:
        """Raises SystemExit when fastpack's batch is not what h5py reads."""
        if not (self.fastpack(self._rows[0]).copy() == self.h5py_one_by_one(self._rows[0])).all():
            raise SystemExit(f"{self._path}: fastpack reads other pixels than h5py")


def compare_hdf5(photos: list[Path], folder: Path, *, num_samples: int, threads: list[int], rounds: int) -> Iterator[Comparison]:
    """Uncompressed, in one piece and in chunks of one; then each compression, in chunks of 1, 16 and 64."""
    kinds: list[tuple[str, int | None]] = [("none", None), ("none", 1)]
    kinds += [(compression, chunk) for compression in COMPRESSIONS for chunk in CHUNKS]
    for compression, chunk in kinds:
        path = write_pixels(folder / "pixels.h5", photos, num_samples, compression, chunk)
        for num_threads in threads:
            num_batches = 8 if compression == "none" else 2
            with Batches(path, batch=256, num_batches=num_batches, num_threads=num_threads) as batches:
                batches.check()
                runs = _rivals(batches, compression, chunk)
                rivals = [Rival(name, partial(batches.each, run)) for name, run in runs.items()]
                layout = "one piece" if chunk is None else f"chunks of {chunk}"
                title = f"hdf5, {compression}, {layout}, threads: {num_threads}"
                yield compare(title, rivals, unit="images", num_units=batches.num_samples, rounds=rounds)
        path.unlink()


def _rivals(batches: Batches, compression: str, chunk: int | None) -> dict[str, Callable[[Any], object]]:
    runs: dict[str, Callable[[Any], object]] = {"C preads": batches.preads} if batches.has_spans else {}
    runs |= {"fastpack": batches.fastpack, "h5py, one by one": batches.h5py_one_by_one}
    if chunk is None:
        runs |= {"numpy.memmap": batches.memmap, "h5py, sorted list": batches.h5py_sorted}
    if importlib.util.find_spec("hidefix") and compression in ("none", "shuffle, gzip") and chunk is not None:
        runs["hidefix"] = batches.hidefix
    if importlib.util.find_spec("b2h5py") and compression == "blosc2":
        runs["b2h5py"] = batches.b2h5py
    return runs
