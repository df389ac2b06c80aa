"""The indexes of all files of a dataset, for opening it."""

import contextlib
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.threads import num_cores, run_in_threads
from fastpack.errors import (
    FastpackError,
    Location,
    MixedSetError,
    NoRecordsError,
    os_errors_at,
    with_location,
)
from fastpack.files.file_names import path_of
from fastpack.formats import registry
from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.find_seek_points import add_seek_points
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import Kinds, common_kinds, has_kinds, refuse_kinds
from fastpack.formats.index_options import IndexOptions


def indexes_of(
    shards: Sequence[Path],
    *,
    save: bool = True,
    index_dir: str | os.PathLike[str] | None = None,
    options: IndexOptions | None = None,
    seek_points: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> list[Index]:
    """Return the index of each file: the saved one while it is fresh, else a new one.

    - save: save new indexes where that is possible.
    - seek_points: add missing seek points.
    """
    folder = folder_for_indexes(index_dir, make=save)
    files = [FileIndex(shard, folder, limits) for shard in shards]
    opening = _Opening(save, options or IndexOptions(), seek_points)
    found = build_all(opening.index, files)
    given, indexes = opening.options.kinds, list(found.values())
    refuse_kinds(indexes[0], given)
    if common := {**common_kinds(indexes), **given}:
        wider = build_all(lambda file: opening.widened(file, found[file], common), list(found))
        indexes = list(wider.values())
    if len(shards) > 1:
        _refuse_replaced(indexes)
    return indexes


@dataclass(frozen=True)
class _Opening:
    """How the files of one dataset are indexed."""

    save: bool
    options: IndexOptions
    seek_points: bool

    def index(self, file: FileIndex) -> Index:
        try:
            index = file.index(self.options, save=self.save)
        except NoRecordsError:
            if not self.options.untrusted:
                file.refuse_emptied()
            raise
        if not self.seek_points:
            return index
        completed = add_seek_points(index, keep_damaged=self.options.keep_damaged)
        # Without a saved index, the file is damaged or its folder read-only.
        if completed is not index and file.is_saved:
            self._keep(completed, file)
        return completed

    def widened(self, file: FileIndex, index: Index, kinds: Kinds) -> Index:
        """Return and keep an index with kinds that all files of the dataset can have."""
        if has_kinds(index, kinds):
            return index
        wider = file.index(replace(self.options, kinds=kinds), save=False)
        self._keep(wider, file)
        return wider

    def _keep(self, index: Index, file: FileIndex) -> None:
        is_default = replace(self.options, keep_damaged=False) == IndexOptions()
        if self.save and file.saves_index and is_default and index.lost is None:
            with contextlib.suppress(FastpackError):
                file.save(index)


def _refuse_replaced(indexes: Sequence[Index]) -> None:
    """Raise MixedSetError if a file was replaced after it was indexed.

    The other files may belong to its replacement then.
    """
    shards = (shard for index in indexes for shard in index.shards)
    for shard in (shard for shard in shards if shard.container != "folder"):
        with contextlib.suppress(OSError):
            facts = os.stat(shard.path)
            if (facts.st_size, facts.st_mtime_ns) == (shard.size, shard.mtime_ns):
                continue
        message = "the file was replaced while the dataset was opened; open it again"
        raise MixedSetError(with_location(message, Location(shard.path)))


def folder_for_indexes(
    index_dir: str | os.PathLike[str] | None, *, make: bool = True
) -> Path | None:
    """Return the folder that the user names; with `make`, create it."""
    if index_dir is None:
        return None
    folder = path_of("index_dir", index_dir)
    if make:
        with os_errors_at(folder, "make the folder for the indexes"):
            folder.mkdir(parents=True, exist_ok=True)
    return folder


def build_all(
    build: Callable[[FileIndex], Index],
    files: Sequence[FileIndex],
    num_workers: int | None = None,
) -> dict[FileIndex, Index]:
    """Return build(file) of each file, in order, by several threads.

    The failure of the first file is raised. A TFRecord without a record is left out if other files
    have some, as TensorFlow reads it.
    """
    numbers = itertools.count()
    found: dict[int, Index] = {}
    failures: dict[int, FastpackError] = {}
    empty: dict[int, FastpackError] = {}

    def work() -> None:
        while not failures and (number := next(numbers)) < len(files):
            try:
                found[number] = build(files[number])
            except NoRecordsError as error:
                empty[number] = error
            except FastpackError as error:
                failures[number] = error

    run_in_threads(work, min(num_workers or num_cores(), len(files)))
    if failures or not found:
        raise min((failures or empty).items())[1]
    return {files[number]: found[number] for number in sorted(found)}


def with_classes(indexes: Sequence[Index], names: tuple[str, ...]) -> list[Index]:
    """Return the indexes with labels that count in `names`.

    Without names, labels of class folders count in all classes of all folders.
    """
    if names:
        return [index.relabeled(names) for index in indexes]
    loose = [index for index in indexes if _has_class_folders(index)]
    if len({index.schema.class_names for index in loose}) < 2:
        return list(indexes)
    names = tuple(sorted({name for index in loose for name in index.schema.class_names}))
    return [index.relabeled(names) if _has_class_folders(index) else index for index in indexes]


def _has_class_folders(index: Index) -> bool:
    containers = (registry.named(shard.container) for shard in index.shards)
    return bool(index.schema.class_names) and all(
        "class_folder" in container.index_options for container in containers
    )
