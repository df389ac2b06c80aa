"""Indexing: build and save the indexes of files, without opening them as a dataset."""

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.progress import Progress
from fastpack.core.schema import Schema
from fastpack.errors import warn
from fastpack.files.arguments import check_arguments
from fastpack.files.companions import refuse_long_names
from fastpack.files.temporary import remove_leftovers
from fastpack.formats.dataset_indexes import (
    build_all,
    folder_for_indexes,
    lacks_seek_points,
    view_of,
)
from fastpack.formats.discovery import find_shards
from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.find_seek_points import add_seek_points
from fastpack.formats.index.index import Index
from fastpack.formats.index.index_file import IndexFile
from fastpack.formats.index.kinds import Kinds, checked_kinds, common_kinds, has_kinds, refuse_kinds
from fastpack.formats.index.seek_point_cache import SeekPointCache
from fastpack.formats.manifest import Manifest
from fastpack.formats.protocols import DatasetPaths
from fastpack.formats.saved_manifest import save_manifest
from fastpack.images.seek_points import SeekPoints


@dataclass(frozen=True)
class IndexResult:
    """The result of `build_indexes`.

    Args:
        paths: The indexed files.
        num_fresh: Files that had a fresh index already.
        num_samples: Samples of all files.
        schema: Fields of a sample.
        num_bytes: Bytes of the files.
        index_bytes: Bytes of their indexes.
        seconds: Time that indexing took.
        num_with_seek_points: Images with seek points.
        seek_point_bytes: Bytes of the indexes that are seek points.
        notes: What was guessed or left out.
    """

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

    @classmethod
    def of(
        cls, indexes: Mapping[FileIndex, IndexFile], num_fresh: int, seconds: float
    ) -> "IndexResult":
        """Count the facts of files that were indexed in so many seconds."""
        manifest = Manifest.of(list(indexes.values()))
        view = view_of(manifest, None, ())
        blobs = manifest.summary.blobs.values()
        return cls(
            tuple(file.path for file in indexes),
            num_fresh,
            manifest.num_samples,
            view.schema,
            num_bytes=sum(shard.size for index in indexes.values() for shard in index.shards),
            index_bytes=manifest.index_bytes,
            seconds=seconds,
            num_with_seek_points=sum(blob.num_with_seek_points or 0 for blob in blobs),
            seek_point_bytes=sum(index.seek_point_bytes for index in indexes.values()),
            notes=manifest.notes,
        )


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
    """Build and save the indexes of files, so that the next `open` takes no time.

    Several programs may index one file at once. Temporary files of killed ones are removed.

    Args:
        path: A TFRecord, HDF5 or tar file, a folder of images, a glob, a folder of shards, or a
            list of these.
        index_dir: A folder for the indexes; None puts each beside its file.
        rebuild: Replace fresh indexes too, and accept files that lost records. Kinds of fields are
            kept where the records are the same.
        seek_points: Add seek points to JPEGs, which make crops faster to decode. It takes about
            half the time of decoding all images; seek points have about 0.5% of their bytes.
        kinds: Kinds of fields where the guess is wrong: field name -> "image", "mask", "bytes" or
            "text". The index keeps them.
        num_workers: Files at once; None is one for each core.
        limits: Limits for what the files claim.
        progress: Called with (bytes done, bytes in all, bytes done) after each file, and every few
            megabytes of a TFRecord.

    Returns:
        Counts of files, samples and bytes, and the schema.

    Raises:
        MissingFileError, EmptySourceError: There is nothing to index.
        CorruptRecordError, FormatError: A file is damaged, or has another format.
        UnreadableFileError: The OS refuses to write an index.

    Example:
        >>> built = build_indexes(getfixture("digits"))
        >>> built.num_samples, [field.name for field in built.schema.fields]
        (10, ['image', 'label'])
    """
    check_arguments(
        rebuild=rebuild,
        seek_points=seek_points,
        num_workers=num_workers,
        limits=limits,
        progress=progress,
    )
    shards, folder = find_shards(path), folder_for_indexes(index_dir)
    job = _Job(path, folder, rebuild, seek_points, checked_kinds(kinds), num_workers, progress)
    return job.run([FileIndex(shard, folder, limits) for shard in shards])


