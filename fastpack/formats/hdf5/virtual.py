"""Writing of a virtual HDF5 file, which shows the samples of shards in the same folder.

See https://docs.h5py.org/en/stable/vds.html
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fastpack.core.limits import DEFAULT_LIMITS
from fastpack.core.ragged import Text, concatenate_values
from fastpack.core.schema import Field
from fastpack.errors import Location, SchemaError, with_location
from fastpack.files.atomic import atomic_write
from fastpack.files.shard import Shard
from fastpack.formats.hdf5.checksums import write_checksums
from fastpack.formats.hdf5.columns import CLASS_NAMES, FORMAT_VERSION
from fastpack.formats.hdf5.file_object import WrittenFile
from fastpack.formats.hdf5.index import IndexBuilder
from fastpack.formats.hdf5.members import find_members
from fastpack.formats.hdf5.vectors import vectors_of
from fastpack.formats.index_options import IndexOptions

_NUM_SHARDS = "num_shards"
_LIBVER = ("earliest", "v110")  # virtual datasets came with HDF5 1.10


def write_virtual_dataset(path: Path, shards: Sequence[Path], *, sync: bool = True) -> None:
    """Write a file that shows the samples of all shards of the layout `pixels` to plain h5py.

    Images stay in the shards, which must be in the same folder. Columns are copied. Raises
    SchemaError if the shards differ.
    """
    with (
        atomic_write(path, sync=sync) as temporary,
        WrittenFile(temporary, libver=_LIBVER) as virtual,
    ):
        members = [_members(shard) for shard in shards]
        for shard, others in zip(shards, members, strict=True):
            if others.keys() != members[0].keys():
                message = "the shards have different datasets; pack them with the same fields"
                raise SchemaError(with_location(message, Location(shard)))
        in_rows = {name for each in members for name in each if each[name].kind == "rows"}
        joined = _columns_of(shards) if in_rows else []
        for name, member in members[0].items():
            sources = shards[:1] if name == CLASS_NAMES else shards
            if name in in_rows:
                _join(virtual, name, joined[: len(sources)])
            elif member.kind == "pixels":
                _show(virtual, name, member.dtype, shards, [each[name].shape for each in members])
            else:
                _copy(virtual, name, sources)
        _copy_attributes(virtual, shards[0])
        virtual.attrs[_NUM_SHARDS] = len(shards)
        write_checksums(virtual)


def is_virtual_dataset(path: Path) -> bool:
    """Return whether `write_virtual_dataset` wrote a file; False also for unreadable files."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _NUM_SHARDS in file.attrs
    except (OSError, RuntimeError):
        return False


@dataclass(frozen=True)
class _Stored:
    """The kind of a shard's member, and the shape and dtype of a dataset."""

    kind: str
    shape: tuple[int, ...] = ()
    dtype: Any = None


def _members(shard: Path) -> dict[str, _Stored]:
    """The members of a shard by name."""
    found: dict[str, _Stored] = {}
    with h5py.File(shard, "r", locking=False) as file:
        for member in find_members(file):
            if member.is_blob and member.kind != "pixels":
                message = (
                    f"a virtual dataset shows pixels and columns, not the files of {member.path}; "
                    "pack with a size, or leave them out"
                )
                raise SchemaError(with_location(message, Location(shard)))
            found[member.path] = _Stored(member.kind)
            if isinstance(member.stored, h5py.Dataset):
                shape, dtype = member.stored.shape, member.stored.dtype
                found[member.path] = _Stored(member.kind, shape, dtype)
    return found


def _columns_of(shards: Sequence[Path]) -> list[dict[str, tuple[Field, Any]]]:
    """For each shard, name in the file -> column with its field; class names are one of them."""
    found = []
    for shard in shards:
        identity = Shard.of(shard, "hdf5")
        limits, options = DEFAULT_LIMITS, IndexOptions()
        with h5py.File(shard, "r", locking=False) as file:
            builder = IndexBuilder(file, identity, check=False, limits=limits, options=options)
            index = builder.index()
        columns: dict[str, tuple[Field, Any]] = {
            field.source_name: (field, index.columns[field.name]) for field in index.schema.columns
        }
        columns[CLASS_NAMES] = Field(CLASS_NAMES, "text"), Text.of(index.schema.class_names)
        found.append(columns)
    return found


def _join(virtual: h5py.File, name: str, columns: Sequence[dict[str, tuple[Field, Any]]]) -> None:
    """Write the lists, or texts of any length, of all shards."""
    field = columns[0][name][0]
    for vector in vectors_of(name, field, concatenate_values([each[name][1] for each in columns])):
        vector.write(virtual)


def _show(
    virtual: h5py.File,
    name: str,
    dtype: Any,
    shards: Sequence[Path],
    shapes: Sequence[tuple[int, ...]],
) -> None:
    """Write a virtual dataset of all shards' images."""
    if any(shape[1:] != shapes[0][1:] for shape in shapes):
        message = f"the shards' {name} have different sizes; pack them with one size"
        raise SchemaError(with_location(message, Location(shards[0])))
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_obj_track_times(False)  # the same input gives the same bytes
    space = h5py.h5s.create_simple((sum(shape[0] for shape in shapes), *shapes[0][1:]))
    first = 0
    for shard, shape in zip(shards, shapes, strict=True):
        space.select_hyperslab((first,) + (0,) * (len(shape) - 1), shape)
        source_space = h5py.h5s.create_simple(shape)
        creation.set_virtual(space, os.fsencode(shard.name), name.encode(), source_space)
        first += shape[0]
    space.select_all()
    kind = h5py.h5t.py_create(dtype, logical=True)
    shown = h5py.Dataset(h5py.h5d.create(virtual.id, name.encode(), kind, space, creation))
    with h5py.File(shards[0], "r", locking=False) as file:
        for attribute, value in file[name].attrs.items():
            shown.attrs[attribute] = value


def _copy(virtual: h5py.File, name: str, shards: Sequence[Path]) -> None:
    """Copy a column of all shards."""
    pieces = []
    for shard in shards:
        with h5py.File(shard, "r", locking=False) as file:
            pieces.append(file[name][...])
    is_text = pieces[0].dtype.kind == "S"
    length = max(piece.dtype.itemsize for piece in pieces)
    dtype = h5py.string_dtype("utf-8", length) if is_text else pieces[0].dtype
    virtual.create_dataset(name, data=np.concatenate(pieces).astype(dtype), dtype=dtype)


def _copy_attributes(virtual: h5py.File, shard: Path) -> None:
    virtual.attrs["format_version"] = FORMAT_VERSION
    with h5py.File(shard, "r", locking=False) as file:
        for name in ("format", "layout", "schema"):
            virtual.attrs[name] = file.attrs[name]
