"""HDF5 files with changed bytes. Children read them: HDF5's library can crash or hang on damage."""

import h5py
import numpy as np
import pytest

import fastpack
from fastpack import PackOptions
from fastpack.sources import ImageFiles
from tests.support import extent
from tests.support.images import photo
from tests.support.subprocesses import run_python

PIXELS = np.stack([photo(8, 8, seed=seed) for seed in range(4)])

# Reads damaged copies of a file, and prints each error that is not a FastpackError.
READ_DAMAGED = """
import random, sys
from pathlib import Path
import numpy as np
import fastpack

path, num_copies = Path(sys.argv[1]), int(sys.argv[2])
data, copy = path.read_bytes(), path.with_name("copy.h5")
for seed in range(num_copies):
    chance = random.Random(seed)
    damaged = bytearray(data)
    for at in chance.sample(range(min(len(data), 6000)), chance.choice([1, 1, 2, 5])):
        damaged[at] = chance.choice([0, 255, damaged[at] ^ 1 << chance.randrange(8)])
    copy.write_bytes(damaged)
    try:
        reader = fastpack.open(copy, save_index=False)
        reader.read(np.arange(min(len(reader), 50)))
    except fastpack.FastpackError as error:
        if "copy.h5" not in str(error):
            print(seed, "names no file:", error)
    except Exception as error:
        print(seed, repr(error))
"""


def write(path, layout):
    """Writes a small file with fastpack, or a compressed one with h5py."""
    if layout == "gzip":
        with h5py.File(path, "w") as f:
            f.create_dataset("images", data=PIXELS, compression="gzip")
            f["labels"] = np.arange(4)
        return path
    files = [path.with_name(f"{i}.png") for i in range(4)]
    for file, pixels in zip(files, PIXELS, strict=True):
        file.write_bytes(fastpack.encode(pixels, "png"))
    fastpack.pack(ImageFiles(files, range(4), keys=list("abcd")), path, PackOptions(layout=layout))
    return path


@pytest.mark.parametrize("layout", ["encoded", "pixels", "vlen", "gzip"])
def test_changed_bytes(tmp_path, layout):
    path = write(tmp_path / "x.h5", layout)
    assert run_python(READ_DAMAGED, path, 150 if extent.is_full() else 40) == ""


# Text of variable length is in a heap of the file; HDF5 1.14 loops forever in a damaged heap.
READ = """
import sys, fastpack
print(fastpack.open(sys.argv[1], save_index=False).read([3])["image"].sum())
"""


@pytest.mark.parametrize("damage", ["size in the heap", "kind of text"])
@pytest.mark.parametrize("name", ["schema", "color"])
def test_damaged_attributes(tmp_path, name, damage):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f["images"] = PIXELS
        attributes = f.attrs if name == "schema" else f["images"].attrs
        attributes[name] = "[" + " " * 279 + "]"
    data = bytearray((tmp_path / "x.h5").read_bytes())
    if damage == "size in the heap":
        data[data.index(b"[   ") - 8] = 255
    else:
        data[data.index(name.encode() + b"\0") + 10] = 255
    (tmp_path / "x.h5").write_bytes(data)
    assert run_python(READ, tmp_path / "x.h5") == f"{PIXELS[3].sum()}\n"
