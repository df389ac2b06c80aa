"""Samples that several test files begin with."""

from collections.abc import Sequence
from pathlib import Path

from fastpack import PackOptions, pack
from fastpack.sources import ImageFiles
from tests.support.images import jpeg
from tests.support.wire import bytes_list, entry, example, frame, int_list


def two_classes(folder: Path) -> list[Path]:
    """Image files: three JPEGs of cats and three of dogs."""
    paths = [folder / kind / f"{number}.jpg" for kind in ("cat", "dog") for number in range(3)]
    for seed, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(30 + seed, 40, seed=seed))
    return paths


def numbered_shard(path: Path, images: Sequence[bytes], first: int = 0) -> Path:
    """A TFRecord in which each sample's label is its number."""
    records = []
    for i, image in enumerate(images, start=first):
        key = entry(b"key", bytes_list(f"{i}.jpg".encode()))
        records.append(
            frame(example(entry(b"image", bytes_list(image)), entry(b"label", int_list(i)), key))
        )
    path.write_bytes(b"".join(records))
    return path


def numbered_shards(folder: Path, num_samples: int) -> list[Path]:
    """The samples in two files, the first of 20."""
    images = [jpeg(24 + i % 5, 30, seed=i) for i in range(num_samples)]
    return [
        numbered_shard(folder / "0.tfrecord", images[:20]),
        numbered_shard(folder / "1.tfrecord", images[20:], 20),
    ]


def packed(folder, files, name, **options):
    paths = []
    for i, data in enumerate(files):
        paths.append(folder / f"{name}-{i:02}")
        paths[-1].write_bytes(data)
    return pack(ImageFiles(paths, range(len(paths))), folder / name, PackOptions(**options)).paths
