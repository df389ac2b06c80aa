"""Small files with saved indexes, and what they hold."""

import os
import shutil
from functools import partial

import h5py
import numpy as np

import fastpack
from fastpack.sources import ImageFiles
from tests.support.images import jpeg, photo
from tests.support.paths import GOLDEN

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


def copy_former(kind, folder):
    """Copy the file that an earlier version indexed, and its index. Returns the file's path."""
    for path in sorted((GOLDEN / "former" / kind).iterdir()):
        shutil.copy(path, folder)
    path = folder / ("x.tfrecord" if kind == "tfrecord" else "x.h5")
    os.utime(path, ns=(10**9, 10**9))
    return path


MAKERS = {"tfrecord": make_tfrecord, "hdf5": make_hdf5, "gzip": make_gzip}
FORMER = {kind: partial(copy_former, kind) for kind in MAKERS}
