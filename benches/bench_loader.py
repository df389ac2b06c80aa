"""Benchmark of epochs of a Loader, against its kernels.

`python -m benches.bench_loader --photos FOLDER` prints ratios by round, for more sizes, and what
1,000 loaders that were dropped in mid-epoch leave open.
"""

import argparse
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import fastpack
from benches.internals import (
    CounterRng,
    DecodeOptions,
    EncodedImages,
    ImageFiles,
    Location,
    SpanSource,
    decode_images,
    first_method,
    plan_batch,
)
from benches.photos import photos as find_photos
from benches.ratio import Comparison, Rival, compare
from benches.reference import pread_loop
from benches.workloads import FORMS, pack_as
from fastpack import HorizontalFlip, Loader, RandomResizedCrop, Shuffle

STEPS = (RandomResizedCrop(224), HorizontalFlip())
_TITLES = {"encoded": "encoded images", "train": "random crops of 224 x 224"}
CONTAINERS = {"TFRecord": "tfrecord", "HDF5 encoded": "h5"}
# Batches that a prefetching loader has in memory at a time.
_BLOCKS = 4


class Loading:
    """Shuffled epochs of one file.

    The references read the same samples into preallocated memory.
    """

    def __init__(self, path: Path, *, batch: int, num_samples: int, num_threads: int) -> None:
        self.path = path
        whole = fastpack.open(path, num_workers=num_threads)
        self.dataset = whole.take(np.arange(num_samples) % len(whole))
        self._batch, self._num_threads = batch, num_threads
        self.title = f"{path.name}, threads: {num_threads}"
        self._samples_at = first_method(Shuffle(0).order(self.dataset), "samples_at", "visits")
        self._spans, self._infos = (
            of["image"] for of in (self.dataset.index.spans, self.dataset.index.infos)
        )
        self._fds = np.array([os.open(path, os.O_RDONLY)], np.int32)
        self._blocks = [
            np.ones(batch * int(self._spans["record_length"].max()), np.uint8)
            for _ in range(_BLOCKS)
        ]
        self._pixels = np.ones((batch, 224, 224, 3), np.uint8)

    def __enter__(self) -> "Loading":
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self._fds[0])

    def __len__(self) -> int:
        return len(self.dataset)

    def _rows(self) -> Iterator[npt.NDArray[np.int64]]:
        for first in range(0, len(self), self._batch):
            yield self._samples_at(0, np.arange(first, min(first + self._batch, len(self)))).samples

    def preads(self, num_blocks: int = 1) -> None:
        """Read whole records with their checksums; each batch into the next block.

        One block stays in the processor's cache, but then no batch could be kept.
        """
        for rows, block in zip(self._rows(), cycle(self._blocks[:num_blocks]), strict=False):
            spans = self._spans[rows]
            offsets, lengths, crcs = (
                np.ascontiguousarray(spans[name])
                for name in ("record_offset", "record_length", "crc32c")
            )
            pread_loop(
                int(self._fds[0]), offsets, lengths, block, num_threads=self._num_threads, crcs=crcs
            )

    def kernel(self) -> None:
        for rows in self._rows():
            pictures = EncodedImages(
                SpanSource(fds=self._fds),
                self._spans[rows],
                self._infos[rows],
                lambda row: Location(f"image {row}"),
            )
            plan = plan_batch(
                STEPS,
                self._infos["width"][rows],
                self._infos["height"][rows],
                CounterRng(0, 0, rows),
            )
            decode_images(
                pictures,
                plan,
                self._pixels[: len(rows)],
                DecodeOptions(num_workers=self._num_threads),
                {},
            )

    def read(self, **options: Any) -> int:
        reader = self.dataset.with_options(**options)
        return sum(reader.read(rows).num_samples for rows in self._rows())

    def loader(self, **options: Any) -> Loader:
        return Loader(self.dataset.with_options(**options), batch_size=self._batch, shuffle=0)


def epoch(loader: Loader) -> int:
    return sum(batch.num_samples for batch in loader)


@pytest.fixture(params=FORMS)
def loading(
    request: pytest.FixtureRequest,
    photos: list[Path],
    tmp_path: Path,
    benchmark: Any,
    num_threads: int,
) -> Iterator[Loading]:
    path = pack_as(request.param, photos, tmp_path)
    num_samples = 2048 if benchmark.enabled else 64
    with Loading(
        path, batch=num_samples // 8, num_samples=num_samples, num_threads=num_threads
    ) as made:
        yield made


def rivals_of(loading: Loading, subject: str) -> list[Rival]:
    """Return the rivals, references first."""
    options: dict[str, Any] = {"decode": False} if subject == "encoded" else {"transform": STEPS}
    preads = [
        Rival("C preads + CRC", loading.preads),
        Rival("... cycled blocks", partial(loading.preads, _BLOCKS)),
    ]
    references = preads if subject == "encoded" else [Rival("decode kernel", loading.kernel)]
    loader = loading.loader(**options)
    return [
        *references,
        Rival("Reader.read", partial(loading.read, **options)),
        Rival("Loader", partial(epoch, loader)),
    ]


@pytest.mark.parametrize("number", range(-3, 0), ids=["reference", "read", "loader"])
@pytest.mark.parametrize("subject", ["encoded", "train"])
def test_loader(
    benchmark: Any, timed: Callable[..., Any], loading: Loading, subject: str, number: int
) -> None:
    benchmark.group = f"an epoch of {_TITLES[subject]}, {loading.title}"
    rival = rivals_of(loading, subject)[number]
    assert timed(rival.run, loading.path) in (None, len(loading))


def compare_subject(loading: Loading, subject: str, container: str, rounds: int) -> Comparison:
    unit = "records" if subject == "encoded" else "images"
    return compare(
        f"{subject}, {container}",
        rivals_of(loading, subject),
        unit=unit,
        num_units=len(loading),
        rounds=rounds,
    )


def drop_loaders(loading: Loading, count: int) -> str:
    """Drop loaders after one batch; print what the process holds after a tenth and after all."""
    lines = [f"loaders dropped in mid-epoch{'':6}threads   files open   resident MB"]
    for number in range(count):
        next(
            iter(
                Loader(loading.dataset.with_options(transform=STEPS), batch_size=16, shuffle=number)
            )
        )
        if number + 1 in (max(1, count // 10), count):
            with open("/proc/self/statm") as numbers:
                resident = int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
            lines.append(
                f"{number + 1:27} {threading.active_count():13} "
                f"{len(os.listdir('/proc/self/fd')):12} {resident:13.0f}"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; default: generated ones")
    parser.add_argument(
        "--records", type=int, default=4096, help="number of samples; photos repeat"
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--drop", type=int, default=0, help="drop this many loaders in mid-epoch")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = find_photos(arguments.photos, Path(folder))
        source = ImageFiles([found[i % len(found)] for i in range(arguments.records)])
        for container, suffix in CONTAINERS.items():
            packed = Path(folder) / f"photos.{suffix}"
            fastpack.pack(source, packed)
            with Loading(
                packed,
                batch=arguments.batch,
                num_samples=arguments.records,
                num_threads=arguments.threads,
            ) as loading:
                for subject in ("encoded", "train"):
                    print(
                        compare_subject(loading, subject, container, arguments.rounds).table(),
                        end="\n\n",
                    )
                if arguments.drop and suffix == "tfrecord":
                    print(drop_loaders(loading, arguments.drop), end="\n\n")


if __name__ == "__main__":
    main()
