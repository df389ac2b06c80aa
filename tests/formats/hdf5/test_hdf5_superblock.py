"""HDF5 files with a damaged header: an error at once or correct samples, and no endless reads."""

import contextlib
import time

import h5py
import numpy as np
import pytest

import fastpack
from fastpack.errors import FastpackError, FormatError
from fastpack.formats.hdf5.container import HDF5
from tests.support.extent import every
from tests.support.images import photo
from tests.support.subprocesses import run_python

PIXELS = np.stack([photo(8, 8, seed=seed) for seed in range(4)])
# Takes 2 ms. Reads that HDF5 repeats for a file with a writer took minutes.
MAX_SECONDS = 10
# A writer that ended without closing its file, which readers may follow.
WRITE_AND_DIE = """
import os, sys, h5py, numpy as np
file = h5py.File(sys.argv[1], "w", libver="latest")
images = file.create_dataset(
    "images", (0, 8, 8, 3), np.uint8, maxshape=(None, 8, 8, 3), chunks=(2, 8, 8, 3)
)
labels = file.create_dataset("labels", (4,), np.int64, chunks=(2,))
file.swmr_mode = True
images.resize(4, 0)
images[:], labels[:] = 7, range(4)
images.flush(), labels.flush()
os._exit(0)
"""


def write(path, kind):
    if kind == "followed":
        run_python(WRITE_AND_DIE, path)
    else:
        with h5py.File(path, "w", libver=kind) as f:
            f["images"] = PIXELS
            f["labels"] = np.arange(4)
    return bytearray(path.read_bytes())


def open_file(path):
    """Seconds that it took."""
    started = time.monotonic()
    with contextlib.suppress(FastpackError):
        fastpack.open(path, save_index=False).read([0])
    with contextlib.suppress(FastpackError):
        HDF5.explain(path)
    return time.monotonic() - started


def test_a_file_whose_writer_died_is_read(tmp_path):
    write(tmp_path / "x.h5", "followed")
    reader = fastpack.open(tmp_path / "x.h5")
    assert (reader.read([3])["image"] == 7).all()
    assert reader.columns["label"].tolist() == [0, 1, 2, 3]


@pytest.mark.isolated  # HDF5's library may crash
@pytest.mark.parametrize("kind", ["earliest", "latest", "followed"])
def test_any_damaged_byte_of_the_header(tmp_path, kind):
    data = write(tmp_path / "sound.h5", kind)
    path = tmp_path / "x.h5"
    header = [*range(128), *range(128, min(len(data), 900), 7)]  # superblock, some later headers
    for position, change in every(5, [(at, bits) for at in header for bits in (0x01, 0xFF)]):
        data[position] ^= change
        path.write_bytes(data)
        assert open_file(path) < MAX_SECONDS, position
        data[position] ^= change


@pytest.mark.parametrize("signature", [b"OHDR", b"EAHD", b"EAIB", b"FAHD", b"FADB"])
def test_damaged_metadata_of_a_followed_file(tmp_path, signature):
    data = write(tmp_path / "x.h5", "followed")
    data[data.index(signature) + 10] ^= 1
    (tmp_path / "x.h5").write_bytes(data)
    assert open_file(tmp_path / "x.h5") < MAX_SECONDS


def test_a_damaged_superblock_is_reported(tmp_path):
    data = write(tmp_path / "x.h5", "latest")
    data[44] ^= 1  # its checksum
    (tmp_path / "x.h5").write_bytes(data)
    with pytest.raises(FormatError, match=r"x\.h5"):
        fastpack.open(tmp_path / "x.h5")
