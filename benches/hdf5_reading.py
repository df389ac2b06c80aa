"""Random batches of pixels from HDF5 files of h5py: fastpack, preads, h5py, rivals."""

import functools
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import numpy.typing as npt

import fastpack
from benches.internals import NO_SPAN
from benches.ratio import Comparison, Rival, compare
from benches.reference import pread_loop

SIDE = 224
_SAMPLE = (SIDE, SIDE, 3)
CHUNKS = (1, 16, 64)
COMPRESSIONS = ("shuffle, gzip", "lz4", "zstd", "blosc2")
_BATCH = 256
# Rivals that decode a whole chunk for each image, or take a list, would take minutes. They read
# the first 16 images of each batch, in file order, so that images of one chunk stay together.
_NUM_SLOW = 16
# Number of batches by (not compressed, images in a chunk): slow cases have fewer.
_NUM_BATCHES = {(True, 1): 4, (False, 1): 2, (False, 16): 1, (False, 64): 1}
# Number of different photos; a multiple of all chunk sizes.
_NUM_KEPT = 256

Pixels = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]


def stored_options(compression: str, chunk: int | None) -> dict[str, Any]:
    """Return options for h5py's create_dataset; a chunk of None is contiguous."""
    if chunk is None:
        return {}
    options: dict[str, Any] = {"chunks": (chunk, *_SAMPLE)}
    if compression == "none":
        return options
    if compression == "shuffle, gzip":
        return options | {"shuffle": True, "compression": "gzip", "compression_opts": 4}
    import hdf5plugin

    plugins = {
        "lz4": hdf5plugin.LZ4,
        "zstd": hdf5plugin.Zstd,
        "blosc2": partial(hdf5plugin.Blosc2, "zstd"),
    }
    return options | {**plugins[compression]()}


def write_pixels(
    path: Path, photos: list[Path], num_samples: int, compression: str, chunk: int | None
) -> Path:
    """Write photos of 224 x 224, cycled; copies compressed chunks instead of compressing again."""
    kept = [fastpack.decode(photos[i % len(photos)].read_bytes()) for i in range(_NUM_KEPT)]
    pixels = np.stack(
        [cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for photo in kept]
    )
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            "images", (num_samples, *_SAMPLE), np.uint8, **stored_options(compression, chunk)
        )
        for first in range(0, num_samples, _NUM_KEPT):
            count = min(_NUM_KEPT, num_samples - first)
            if chunk is None or first == 0 or count < _NUM_KEPT:
                dataset[first : first + count] = pixels[:count]
            else:
                _repeat_chunks(dataset, first, chunk)
    return path


def _repeat_chunks(dataset: h5py.Dataset, first: int, chunk: int) -> None:
    for within in range(0, _NUM_KEPT, chunk):
        mask, stored = dataset.id.read_direct_chunk((within, 0, 0, 0))
        dataset.id.write_direct_chunk((first + within, 0, 0, 0), stored, filter_mask=mask)


