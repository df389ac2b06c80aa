"""Small files with saved indexes, what they hold, and checks of what a reader makes of them."""

import os
import shutil
from functools import partial

import h5py
import numpy as np

import fastpack
from fastpack.errors import FastpackError
from fastpack.sources import ImageFiles
from tests.support.images import jpeg, photo, read_pillow
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


def read_some(path):
    """A batch, or None after an error that names the file."""
    batch, failure = None, None
    try:
        batch = fastpack.open(path).read([3, 0, 1, 2])
    except FastpackError as error:
        failure = error
    assert failure is None or path.name in str(failure)
    return batch


def assert_sound(path):
    """Asserts that reads return the content of the file, or raise an error that names it."""
    batch = read_some(path)
    if batch is None:
        return
    expected = (
        [read_pillow(image) for image in IMAGES] if path.suffix == ".tfrecord" else list(PIXELS)
    )
    found = list(batch["image"])
    assert all(np.array_equal(found[i], expected[row]) for i, row in enumerate([3, 0, 1, 2]))
    assert batch["label"].tolist() == [3, 0, 1, 2]
