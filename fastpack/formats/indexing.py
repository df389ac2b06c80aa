"""Indexing: the indexes of many files, built by several threads and kept for the next time."""

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.progress import Progress
from fastpack.core.schema import Schema
from fastpack.core.threads import num_cores, run_in_threads
from fastpack.errors import (
    FastpackError,
    Location,
    MixedSetError,
    NoRecordsError,
    from_os_error,
    warn,
    with_location,
)
from fastpack.files.arguments import check_arguments
from fastpack.files.companions import index_path, refuse_long_names
from fastpack.files.file_names import path_of
from fastpack.files.temporary import remove_leftovers
from fastpack.formats import registry, saved_index
from fastpack.formats.choice import Choice
from fastpack.formats.discovery import find_shards
from fastpack.formats.index.find_seek_points import add_seek_points
from fastpack.formats.index.index import Index, concatenate
from fastpack.formats.index.kinds import Kinds, checked_kinds, common_kinds, has_kinds, refuse_kinds
from fastpack.formats.index.seek_point_cache import SeekPointCache
from fastpack.formats.protocols import DatasetPaths
from fastpack.images.seek_points import SeekPoints


@dataclass(frozen=True)
class IndexResult:
    """What was indexed: files, how many of them had a fresh index already, samples, what a sample holds, bytes of the
    files and of their indexes, seconds; how many images have seek points, and what these take of the indexes; what was
    guessed or left out (`notes`)."""

    paths: tuple[Path, ...]
    num_fresh: int
    num_samples: int
    schema: Schema
    num_bytes: int
    index_bytes: int
    seconds: float
    num_with_seek_points: int = 0
    seek_point_bytes: int = 0
    notes: tuple[str, ...] = ()


