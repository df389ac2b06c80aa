"""Large sets of few bytes: hard links to one shard of tiny JPEGs, and to its index."""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastpack
from benches.internals import ImageFiles, Location, Ragged
from benches.photos import photos as find_photos
from fastpack.core import Field, Schema
from fastpack.files.companions import index_path
from fastpack.files.naming import shard_paths
from fastpack.images.batch import Batch

NAME = "train.tfrecord"
_MAX_LINKS = 60_000  # ext4 allows 65,000 names of a file
_NUM_TEMPLATES = 64
_MAX_COMMENT = 64


class TinyJpegs:
    """Color JPEGs of 4 to 19 pixels a side and about 850 bytes, with random labels of 0 to 999.

    All records differ. Lengths, sizes and labels vary, so an index cannot leave them out.
    """

    schema = Schema((Field("image", "image"), Field("label", "int", dtype="int64")))

    def __init__(self, num_samples: int) -> None:
        random = np.random.default_rng(0)
        self._templates = [_noise(random) for _ in range(_NUM_TEMPLATES)]
        self._chosen = random.integers(0, _NUM_TEMPLATES, num_samples)
        self._paddings = random.integers(0, _MAX_COMMENT, num_samples)
        self._labels = random.integers(0, 1000, num_samples)
        lengths = np.array([len(template) for template in self._templates])
        self.sizes = lengths[self._chosen] + self._paddings + 12

    def __len__(self) -> int:
        return len(self.sizes)

    def location(self, row: int) -> Location:
        return Location(f"image {row}")

    def read(self, rows: Any) -> Batch:
        numbers = np.asarray(rows)
        images = Ragged.of_bytes(map(self._jpeg, numbers.tolist()))
        return Batch({"image": images, "label": self._labels[numbers]}, len(numbers))

    def _jpeg(self, row: int) -> bytes:
        """Return a template with a comment: the row, and zeros."""
        template = self._templates[self._chosen[row]]
        comment = row.to_bytes(8, "big") + bytes(int(self._paddings[row]))
        marker = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big")
        return template[:2] + marker + comment + template[2:]


def _noise(random: np.random.Generator) -> bytes:
    height, width = random.integers(4, 20, 2)
    pixels = random.integers(0, 256, (height, width, 3), np.uint8)
    return fastpack.encode(pixels, "jpeg", quality=85)


def make_set(
    folder: Path, num_samples: int, num_shards: int = 1, photos: Path | None = None
) -> Path:
    """Make a set of shards and its manifest, and return its name.

    The shards it links to lie in "sources" beside the folder. Other sets use them too.

    - photos: repeat these instead of tiny JPEGs.
    """
    num_records, rest = divmod(num_samples, num_shards)
    if rest or not num_records:
        raise SystemExit(f"{num_shards:,} shards cannot share {num_samples:,} samples evenly")
    folder.mkdir(parents=True)
    sources = _sources(folder.parent / "sources", num_records, photos)
    source = next(sources)
    for shard in shard_paths(folder / NAME, num_shards):
        while source.stat().st_nlink > _MAX_LINKS:
            source = next(sources)
        os.link(source, shard)
        os.link(index_path(source), index_path(shard))
    fastpack.build_indexes(folder / NAME)
    return folder / NAME


def _sources(folder: Path, num_records: int, photos: Path | None) -> Iterator[Path]:
    """Yield copies of one shard, each with its index."""
    folder.mkdir(exist_ok=True)
    name = f"{num_records}{'-photos' if photos else ''}"
    first = folder / f"{name}-0.tfrecord"
    if not first.exists():
        fastpack.pack(_samples(num_records, photos), first, sync=False)
    for number in itertools.count():
        path = folder / f"{name}-{number}.tfrecord"
        if not path.exists():
            shutil.copy2(first, path)
        fastpack.build_indexes(path)
        yield path


def _samples(count: int, photos: Path | None) -> Any:
    if photos is None:
        return TinyJpegs(count)
    return ImageFiles(list(itertools.islice(itertools.cycle(find_photos(photos, photos)), count)))