@dataclass(frozen=True)
class _Job:
    """How files are indexed."""

    path: DatasetPaths
    index_dir: Path | None
    rebuild: bool
    seek_points: bool
    kinds: Kinds
    num_workers: int | None
    progress: Progress | None

    def run(self, files: list[FileIndex]) -> IndexResult:
        started = time.perf_counter()
        _prepare_folders(files)
        tally = _Tally(self.progress, files)
        built = set[FileIndex]()

        def build(file: FileIndex) -> IndexFile:
            index, is_built = self._index(file, tally)
            if is_built:
                built.add(file)
            tally.complete(file)
            return index

        indexes = build_all(build, files, self.num_workers)
        if common := common_kinds(list(indexes.values())):
            indexes = build_all(
                lambda file: _widened(file, indexes[file], common), list(indexes), self.num_workers
            )
        seconds = time.perf_counter() - started
        result = IndexResult.of(indexes, len(files) - len(built), seconds)
        save_manifest(self.path, Manifest.of(list(indexes.values())), self.index_dir)
        warn(result.notes)
        return result

    def _index(self, file: FileIndex, tally: "_Tally") -> tuple[IndexFile, bool]:
        """Return the index of a file, and whether it had to be built or changed."""
        saved = None if self.rebuild else file.open_saved()
        if saved is not None and has_kinds(saved.schema, self.kinds):
            if not (self.seek_points and lacks_seek_points(saved)):
                return saved, False
            index, earlier = saved.load(), None
        else:
            earlier = file.earlier()
            index = None if self.rebuild else file.fresh(earlier)
            if index is None or not has_kinds(index.schema, self.kinds):
                index = file.build(earlier, progress=partial(tally.set, file), kinds=self.kinds)
        refuse_kinds(index.schema, file.path, self.kinds)
        index = add_seek_points(index) if self.seek_points else index
        file.save(index if self.rebuild else index.remembering(earlier))
        return IndexFile.open(file.index_path, file.path), True


def _prepare_folders(files: list[FileIndex]) -> None:
    """Remove what interrupted writes left where the indexes go."""
    paths = [file.index_path for file in files]
    refuse_long_names(paths)
    for folder in dict.fromkeys(path.parent for path in paths):
        remove_leftovers(folder)


def _widened(file: FileIndex, index: IndexFile, kinds: Kinds) -> IndexFile:
    if has_kinds(index.schema, kinds):
        return index
    file.save(file.build(None, kinds=kinds))
    return IndexFile.open(file.index_path, file.path)


class _Tally:
    """Bytes done of each file, by several threads."""

    def __init__(self, progress: Progress | None, files: list[FileIndex]) -> None:
        self._sizes = {file: file.path.stat().st_size for file in files}
        self._done = dict.fromkeys(files, 0)
        self._total, self._progress = sum(self._sizes.values()), progress
        self._lock = threading.Lock()

    def set(self, file: FileIndex, num_bytes: int) -> None:
        with self._lock:  # so that the reported numbers rise
            self._done[file] = max(self._done[file], num_bytes)
            if self._progress:
                done = sum(self._done.values())
                self._progress(done, self._total, done)

    def complete(self, file: FileIndex) -> None:
        self.set(file, self._sizes[file])


def save_seek_points(
    index: Index,
    cache: SeekPointCache,
    samples: Rows,
    index_dir: str | os.PathLike[str] | None,
    limits: Limits,
) -> int:
    """Save cached seek points in the indexes of the files, and compute missing ones.

    Returns how many images of all files have seek points then. Raises what `build_indexes` raises.

    - samples: numbers (n,) in the cache of the samples of `index`.
    """
    num_with_seek_points, folder = 0, folder_for_indexes(index_dir)
    sources = {index.schema[name].source_name: name for name in cache.names}
    for number, shard in enumerate(index.shards):
        file = FileIndex(shard.path, folder, limits)
        whole, rows = file.index(), np.flatnonzero(index.shard_numbers == number)
        known = {
            field.name: _known(
                len(whole),
                index.record_numbers[rows],
                samples[rows],
                cache,
                sources[field.source_name],
            )
            for field in whole.schema.fields
            if field.source_name in sources
        }
        completed = add_seek_points(whole, known)
        if completed is not whole:
            file.save(completed)
        num_with_seek_points += sum(
            tables.num_with_seek_points for tables in completed.seek_points.values()
        )
    return num_with_seek_points


def _known(
    num_records: int, records: Rows, samples: Rows, cache: SeekPointCache, name: str
) -> tuple[SeekPoints, npt.NDArray[np.bool_]]:
    """Return the seek points of a file's records, and for which of them they are known."""
    is_known = np.zeros(num_records, np.bool_)
    is_known[records] = cache.is_known(name, samples)
    source = np.full(num_records, len(records))
    source[records] = np.arange(len(records))
    tables = [cache.tables(name, samples), SeekPoints.none(1)]
    return SeekPoints.concatenate(tables).take(source), is_known
