"""Small files with saved indexes, and what they hold."""

import h5py
import numpy as np

import fastpack
from fastpack.sources import ImageFiles
from tests.support.images import jpeg, photo

IMAGES = [jpeg(24 + i, 20, seed=i) for i in range(4)]
PIXELS = np.stack([photo(10, 12, seed=i) for i in range(4)])


def make_tfrecord(folder):
    """Encoded images and all kinds of columns."""
    for i, image in enumerate(IMAGES):
        (folder / f"{i}.jpg").write_bytes(image)
    columns = {"weight": np.linspace(0, 1, 4, dtype=np.float32)}
    source = ImageFiles(
        [folder / f"{i}.jpg" for i in range(4)], range(4), keys=list("abcd"), columns=columns
    )
    fastpack.pack(source, folder / "x.tfrecord")
    return folder / "x.tfrecord"


def make_hdf5(folder, **layout):
    """Pixels that have spans, or with a filter none."""
    with h5py.File(folder / "x.h5", "w") as f:
        f.create_dataset("images", data=PIXELS, **layout)
        f["labels"] = np.arange(4)
    fastpack.open(folder / "x.h5")
    return folder / "x.h5"


def make_gzip(folder):
    return make_hdf5(folder, compression="gzip")
