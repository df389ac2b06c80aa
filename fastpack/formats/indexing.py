"""Indexing: build and save the indexes of files, without opening them as a dataset."""

import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.progress import BytesDone, Progress
from fastpack.core.schema import Schema
from fastpack.errors import warn
from fastpack.files.arguments import check_arguments
from fastpack.files.companions import index_path, refuse_long_names
from fastpack.files.local_metadata import make_metadata_folder
from fastpack.files.temporary import remove_leftovers
from fastpack.formats.dataset_indexes import (
    build_all,
    folder_for_indexes,
    lacks_seek_points,
    view_of,
)
from fastpack.formats.discovery import find_shards
from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.index_file import IndexFile
from fastpack.formats.index.kinds import Kinds, checked_kinds, common_kinds, has_kinds, refuse_kinds
from fastpack.formats.index.seek_point_cache import SeekPointCache
from fastpack.formats.manifest import Manifest
from fastpack.formats.manifest_builder import ManifestBuilder
from fastpack.formats.protocols import DatasetPaths
from fastpack.formats.put_metadata import put_index, put_root_manifest
from fastpack.formats.root_manifest import root_manifests
from fastpack.formats.saved_manifest import save_manifest, save_manifest_of, stored_path
from fastpack.formats.stored_set import StoredSets
from fastpack.formats.table import Table
from fastpack.images.seek_points import SeekPoints
from fastpack.stores.store_path import as_object, is_in_store

_NO_ROWS: Rows = np.zeros(0, np.int64)


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
        index_dir: A folder for the indexes; None puts each beside its file. Those of objects in
            stores, and the manifest of the set, are put beside them.
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
    folder = folder_for_indexes(index_dir)
    stored = StoredSets(root_manifests(folder))
    shards, known = find_shards(path, stored=stored), checked_kinds(kinds)
    job = _Job(path, folder, rebuild, seek_points, known, num_workers, limits, progress, stored)
    return job.run(shards)


@dataclass(frozen=True)
class _Job:
    """How files are indexed."""

    path: DatasetPaths
    index_dir: Path | None
    rebuild: bool
    seek_points: bool
    kinds: Kinds
    num_workers: int | None
    limits: Limits
    progress: Progress | None
    stored: StoredSets

    def run(self, shards: list[Path]) -> IndexResult:
        started = time.perf_counter()
        _prepare_folders({shard: index_path(shard, self.index_dir) for shard in shards})
        tally, counts = _Tally(self.progress, shards), _Counts(len(shards))
        builder = ManifestBuilder(shards)

        def build(number: int) -> None:
            file = self._file(shards[number])
            index, is_built = self._index(file, tally.of(number))
            if is_in_store(file.path) and self.index_dir is None:
                put_index(as_object(file.path), file.index_path, is_new=is_built)
            builder.add(number, index)
            counts.set(number, index, is_built)
            tally.complete(number)

        build_all(build, len(shards), self.num_workers)
        common, numbers = common_kinds(builder.guesses), builder.numbers
        if common:
            builder = ManifestBuilder(shards)

            def widen(place: int) -> None:
                number = numbers[place]
                index = self._widened(self._file(shards[number]), common)
                if is_in_store(shards[number]) and self.index_dir is None:
                    path = index_path(shards[number])
                    put_index(as_object(shards[number]), path, is_new=True)
                builder.add(number, index)
                counts.set(number, index, counts.is_built[number])

            build_all(widen, len(numbers), self.num_workers)
        manifest, seconds = builder.manifest(), time.perf_counter() - started
        self._save_manifest(manifest)
        warn(manifest.notes)
        blobs = manifest.summary.blobs.values()
        return IndexResult(
            tuple(manifest.paths),
            len(shards) - int(counts.is_built.sum()),
            manifest.num_samples,
            view_of(manifest, None, ()).schema,
            num_bytes=int(counts.num_bytes.sum()),
            index_bytes=manifest.index_bytes,
            seconds=seconds,
            num_with_seek_points=sum(blob.num_with_seek_points or 0 for blob in blobs),
            seek_point_bytes=int(counts.seek_point_bytes.sum()),
            notes=manifest.notes,
        )

    def _save_manifest(self, manifest: Manifest) -> None:
        at = stored_path(self.path)
        if at is None:
            save_manifest(self.path, manifest, self.index_dir)
            return
        found = self.stored.find(at)
        save_manifest_of(found, manifest, self.index_dir)
        if self.index_dir is None:
            put_root_manifest(found, manifest)

    def _file(self, shard: Path) -> FileIndex:
        return FileIndex(shard, self.index_dir, self.limits)

    def _index(self, file: FileIndex, progress: BytesDone) -> tuple[IndexFile, bool]:
        """Return the index of a file, and whether it had to be built or changed."""
        saved = None if self.rebuild else file.open_saved()
        if saved is not None and has_kinds(saved.schema, self.kinds):
            if not (self.seek_points and lacks_seek_points(saved)):
                return saved, False
            index, earlier = saved.load(), None
        else:
            earlier = file.earlier()
            fresh = None if self.rebuild else file.fresh(earlier)
            if fresh is not None and has_kinds(fresh.schema, self.kinds):
                index = fresh
            else:
                index = file.build(earlier, progress=progress, kinds=self.kinds)
        refuse_kinds(index.schema, file.path, self.kinds)
        index = file.with_seek_points(index) if self.seek_points else index
        file.save(index if self.rebuild else index.remembering(earlier))
        return IndexFile.open(file.index_path, file.path), True

    def _widened(self, file: FileIndex, kinds: Kinds) -> IndexFile:
        """Return the saved index of a file, with these kinds."""
        index = IndexFile.open(file.index_path, file.path)
        if has_kinds(index.schema, kinds):
            return index
        file.save(file.build(None, kinds=kinds))
        return IndexFile.open(file.index_path, file.path)