def build_indexes(
    path: DatasetPaths,
    *,
    index_dir: str | os.PathLike[str] | None = None,
    rebuild: bool = False,
    seek_points: bool = False,
    kinds: Mapping[str, str] = MappingProxyType({}),
    num_workers: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> IndexResult:
    """Indexes files that anybody wrote, where they are, and saves the indexes: so the next `open` is instant.

    - path: a TFRecord, HDF5 or tar file, a folder of images, a glob, a folder of shards, or a list of these.
    - index_dir: a folder for the indexes, when that of the files is read-only; None puts each beside its file.
    - rebuild: build indexes that are there already, too: what the files hold now is what they shall hold. Kinds of fields are kept
      where the records are the same.
    - seek_points: find places inside the JPEGs where decoding may begin, for indexes that have none: crops are decoded faster then.
      Takes about half of the time of decoding all of them, and half a percent of their size.
    - kinds: what fields are, where the files do not say it and the guess is wrong: field name -> "image", "mask", "bytes" or
      "text". The index keeps it.
    - num_workers: how many files at once; None is one a core.
    - progress: called with (bytes done, bytes in all) after each file, and every few megabytes of a TFRecord.

    Several programs may index one file at once. What killed ones left of their indexes is removed. Raises what a damaged file
    raises, and UnreadableFileError when an index cannot be written.

    >>> built = build_indexes(getfixture("digits"))
    >>> built.num_samples, [field.name for field in built.schema.fields]
    (10, ['image', 'label'])
    """
    started = time.perf_counter()
    check_arguments(
        rebuild=rebuild,
        seek_points=seek_points,
        num_workers=num_workers,
        limits=limits,
        progress=progress,
    )
    given, shards = checked_kinds(kinds), find_shards(path)
    folder = _folder_for_indexes(index_dir)
    paths = _index_paths(shards, folder)
    tally = _Tally(progress, [shard.stat().st_size for shard in shards])

    def build(number: int) -> Index:
        shard = shards[number]
        saved = None if rebuild else saved_index.saved_index(shard, folder)
        earlier = saved_index.earlier_index(shard, folder)
        saved = saved if saved is not None and has_kinds(saved, given) else None
        index = saved or saved_index.build_index(
            shard, earlier, limits=limits, progress=partial(tally.set, number), kinds=given
        )
        refuse_kinds(index, given)
        index = add_seek_points(index) if seek_points else index
        if index is not saved:
            _save(index if rebuild else index.remembering(earlier), shard, folder)
            built.add(number)
        tally.set(number, tally.sizes[number])
        return index

    built = set[int]()
    indexes = _build_all(build, len(shards), num_workers)
    if common := common_kinds(indexes):
        indexes = _build_all(
            lambda number: _widened(indexes[number], shards[number], common, folder, limits),
            len(shards),
            num_workers,
        )
    whole = concatenate(indexes)
    warn(whole.notes)
    return _indexed(shards, len(shards) - len(built), whole, paths, time.perf_counter() - started)


def _index_paths(shards: Sequence[Path], folder: Path | None) -> list[Path]:
    """Return where the indexes go, and remove what interrupted writes left there."""
    paths = [index_path(shard, folder) for shard in shards]
    refuse_long_names(paths)
    for kept_in in dict.fromkeys(path.parent for path in paths):
        remove_leftovers(kept_in)
    return paths


def _widened(index: Index, shard: Path, kinds: Kinds, folder: Path | None, limits: Limits) -> Index:
    if has_kinds(index, kinds):
        return index
    wider = saved_index.build_index(shard, None, limits=limits, kinds=kinds)
    _save(wider, shard, folder)
    return wider


class _Tally:
    """How many bytes of each file are done, by several threads."""

    def __init__(self, progress: Progress | None, sizes: list[int]) -> None:
        self.sizes, self._progress, self._done = sizes, progress, [0] * len(sizes)
        self._telling = threading.Lock()

    def set(self, number: int, num_bytes: int) -> None:
        with self._telling:  # one after the other, so that the numbers rise
            self._done[number] = max(self._done[number], num_bytes)
            if self._progress:
                done = sum(self._done)
                self._progress(done, sum(self.sizes), done)


def save_seek_points(
    index: Index,
    seek_point_cache: SeekPointCache,
    samples: Rows,
    index_dir: str | os.PathLike[str] | None,
    limits: Limits,
) -> int:
    """Saves what was learned of these samples (n,), those of `index`, in the indexes of its files, and makes what is missing there.

    Returns how many images have seek points then, of all that the files hold. Raises what `build_indexes` raises.
    """
    num_with_seek_points, folder = 0, _folder_for_indexes(index_dir)
    for number, shard in enumerate(index.shards):
        whole = saved_index.index_of(shard.path, index_dir=folder, limits=limits)
        rows = np.flatnonzero(index.shard_numbers == number)
        sources = {index.schema[name].source_name: name for name in seek_point_cache.names}
        images = [(field.name, sources.get(field.source_name)) for field in whole.schema.fields]
        known = {
            here: _known(
                len(whole), index.record_numbers[rows], samples[rows], seek_point_cache, name
            )
            for here, name in images
            if name
        }
        if (with_them := add_seek_points(whole, known)) is not whole:
            _save(with_them, shard.path, folder)
        num_with_seek_points += sum(
            tables.num_with_seek_points for tables in with_them.seek_points.values()
        )
    return num_with_seek_points


def _known(
    num_records: int, records: Rows, samples: Rows, seek_point_cache: SeekPointCache, name: str
) -> tuple[SeekPoints, npt.NDArray[np.bool_]]:
    """Of the records of a file: their tables, and which of them were looked at."""
    is_known = np.zeros(num_records, np.bool_)
    is_known[records] = seek_point_cache.is_known(name, samples)
    source = np.full(num_records, len(records))
    source[records] = np.arange(len(records))
    return SeekPoints.concatenate(
        [seek_point_cache.tables(name, samples), SeekPoints.none(1)]
    ).take(source), is_known


def _indexed(
    shards: list[Path], num_fresh: int, whole: Index, kept: list[Path], seconds: float
) -> IndexResult:
    return IndexResult(
        tuple(shards),
        num_fresh,
        len(whole),
        whole.schema,
        num_bytes=sum(shard.size for shard in whole.shards),
        index_bytes=sum(where.stat().st_size for where in kept if where.exists()),
        seconds=seconds,
        num_with_seek_points=sum(
            tables.num_with_seek_points for tables in whole.seek_points.values()
        ),
        seek_point_bytes=sum(tables.num_bytes for tables in whole.seek_points.values()),
        notes=whole.notes,
    )


def _save(index: Index, shard: Path, folder: Path | None) -> None:
    index.save(index_path(shard, folder))


def _folder_for_indexes(
    index_dir: str | os.PathLike[str] | None, *, make: bool = True
) -> Path | None:
    """The folder that the user names; with `make`, it is there afterwards."""
    if index_dir is None:
        return None
    folder = path_of("index_dir", index_dir)
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, "make the folder for the indexes", folder) from error
    return folder


