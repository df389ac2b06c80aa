"""virtual dataset: one small HDF5 file in which plain h5py sees the shards beside it as one dataset."""

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
from fastpack.files.file_names import path_of
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
    """Writes a file of virtual datasets, for shards that one process packed, or several at the same time.

    - shards: HDF5 files of the layout `pixels` in the output's folder, in order; None: "train-00000-of-00004.h5" and so on for
      the output "train.h5".
    - overwrite: replace a file that is there already.
    - sync: wait for the disk.

    Raises MissingFileError, OutputExistsError, OptionError for shards in other folders, FormatError or SchemaError when they are
    of other formats, or differ.

    >>> import fastpack, h5py
    >>> folder, samples = Path(getfixture("tmp_path")), fastpack.open(getfixture("digits"), decode=False)
    >>> for part, name in ((samples[:4], "x-00000-of-00002.h5"), (samples[4:], "x-00001-of-00002.h5")):
    ...     _ = fastpack.pack(part, folder / name, fastpack.PackOptions(size=8))
    >>> write_virtual_dataset(folder / "x.h5")
    >>> h5py.File(folder / "x.h5")["images"].shape
    (10, 8, 8, 3)
    """
    check_arguments(overwrite=overwrite, sync=sync)
    output = path_of("output", output)
    paths = list_shards(output) if shards is None else _named(shards)
    if not paths:
        raise OptionError(f"there are no shards to show; name one at least - at {output}")
    for path in paths:
        if path.absolute().parent != output.absolute().parent or path == output:
            raise OptionError(
                with_location(
                    f"the shards must stand beside {output.name}, which names them without their folder",
                    Location(path),
                )
            )
        container = virtual_container(of_file(path), path)
    if output.exists() and not overwrite:
        raise OutputExistsError(
            17,
            with_location(
                "a file is there already; ask for overwrite, or choose another name",
                Location(output),
            ),
        )
    container.write_virtual_dataset(output, paths, sync=sync)


def _named(shards: Any) -> list[Path]:
    parts = None if isinstance(shards, (str, os.PathLike)) else checks.listed(shards)
    if parts is None:
        raise OptionError(f"shards must be a list of paths, not {checks.shown(shards)}")
    return [path_of("shards", part) for part in parts]


def virtual_container(container: Container, path: Path) -> VirtualDatasetContainer:
    """Return the container. Raises FormatError if its files cannot show the samples of others."""
    if not isinstance(container, VirtualDatasetContainer):
        message = f"{container.title} files have no virtual datasets; choose HDF5"
        raise FormatError(with_location(message, Location(path)))
    return container


def list_shards(output: Path) -> list[Path]:
    """The numbered shards that are named like `output`, in order. Raises MissingFileError, or MixedSetError."""
    found = [member.path for member in numbered_members(output)]
    if not found:
        raise MissingFileError(
            2,
            with_location(
                "there are no shards of this name; pack them first, or list them", Location(output)
            ),
        )
    return find_shards(found)
