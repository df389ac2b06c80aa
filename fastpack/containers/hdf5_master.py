"""Writes a master file: one HDF5 dataset that is virtual, its samples lying in the shards beside the file.

Virtual datasets: https://docs.h5py.org/en/stable/vds.html
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fastpack.containers.hdf5_checksums import write_checksums
from fastpack.containers.hdf5_columns import FORMAT_VERSION
from fastpack.containers.hdf5_disk import WrittenFile
from fastpack.errors import Place, SchemaError, at
from fastpack.shard import written_whole

_NUM_SHARDS = "num_shards"
_LIBVER = ("earliest", "v110")  # virtual datasets came with HDF5 1.10


def write_master(path: Path, shards: Sequence[Path], *, sync: bool = True) -> None:
    """Makes `path` show the samples of all shards, of the layout `pixels`, as plain h5py sees one file.

    Images stay in the shards, which are named relative to the master and must lie beside it; labels and other columns are
    copied. Raises SchemaError when the shards differ.
    """
    with written_whole(path, sync=sync) as temporary, WrittenFile(temporary, libver=_LIBVER) as master:
        members = [_members(shard) for shard in shards]
        odd = next((i for i, other in enumerate(members) if other.keys() != members[0].keys()), None)
        if odd is not None:
            raise SchemaError(at("the shards hold different datasets; a master needs the same in each", Place(shards[odd])))
        for name, (shape, dtype) in members[0].items():
            if name == "class_names":
                _copy(master, name, shards[:1])
            elif len(shape) > 1:
                _show(master, name, dtype, shards, [each[name][0] for each in members])
            else:
                _copy(master, name, shards)
        _copy_attributes(master, shards[0])
        master.attrs[_NUM_SHARDS] = len(shards)
        write_checksums(master)


def is_master(path: Path) -> bool:
    """True for what `write_master` made; False for anything else, readable or not."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _NUM_SHARDS in file.attrs
    except (OSError, RuntimeError):
        return False


def _members(shard: Path) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Name -> shape and dtype of the datasets of a shard."""
    with h5py.File(shard, "r", locking=False) as file:
        if any(not isinstance(file[name], h5py.Dataset) for name in file):
            raise SchemaError(at("a master is for the layout `pixels`; pack with a size, or leave the master out", Place(shard)))
        return {name: (file[name].shape, file[name].dtype) for name in file}


def _show(master: h5py.File, name: str, dtype: Any, shards: Sequence[Path], shapes: Sequence[tuple[int, ...]]) -> None:
    if any(shape[1:] != shapes[0][1:] for shape in shapes):
        raise SchemaError(at(f"the shards' {name} are of different sizes; pack them to one size", Place(shards[0])))
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_obj_track_times(False)  # the same input gives the same bytes
    space = h5py.h5s.create_simple((sum(shape[0] for shape in shapes), *shapes[0][1:]))
    first = 0
    for shard, shape in zip(shards, shapes, strict=True):
        space.select_hyperslab((first,) + (0,) * (len(shape) - 1), shape)
        creation.set_virtual(space, os.fsencode(shard.name), name.encode(), h5py.h5s.create_simple(shape))
        first += shape[0]
    space.select_all()
    kind = h5py.h5t.py_create(dtype, logical=True)
    shown = h5py.Dataset(h5py.h5d.create(master.id, name.encode(), kind, space, creation))
    with h5py.File(shards[0], "r", locking=False) as file:
        for attribute, value in file[name].attrs.items():
            shown.attrs[attribute] = value


def _copy(master: h5py.File, name: str, shards: Sequence[Path]) -> None:
    pieces = []
    for shard in shards:
        with h5py.File(shard, "r", locking=False) as file:
            pieces.append(file[name][...])
    is_text = pieces[0].dtype.kind == "S"
    length = max(piece.dtype.itemsize for piece in pieces)
    dtype = h5py.string_dtype("utf-8", length) if is_text else pieces[0].dtype
    master.create_dataset(name, data=np.concatenate(pieces).astype(dtype), dtype=dtype)


def _copy_attributes(master: h5py.File, shard: Path) -> None:
    master.attrs["format_version"] = FORMAT_VERSION
    with h5py.File(shard, "r", locking=False) as file:
        for name in ("format", "layout", "schema"):
            master.attrs[name] = file.attrs[name]