class Batches:
    """The same random batches for all rivals, into a preallocated array where possible."""

    def __init__(self, path: Path, *, num_batches: int, num_threads: int) -> None:
        self._path, self._num_threads = path, num_threads
        self._reader = fastpack.open(path, num_workers=num_threads, save_index=False)
        random = np.random.default_rng(0)
        self._rows = [random.permutation(len(self._reader))[:_BATCH] for _ in range(num_batches)]
        self._out = np.ones((_BATCH, *_SAMPLE), np.uint8)
        self._file = h5py.File(path, "r")
        self._fd = os.open(path, os.O_RDONLY)
        self._pool = ThreadPoolExecutor(num_threads)

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *raised: object) -> None:
        self._pool.shutdown()
        self._file.close()
        os.close(self._fd)

    @property
    def num_samples(self) -> int:
        return sum(map(len, self._rows))

    def rival(self, name: str, read: Callable[[Rows], object], count: int = _BATCH) -> Rival:
        """Return a rival that reads the first `count` images of each batch in file order.

        With `count` of the batch size it reads all, in the batch's order.
        """
        chosen = [rows if count == _BATCH else np.sort(rows)[:count] for rows in self._rows]
        return Rival(name, lambda: [read(rows) for rows in chosen], share=count / _BATCH)

    def fastpack(self, rows: Rows) -> Pixels:
        self._reader.read(rows, out=self._out[: len(rows)])
        return self._out

    @property
    def has_spans(self) -> bool:
        return bool((self._reader.index.spans["image"]["offset"] != NO_SPAN).all())

    def preads(self, rows: Rows) -> Pixels:
        spans = self._reader.index.spans["image"][rows]
        offsets, lengths = (np.ascontiguousarray(spans[name]) for name in ("offset", "length"))
        pread_loop(self._fd, offsets, lengths, self._out.reshape(-1), num_threads=self._num_threads)
        return self._out

    def h5py_one_by_one(self, rows: Rows) -> Pixels:
        """Read in file order: a chunk of several samples may still be in h5py's cache."""
        for place in np.argsort(rows, kind="stable").tolist():
            self._file["images"].read_direct(self._out, np.s_[int(rows[place])], np.s_[place])
        return self._out

    def h5py_sorted(self, rows: Rows) -> Pixels:
        pixels: Pixels = self._file["images"][np.sort(rows)]
        return pixels

    def h5py_shuffled(self, rows: Rows) -> Pixels:
        """Read a sorted list, which h5py requires, and restore the batch's order."""
        order = np.random.default_rng(1).permutation(len(rows))
        wanted = rows[order]
        rising = np.argsort(wanted)
        self._out[rising] = self._file["images"][wanted[rising]]
        return self._out

    def memmap(self, rows: Rows) -> Pixels:
        first = int(self._reader.index.spans["image"]["offset"][0])
        pixels = np.memmap(self._path, np.uint8, "r", first, (len(self._reader), *_SAMPLE))
        np.take(pixels, rows, axis=0, out=self._out)
        return self._out

    @functools.cached_property
    def _hidefix_dataset(self) -> Any:
        import hidefix

        return hidefix.Index(str(self._path)).dataset("images")

    def hidefix(self, rows: Rows) -> Pixels:
        """Read one image a task, in as many threads as the others have."""

        def read(place: int) -> None:
            row = int(rows[place])
            self._out[place] = self._hidefix_dataset[row : row + 1, :, :, :][0]

        list(
            map(read, range(len(rows)))
            if self._num_threads == 1
            else self._pool.map(read, range(len(rows)))
        )
        return self._out

    def b2h5py(self, rows: Rows) -> Pixels:
        """Read with Blosc2's own threads."""
        import b2h5py

        dataset = b2h5py.B2Dataset(self._file["images"])
        for place in np.argsort(rows, kind="stable").tolist():
            self._out[place] = dataset[int(rows[place])]
        return self._out

    def check(self, rivals: Sequence[Callable[[Rows], Pixels]]) -> None:
        """Raise SystemExit if a rival's images differ from h5py's."""
        rows = np.sort(self._rows[0])[:_NUM_SLOW]
        expected = np.stack([self._file["images"][row] for row in rows])
        for read in rivals:
            if not (read(rows[::-1])[: len(rows)][::-1] == expected).all():
                raise SystemExit(f"{self._path}: {read.__name__} differs from h5py")


def compare_hdf5(
    photos: list[Path], folder: Path, *, num_samples: int, threads: list[int], rounds: int
) -> Iterator[Comparison]:
    """Compare contiguous and chunks of one; then each compression in chunks of 1, 16 and 64."""
    kinds: list[tuple[str, int | None]] = [("none", None), ("none", 1)]
    kinds += [(compression, chunk) for compression in COMPRESSIONS for chunk in CHUNKS]
    for compression, chunk in kinds:
        path = write_pixels(folder / "pixels.h5", photos, num_samples, compression, chunk)
        for num_threads in threads:
            with Batches(
                path,
                num_batches=_NUM_BATCHES[compression == "none", chunk or 1],
                num_threads=num_threads,
            ) as batches:
                batches.check([batches.fastpack, batches.h5py_one_by_one])
                layout = "contiguous" if chunk is None else f"chunks of {chunk}"
                title = f"hdf5, {compression}, {layout}, threads: {num_threads}"
                rivals = _rivals(batches, compression, chunk)
                yield compare(
                    title, rivals, unit="images", num_units=batches.num_samples, rounds=rounds
                )
        path.unlink()
    if absent := [name for name in ("hidefix", "b2h5py") if not importlib.util.find_spec(name)]:
        print(f"\nmissing: {', '.join(absent)}; `make bench-hdf5` installs them")


def _rivals(batches: Batches, compression: str, chunk: int | None) -> list[Rival]:
    """Return the rivals; the baseline is C preads if they can read the images, else fastpack."""
    whole_chunks = chunk is not None and chunk > 1
    count = _NUM_SLOW if whole_chunks else _BATCH
    rivals = [batches.rival("C preads", batches.preads)] if batches.has_spans else []
    rivals.append(batches.rival("fastpack", batches.fastpack))
    if chunk is None:
        rivals.append(batches.rival("numpy.memmap", batches.memmap))
    rivals.append(batches.rival("h5py, one by one", batches.h5py_one_by_one, count))
    rivals.append(batches.rival("h5py, sorted list", batches.h5py_sorted, _NUM_SLOW))
    rivals.append(batches.rival("h5py, shuffled list", batches.h5py_shuffled, _NUM_SLOW))
    if (
        importlib.util.find_spec("hidefix")
        and compression in ("none", "shuffle, gzip")
        and chunk is not None
    ):
        rivals.append(batches.rival("hidefix", batches.hidefix, count))
    if importlib.util.find_spec("b2h5py") and compression == "blosc2":
        rivals.append(batches.rival("b2h5py", batches.b2h5py, count))
    return rivals
