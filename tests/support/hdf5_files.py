"""Writes HDF5 files as other programs do."""

import h5py
import numpy as np

from tests.support.images import jpeg


def write(path, members, **options):
    with h5py.File(path, "w", **options) as f:
        for name, values in members.items():
            f[name] = values
    return path


def write_compact_jpegs(path):
    """Variable-length rows whose references are in metadata that only the library reads."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    with h5py.File(path, "w") as f:
        kind = h5py.h5t.py_create(h5py.vlen_dtype(np.uint8), logical=True)
        dataset = h5py.Dataset(
            h5py.h5d.create(f.id, b"images", kind, h5py.h5s.create_simple((3,)), creation)
        )
        for i in range(3):
            dataset[i] = np.frombuffer(jpeg(20, 30, seed=i), np.uint8)
    return path