def indexes_of(
    shards: Sequence[Path],
    *,
    save: bool = True,
    index_dir: str | os.PathLike[str] | None = None,
    choice: Choice | None = None,
    seek_points: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> list[Index]:
    """The index of each file: the saved one when it is fresh, else a new one, kept with `save` where that is possible.

    - seek_points: make those that are missing.
    """
    opening = _Opening(
        save, _folder_for_indexes(index_dir, make=save), choice or Choice(), seek_points, limits
    )
    indexes = _build_all(lambda number: opening.index(shards[number]), len(shards))
    given = opening.choice.kinds
    refuse_kinds(indexes[0], given)
    if common := {**common_kinds(indexes), **given}:
        indexes = _build_all(
            lambda number: opening.widened(indexes[number], shards[number], common), len(shards)
        )
    if len(shards) > 1:
        _refuse_replaced(indexes)
    return indexes


@dataclass(frozen=True)
class _Opening:
    """How the indexes of one dataset are had."""

    save: bool
    folder: Path | None
    choice: Choice
    seek_points: bool
    limits: Limits

    def index(self, shard: Path) -> Index:
        try:
            index = saved_index.index_of(
                shard, save=self.save, index_dir=self.folder, limits=self.limits, choice=self.choice
            )
        except NoRecordsError:
            if not self.choice.untrusted:
                saved_index.refuse_emptied(shard, self.folder)
            raise
        if (
            not self.seek_points
            or (with_them := add_seek_points(index, keep_damaged=self.choice.keep_damaged)) is index
        ):
            return index
        # That of a damaged file is not kept, nor is any in a read-only folder: they are made again the next time.
        if saved_index.saved_index(shard, self.folder) is not None:
            self._keep(with_them, shard)
        return with_them

    def widened(self, index: Index, shard: Path, kinds: Kinds) -> Index:
        """The index with these kinds, which all files of the dataset can have. It is kept, so that it is built once."""
        if has_kinds(index, kinds):
            return index
        choice = replace(self.choice, kinds=kinds)
        wider = saved_index.index_of(
            shard, save=False, index_dir=self.folder, limits=self.limits, choice=choice
        )
        self._keep(wider, shard)
        return wider

    def _keep(self, index: Index, shard: Path) -> None:
        if (
            self.save
            and saved_index.is_indexed_unasked(shard, self.folder)
            and replace(self.choice, keep_damaged=False) == Choice()
            and index.lost is None
        ):
            with contextlib.suppress(FastpackError):
                _save(index, shard, self.folder)


def _refuse_replaced(indexes: Sequence[Index]) -> None:
    """Raises MixedSetError when a file was replaced after it was indexed: then others may be of the set that came."""
    for shard in (
        shard for index in indexes for shard in index.shards if shard.container != "folder"
    ):
        with contextlib.suppress(OSError):
            facts = os.stat(shard.path)
            if (facts.st_size, facts.st_mtime_ns) == (shard.size, shard.mtime_ns):
                continue
        raise MixedSetError(
            with_location(
                "the file was replaced while the dataset was opened; open it again",
                Location(shard.path),
            )
        )


def _build_all(
    build: Callable[[int], Index], count: int, num_workers: int | None = None
) -> list[Index]:
    """build(0), build(1) and so on, by several threads. The failure that is raised is that of the lowest number.

    A TFRecord without a record is left out if others have some, as TensorFlow reads it.
    """
    numbers = itertools.count()
    found: dict[int, Index] = {}
    failures: dict[int, FastpackError] = {}
    empty: dict[int, FastpackError] = {}

    def work() -> None:
        while not failures and (number := next(numbers)) < count:
            try:
                found[number] = build(number)
            except NoRecordsError as error:
                empty[number] = error
            except FastpackError as error:
                failures[number] = error

    run_in_threads(work, min(num_workers or num_cores(), count))
    if failures or not found:
        raise min((failures or empty).items())[1]
    return [found[number] for number in sorted(found)]


def with_classes(indexes: Sequence[Index], names: tuple[str, ...]) -> list[Index]:
    """The indexes with labels that count in `names`. Without, those of folders, whose classes are what they happen to hold, count in
    all of theirs."""
    if not names:
        loose = [index for index in indexes if _is_loose(index)]
        if len({index.schema.class_names for index in loose}) < 2:
            return list(indexes)
        names = tuple(sorted({name for index in loose for name in index.schema.class_names}))
        return [index.relabeled(names) if _is_loose(index) else index for index in indexes]
    return [index.relabeled(names) for index in indexes]


def _is_loose(index: Index) -> bool:
    kinds = (registry.named(shard.container) for shard in index.shards)
    return bool(index.schema.class_names) and all(
        getattr(kind, "has_class_folders", False) for kind in kinds
    )
