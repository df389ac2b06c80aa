"""A folder of image files as a dataset, in place: class = folder. Read-only.

The files are opened as they are read, some at a time, since a process may not have half a million of them open.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack._native.probe import ProbeFiles
from fastpack.containers import BytesDone, ShardPlan, Writer
from fastpack.errors import EmptySourceError, FormatError, OptionError, Place, at, changed_file_error, from_os_error, raise_first
from fastpack.filenames import FileNames
from fastpack.files import Files
from fastpack.index import Column, Index
from fastpack.limits import DEFAULT_LIMITS, Limits
from fastpack.pool import share
from fastpack.ragged import Text, offsets_of
from fastpack.schema import Field, Schema
from fastpack.shard import Shard
from fastpack.structs import IMAGE_INFO, NO_SPAN, SPAN
from fastpack.tree import IMAGE_SUFFIXES, classes_of, image_files


class FolderContainer:
    name = "folder"
    suffixes: tuple[str, ...] = ()

    def recognises(self, head: bytes) -> bool:
        return False  # a folder has no bytes

    def writer(self, path: Path, plan: ShardPlan, num_workers: int | None = None) -> Writer[Any]:
        raise OptionError(f"to write image files into a folder, use `fastpack extract` - at {path}")

    def shard(self, path: Path) -> Shard:
        """The names, sizes and times of all files, in one sum."""
        files = image_files(path)
        try:
            facts = [os.stat(os.path.join(path, file)) for file in files]
        except OSError as error:
            raise from_os_error(error, "read", error.filename) from error
        sizes = np.array([each.st_size for each in facts], np.uint64)
        times = np.array([each.st_mtime_ns for each in facts], np.int64)
        return _identity(path, files, sizes, times)

    def index(self, path: Path, *, check: bool = True, limits: Limits = DEFAULT_LIMITS, progress: BytesDone | None = None) -> Index:
        """Files have no checksums; the size and the time of each are compared when it is read."""
        files = image_files(path)
        if not files:
            raise EmptySourceError(at(f"no images here (files ending in {', '.join(IMAGE_SUFFIXES)}); check the folder", Place(path)))
        sizes, times, infos = np.empty(len(files), np.uint64), np.empty(len(files), np.int64), np.zeros(len(files), IMAGE_INFO)
        probing = ProbeFiles([os.fsencode(path / file) for file in files], sizes, times, infos)
        raise_first(share(probing.run), lambda row: Place(path / files[row]))
        labels, class_names = classes_of(files)
        columns: dict[str, Column] = {"key": files}
        fields = [Field("image", "image"), Field("key", "text")]
        if labels is not None:
            columns["label"] = labels
            fields.insert(1, Field("label", "int", dtype="int64"))
        spans = np.zeros(len(files), SPAN)
        spans["offset"], spans["length"] = NO_SPAN, sizes
        return Index(
            (_identity(path, files, sizes, times),),
            Schema(tuple(fields), tuple(class_names)),
            np.zeros(len(files), np.uint32),
            np.arange(len(files)),
            columns,
            {"image": spans},
            {"image": infos},
            files=Files(files, times),
        )

    def import_for_fetching(self) -> None:
        """All is imported with this module."""

    def fetch(self, shard: Shard, stored_as: str, record_numbers: Sequence[int], files: Files | None = None) -> list[Any]:
        """The bytes of these files; what they are numbered is in the index, not in the folder."""
        if files is None:
            raise FormatError(at("the index does not name the files; delete it and it is built again", Place(shard.path)))
        names = FileNames(_path_below(shard.path, file) for file in files.names)
        sizes, times, faults = names.look()
        if faults:
            raise faults[min(faults)]
        if (times != files.times).any():
            raise changed_file_error(Place(names[int(np.argmax(times != files.times))]))
        offsets = offsets_of(sizes)
        values = np.empty(offsets[-1], np.uint8)
        return list(names.read(np.arange(len(names)), values, offsets))


FOLDER = FolderContainer()


def _identity(path: Path, files: Text, sizes: npt.NDArray[np.uint64], times: npt.NDArray[np.int64]) -> Shard:
    fingerprint = crc32c(os.fsencode("\0".join(files)))
    fingerprint = crc32c(times.view(np.uint8), crc32c(sizes.view(np.uint8), fingerprint))
    return Shard(path, FOLDER.name, int(sizes.sum()), int(times.max(initial=0)), fingerprint)


def _path_below(root: Path, file: str) -> str:
    """An index that somebody else wrote could name any file."""
    if file.startswith("/") or ".." in file.split("/"):
        raise FormatError(at(f"the index names {file!r}, outside the folder; delete it and it is built again", Place(root)))
    return os.path.join(root, file)
