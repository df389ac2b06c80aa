"""Virtual datasets: a small HDF5 file in which h5py sees several shards as one dataset."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastpack.core import checks
from fastpack.errors import (
    FormatError,
    Location,
    MissingFileError,
    OptionError,
    OutputExistsError,
    with_location,
)
from fastpack.files.arguments import check_arguments
from fastpack.files.file_names import local_path_of
from fastpack.files.naming import numbered_members
from fastpack.formats.discovery import find_shards
from fastpack.formats.protocols import Container, VirtualDatasetContainer
from fastpack.formats.registry import of_file


def write_virtual_dataset(
    output: str | os.PathLike[str],
    shards: Iterable[str | os.PathLike[str]] | None = None,
    *,
    overwrite: bool = False,
    sync: bool = True,
) -> None:
    """Write an HDF5 file in which h5py sees several shards as one dataset.

    One process may have packed the shards, or several processes at the same time.

    Args:
        output: the file to write.
        shards: HDF5 files of layout "pixels" in the output's folder, in order. None: the shards of
            that name, such as "train-00000-of-00004.h5" for the output "train.h5".
        overwrite: replace an existing file.
        sync: wait until the file is on disk.

    Raises:
        MissingFileError: there are no such shards.
        OutputExistsError: the output exists, without `overwrite`.
        OptionError: a shard is in another folder.
        FormatError: a shard is not an HDF5 file.
        SchemaError: the shards have different fields.

    Example:
        >>> import fastpack, h5py
        >>> folder = Path(getfixture("tmp_path"))
        >>> samples = fastpack.open(getfixture("digits"), decode=False)
        >>> _ = fastpack.pack(samples[:4], folder / "x-00000-of-00002.h5", size=8)
        >>> _ = fastpack.pack(samples[4:], folder / "x-00001-of-00002.h5", size=8)
        >>> write_virtual_dataset(folder / "x.h5")
        >>> h5py.File(folder / "x.h5")["images"].shape
        (10, 8, 8, 3)
    """
    check_arguments(overwrite=overwrite, sync=sync)
    output = local_path_of("output", output)
    paths = list_shards(output) if shards is None else _named(shards)
    if not paths:
        message = "the list of shards is empty; name at least one"
        raise OptionError(with_location(message, Location(output)))
    for path in paths:
        if path.absolute().parent != output.absolute().parent or path == output:
            message = f"a shard must be in the folder of {output.name}; move one of them"
            raise OptionError(with_location(message, Location(path)))
        container = virtual_container(of_file(path), path)
    if output.exists() and not overwrite:
        message = "the file exists already; ask for overwrite, or choose another name"
        raise OutputExistsError(errno.EEXIST, with_location(message, Location(output)))
    container.write_virtual_dataset(output, paths, sync=sync)


def _named(shards: Any) -> list[Path]:
    parts = None if isinstance(shards, (str, os.PathLike)) else checks.listed(shards)
    if parts is None:
        raise OptionError(f"shards must be a list of paths, not {checks.shown(shards)}")
    return [local_path_of("shards", part) for part in parts]


def virtual_container(container: Container, path: Path) -> VirtualDatasetContainer:
    """Return the container; raises FormatError if it has no virtual datasets."""
    if not isinstance(container, VirtualDatasetContainer):
        message = f"{container.title} files have no virtual datasets; choose HDF5"
        raise FormatError(with_location(message, Location(path)))
    return container


def list_shards(output: Path) -> list[Path]:
    """Find the numbered shards of `output`, in order; raise if some are missing."""
    found = [member.path for member in numbered_members(output)]
    if not found:
        message = "there are no shards of this name; pack them first, or list them"
        raise MissingFileError(errno.ENOENT, with_location(message, Location(output)))
    return find_shards(found)
