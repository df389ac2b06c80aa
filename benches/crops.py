"""Batches of 224 x 224 pixels for training and evaluation, by fastpack and by rivals."""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import fastpack
from benches.internals import (
    SEEK_POINTS,
    SPAN,
    CounterRng,
    DecodeOptions,
    EncodedImages,
    Location,
    Plan,
    Ragged,
    Transform,
    decode_images,
    plan_batch,
    probe_blobs,
    source_of,
)
from benches.reference import crop_loop
from benches.rival_process import RivalProcess, RivalSpec, RivalUnavailableError
from benches.rivals.protocol import Task
from benches.workloads import pack_as

SIZE = 224
STEPS: dict[str, tuple[Transform, ...]] = {
    "train": (fastpack.RandomResizedCrop(SIZE), fastpack.HorizontalFlip()),
    "eval": (fastpack.ResizeShort(256), fastpack.CenterCrop(SIZE)),
}
_READ_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION

Pixels = npt.NDArray[np.uint8]


class Cropping:
    """JPEGs, cycled, decoded batch by batch into one preallocated array.

    All sides use the same boxes. fastpack draws them each time; the others get them as input.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        subject: str,
        *,
        num_images: int,
        batch: int,
        scratch: Path,
        form: str = "tfrecord",
    ) -> None:
        self._steps = STEPS[subject]
        self._blobs = Ragged.of_bytes(paths[i % len(paths)].read_bytes() for i in range(num_images))
        self._infos, _ = probe_blobs(self._blobs)
        self._spans = np.zeros(num_images, SPAN)
        self._spans["offset"], self._spans["length"] = self._blobs.offsets[:-1], self._blobs.lengths
        self._views = self._plan(np.arange(num_images)).views
        self._batches = [
            np.arange(first, min(first + batch, num_images))
            for first in range(0, num_images, batch)
        ]
        self.out: Pixels = np.zeros((min(batch, num_images), SIZE, SIZE, 3), np.uint8)
        packed = pack_as(
            form,
            [paths[i % len(paths)] for i in range(num_images)],
            Path(tempfile.mkdtemp(dir=scratch)),
        )
        self._reader = fastpack.open(packed, transform=self._steps, orient=False)
        self._reader_with_seek_points = fastpack.open(
            packed,
            transform=self._steps,
            orient=False,
            save_index=False,
            **{SEEK_POINTS: True},
        )
        self._loaders: dict[int, fastpack.Loader] = {}

    def __len__(self) -> int:
        return len(self._infos)

    def _plan(self, rows: npt.NDArray[np.int64]) -> Plan:
        return plan_batch(
            self._steps,
            self._infos["width"][rows],
            self._infos["height"][rows],
            CounterRng(0, 0, rows),
        )

    def _run(self, name: str, num_threads: int) -> Iterator[Pixels]:
        for rows in self._batches:
            getattr(self, f"_{name}")(rows, self.out[: len(rows)], num_threads)
            yield self.out[: len(rows)]

    def run(self, name: str, num_threads: int) -> None:
        for _ in self._run(name, num_threads):
            pass

    def load(self, num_threads: int) -> None:
        """Run an epoch of a Loader with seek points: the same crops, shuffled, in new memory."""
        if num_threads not in self._loaders:
            reader = self._reader_with_seek_points.with_options(num_workers=num_threads)
            self._loaders[num_threads] = fastpack.Loader(
                reader, batch_size=len(self.out), shuffle=0
            )
        loader = self._loaders[num_threads]
        loader.set_epoch(0)
        for _ in loader:
            pass

    def max_difference(self, name: str, other: str) -> int:
        """Return the largest difference of two sides' pixels, in levels."""
        kept = (batch.copy() for batch in self._run(name, 2))
        return max(
            int(np.max(cv2.absdiff(a, b.copy())))
            for a, b in zip(list(kept), self._run(other, 2), strict=True)
        )

    def _reference(self, rows: npt.NDArray[np.int64], out: Pixels, num_threads: int) -> None:
        offsets = self._blobs.offsets[rows[0] : rows[-1] + 2]
        crop_loop(self._blobs.values, offsets, self._views[rows], out, num_threads=num_threads)

    def _kernel(self, rows: npt.NDArray[np.int64], out: Pixels, num_threads: int) -> None:
        pictures = EncodedImages(
            source_of(self._blobs.values),
            self._spans[rows],
            self._infos[rows],
            lambda row: Location(f"image {row}"),
        )
        decode_images(pictures, self._plan(rows), out, DecodeOptions(num_workers=num_threads), {})

    def _read_with_seek_points(
        self, rows: npt.NDArray[np.int64], out: Pixels, num_threads: int
    ) -> None:
        self._reader_with_seek_points.with_options(num_workers=num_threads).read(rows, out=out)

    def _read(self, rows: npt.NDArray[np.int64], out: Pixels, num_threads: int) -> None:
        self._reader.with_options(num_workers=num_threads).read(rows, out=out)

    def _linear(self, rows: npt.NDArray[np.int64], out: Pixels, num_threads: int) -> None:
        self._opencv(rows, out, num_threads, cv2.INTER_LINEAR)

    def _area(self, rows: npt.NDArray[np.int64], out: Pixels, num_threads: int) -> None:
        self._opencv(rows, out, num_threads, cv2.INTER_AREA)

    def _opencv(
        self, rows: npt.NDArray[np.int64], out: Pixels, num_threads: int, interpolation: int
    ) -> None:
        """Share the images among Python threads: OpenCV releases the GIL, and runs one thread."""
        cv2.setNumThreads(1)
        views, left = self._views[rows], iter(range(len(rows)))

        def work() -> None:
            for i in left:
                start, end = self._blobs.offsets[rows[i] : rows[i] + 2]
                image = cv2.imdecode(self._blobs.values[start:end], _READ_RGB)
                opencv_view(image, views[i], interpolation, out[i])

        threads = [threading.Thread(target=work) for _ in range(num_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def opencv_view(image: Pixels, view: Any, interpolation: int, out: Pixels) -> None:
    """Resize and crop a decoded image as OpenCV's users do."""
    x, y, width, height, scaled_width, scaled_height, left, top = (
        int(view[name]) for name in view.dtype.names[:8]
    )
    box = image[y : y + height, x : x + width]
    if (scaled_height, scaled_width) == out.shape[:2]:
        cv2.resize(box, (scaled_width, scaled_height), dst=out, interpolation=interpolation)
    else:
        scaled = cv2.resize(box, (scaled_width, scaled_height), interpolation=interpolation)
        out[...] = scaled[top : top + out.shape[0], left : left + out.shape[1]]
    if view["flip"]:
        cv2.flip(out, 1, dst=out)


class Ffcv:
    """FFCV's loader in its own interpreter. Its file has the images at quality 90, 4:2:0."""

    def __init__(
        self,
        python: Path,
        paths: Sequence[Path],
        subject: str,
        *,
        num_images: int,
        batch: int,
        num_threads: int,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        task = Task(
            subject=subject,
            folder=self._folder.name,
            paths=[str(paths[i % len(paths)].absolute()) for i in range(num_images)],
            labels=[0] * num_images,
            batch=batch,
            num_threads=num_threads,
            size=SIZE,
        )
        try:
            self._process = RivalProcess(
                RivalSpec("FFCV", "ffcv", variant="reencoded"), python, task
            )
        except RivalUnavailableError as error:
            raise SystemExit(f"FFCV cannot run: {error}") from None
        self.version = self._process.result.version
        self.reencoded = sorted(self._process.folder.glob("*.jpg"))
        self.epoch = self._process.run_round

    def __enter__(self) -> "Ffcv":
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.close()
        self._folder.cleanup()