def _prepare_folders(indexes: dict[Path, Path]) -> None:
    """Remove what interrupted writes left where the indexes go."""
    for shard, path in indexes.items():
        make_metadata_folder(path, shard)
    refuse_long_names(indexes.values())
    for folder in dict.fromkeys(path.parent for path in indexes.values()):
        remove_leftovers(folder)


class _Counts:
    """Facts of each file that its manifest does not have."""

    def __init__(self, num_files: int) -> None:
        self.is_built = np.zeros(num_files, np.bool_)
        self.num_bytes = np.zeros(num_files, np.int64)
        self.seek_point_bytes = np.zeros(num_files, np.int64)

    def set(self, number: int, index: IndexFile, is_built: bool) -> None:
        self.is_built[number] = is_built
        self.num_bytes[number] = sum(shard.size for shard in index.shards)
        self.seek_point_bytes[number] = index.seek_point_bytes


class _Tally:
    """Bytes done of each file, by several threads."""

    def __init__(self, progress: Progress | None, paths: list[Path]) -> None:
        self._sizes = np.array([path.stat().st_size for path in paths], np.int64)
        self._done = np.zeros(len(paths), np.int64)
        self._total, self._sum, self._progress = int(self._sizes.sum()), 0, progress
        self._lock = threading.Lock()

    def of(self, number: int) -> BytesDone:
        """Return the progress function of a file."""
        return partial(self._set, number)

    def complete(self, number: int) -> None:
        self._set(number, int(self._sizes[number]))

    def _set(self, number: int, num_bytes: int) -> None:
        with self._lock:  # so that the reported numbers rise
            self._sum += max(0, num_bytes - int(self._done[number]))
            self._done[number] = max(int(self._done[number]), num_bytes)
            if self._progress:
                self._progress(self._sum, self._total, self._sum)


def save_seek_points(
    table: Table,
    blocks: Iterable[Rows],
    cache: SeekPointCache,
    index_dir: str | os.PathLike[str] | None,
    limits: Limits,
) -> int:
    """Save cached seek points in the indexes of the files, and compute missing ones.

    Returns how many images of all files have seek points then. Raises what `build_indexes` raises.

    - blocks: numbers of samples in the table and in the cache, a block at a time.
    """
    num_with_seek_points, folder = 0, folder_for_indexes(index_dir)
    sources = {table.schema[name].source_name: name for name in cache.names}
    decoded = _decoded_of(table, blocks, cache)
    for path in dict.fromkeys(shard.path for shard in table.shards):
        file = FileIndex(path, folder, limits)
        whole, (records, samples) = file.index(), decoded.get(path, (_NO_ROWS, _NO_ROWS))
        known = {
            field.name: _known(len(whole), records, samples, cache, sources[field.source_name])
            for field in whole.schema.fields
            if field.source_name in sources
        }
        completed = file.with_seek_points(whole, known)
        if completed is not whole:
            file.save(completed)
        num_with_seek_points += sum(
            tables.num_with_seek_points for tables in completed.seek_points.values()
        )
    return num_with_seek_points


def _decoded_of(
    table: Table, blocks: Iterable[Rows], cache: SeekPointCache
) -> dict[Path, tuple[Rows, Rows]]:
    """Return the records of each file that the cache knows, and their numbers in the cache.

    Memory grows with these, as that of the cache does, not with the dataset.
    """
    found: dict[Path, list[tuple[Rows, Rows]]] = {}
    for block in blocks:
        masks = [cache.is_known(name, block) for name in cache.names]
        rows = block[np.logical_or.reduce(masks)] if masks else block[:0]
        if not len(rows):
            continue
        entries = table.take(rows, ())
        for number, shard in enumerate(entries.shards):
            chosen = entries.shard_numbers == number
            pair = entries.record_numbers[chosen], rows[chosen]
            found.setdefault(shard.path, []).append(pair)
    return {path: _joined(pairs) for path, pairs in found.items()}


def _joined(pairs: list[tuple[Rows, Rows]]) -> tuple[Rows, Rows]:
    records, samples = zip(*pairs, strict=True)
    return np.concatenate(records), np.concatenate(samples)


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
