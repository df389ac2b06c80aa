"""Indexes of objects in stores: downloaded from beside the object, or made from it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fastpack._native.crc32c import crc32c
from fastpack.core.progress import BytesDone
from fastpack.errors import FastpackError, MissingFileError, StoreError
from fastpack.files.companions import index_object
from fastpack.files.local_copy import local_copy, named_as
from fastpack.files.scratch import Scratch
from fastpack.files.shard import Shard, fingerprint_spans
from fastpack.formats.index.find_seek_points import Known, add_seek_points, lacks_tables
from fastpack.formats.index.index import Index
from fastpack.formats.index.index_file import HELD_BYTES, IndexFile
from fastpack.formats.protocols import Container
from fastpack.stores.range_file import can_read_alone
from fastpack.stores.store_path import StorePath, as_object, as_path, is_in_store


def fetch_index(path: StorePath, checksum: int | None = None) -> IndexFile | None:
    """Download the index beside an object; None without one of the object as it is now.

    An index of a local file may have been uploaded with that file. Then the ends of the object are
    compared with those of the file. Raises StoreError.

    - checksum: of the header of the object's index, if a manifest has it.
    """
    data = _downloaded(path)
    if data is None:
        return None
    try:
        held = data if len(data) <= HELD_BYTES else Scratch.write(data)
        file = IndexFile.of_held(held, as_path(path))
        file.refuse_oversized(sum(shard.size for shard in file.shards))
        shards = _shards_now(file, path, checksum)
        if shards is None or not file.is_whole:
            return None
        if shards == file.shards:
            return file
        return IndexFile.of(replace(file.load(), shards=shards))
    except (StoreError, MissingFileError):
        raise
    except FastpackError:  # damaged
        return None


def _downloaded(path: StorePath) -> bytes | None:
    return index_object(as_path(path)).if_visible(lambda saved: saved.store.read(saved.key))


def _shards_now(file: IndexFile, path: StorePath, checksum: int | None) -> tuple[Shard, ...] | None:
    """Return the files of an index as they are now; None if it is of other contents."""
    first, *others = file.shards
    now = Shard.of(as_path(path), first.container)
    is_first = first == now or (
        first.size == now.size
        and not first.etag
        and (file.tables.checksum == checksum or first.fingerprint == _fingerprint(path))
    )
    if not is_first:
        return None
    # A foreign index must not make the reader read other objects of the bucket.
    if any(as_object(other.path).parent != path.parent for other in others):
        return None
    beside = [Shard.of(other.path, other.container) for other in others]
    return (now, *beside) if [shard.size for shard in others] == [b.size for b in beside] else None


def _fingerprint(path: StorePath) -> int:
    facts = path.facts()
    starts, ends = fingerprint_spans(facts.size)
    if not facts.size:
        return 0
    checksum = 0
    for data in path.store.read_ranges(path.key, starts, ends, facts.etag):
        checksum = crc32c(bytes(data), checksum)
    return checksum


# Indexes a local file, and reports the bytes done.
Build = Callable[[Path, BytesDone | None], Index]


def index_at(
    path: Path,
    container: Container,
    build: Build,
    progress: BytesDone | None = None,
    *,
    copies: bool = False,
) -> Index:
    """Index a file; or an object, by ranges or by a local copy.

    - copies: of an object always a copy.
    """
    if not is_in_store(path):
        return build(path, progress)
    if container.reads_objects and not copies and can_read_alone(path):
        return build(path, progress)
    return _by_copy(as_object(path), container, build, progress)


def _by_copy(
    path: StorePath, container: Container, build: Build, progress: BytesDone | None
) -> Index:
    size = path.facts().size
    halved = None if progress is None else (lambda done: progress(done // 2))
    rest = None if progress is None else (lambda done: progress((size + done) // 2))
    with local_copy(path, halved) as local:
        index = build(local, rest)
        notes = tuple(named_as(path, local, note) for note in index.notes)
    shard = Shard.of(as_path(path), container.name)
    return replace(index, shards=(shard, *index.shards[1:]), notes=notes)


def add_seek_points_at(
    path: Path,
    container: Container,
    index: Index,
    known: Known | None = None,
    *,
    keep_damaged: bool = False,
) -> Index:
    """Return an index with seek points; those of an object through a local copy of it.

    Arguments are those of `add_seek_points`.
    """
    if not is_in_store(path) or not lacks_tables(index):
        return add_seek_points(index, known, keep_damaged=keep_damaged)
    with local_copy(as_object(path)) as local:
        shards = Shard.of(local, container.name), *index.shards[1:]
        local_index = replace(index, shards=shards)
        completed = add_seek_points(local_index, known, keep_damaged=keep_damaged)
    return replace(completed, shards=index.shards)
