"""The index of one file: the saved one while it is fresh, else one that is built."""

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.progress import BytesDone
from fastpack.errors import (
    CorruptRecordError,
    EmptySourceError,
    FastpackError,
    FormatError,
    Location,
    OptionError,
    SchemaError,
    TruncatedFileError,
    with_location,
)
from fastpack.files.companions import exists, index_path
from fastpack.files.shard import Shard
from fastpack.formats.choice import Choice
from fastpack.formats.index.digest import RecordDigest
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import GUESSED, Kinds, changed_kinds, has_kinds, kinds_of
from fastpack.formats.protocols import (
    DamageTolerantContainer,
    FieldSelectingContainer,
    SelectingContainer,
)
from fastpack.formats.registry import named, of_file

# A saved index has at most so many bytes, and so many more for each byte of its file: 60 to 100 for a record of 40 and more.
_SMALL_INDEX_BYTES = 2**26


_INDEX_BYTES_A_BYTE = 64


def index_of(
    path: Path,
    *,
    save: bool = True,
    index_dir: Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
    choice: Choice | None = None,
) -> Index:
    """The index of one file: the saved one when it is fresh, else built and, with `save`, saved beside it or in `index_dir`.

    An index is built and not saved if `choice` is not the default one. That of an untrusted file is never loaded.
    """
    container = of_file(path)
    choice = choice or Choice()
    if choice.is_of_folders and not getattr(container, "has_class_folders", False):
        raise OptionError(
            with_location(
                "class_folder and sidecars are for folders of images and tars; leave them out",
                Location(path),
            )
        )
    if choice.axes and container.name != "hdf5":
        raise OptionError(
            with_location("axes are those of arrays in HDF5 files; leave them out", Location(path))
        )
    if not isinstance(container, SelectingContainer):
        try:
            # A saved index that came with untrusted data may name other bytes of it, and other labels.
            if choice.untrusted:
                return container.index(path, limits=limits, kinds=choice.kinds)
            return _index_by_default(path, save, index_dir, limits, choice.kinds)
        except SchemaError:
            if choice.fields is not None and isinstance(container, FieldSelectingContainer):
                return container.index_fields(path, choice.fields, limits, choice.kinds)
            raise
        except (CorruptRecordError, FormatError):
            if choice.keep_damaged and isinstance(container, DamageTolerantContainer):
                with contextlib.suppress(EmptySourceError):
                    return container.index_damaged(path, limits, choice.kinds)
            raise
    if choice.allow_external or choice.untrusted or choice.axes or choice.is_of_folders:
        return container.index_chosen(path, choice, limits)
    if choice == Choice():
        return _index_by_default(path, save, index_dir, limits)
    with contextlib.suppress(FastpackError):
        index = _index_by_default(path, save, index_dir, limits, choice.kinds)
        if index.has_fields(choice.fields or ()):
            return index
    return container.index_chosen(path, choice, limits)


def _index_by_default(
    path: Path, save: bool, index_dir: Path | None, limits: Limits, kinds: Kinds = GUESSED
) -> Index:
    saved = saved_index(path, index_dir)
    if saved is not None and has_kinds(saved, kinds):
        return saved
    earlier = earlier_index(path, index_dir)
    if kinds:
        index = of_file(path).index(path, limits=limits, kinds=kinds)
        return _noting_loss(path, index, earlier)
    index = build_index(path, earlier, limits=limits)
    if save and (index_dir is not None or getattr(of_file(path), "is_indexed_unasked", True)):
        with contextlib.suppress(
            FastpackError
        ):  # a read-only folder: an index is derived, so nothing is lost
            index.remembering(earlier).save(index_path(path, index_dir))
    return index


def build_index(
    path: Path,
    earlier: Index | None,
    *,
    limits: Limits = DEFAULT_LIMITS,
    progress: BytesDone | None = None,
    kinds: Kinds = GUESSED,
) -> Index:
    """Indexes a file. An earlier index of the same records, such as of a copy with another time, says what its fields are.

    Where the records are others, the fields are guessed again, and a note says which changed their kind.

    A note says so when the file lost its last records since the earlier index.
    """
    container = of_file(path)
    index = _noting_loss(
        path, container.index(path, limits=limits, progress=progress, kinds=kinds), earlier
    )
    known = {**kinds_of(earlier), **kinds}
    if earlier is None or has_kinds(index, known):
        return index
    if earlier.record_digest is not None and earlier.record_digest == index.record_digest:
        return container.index(path, limits=limits, kinds=known)
    changed = changed_kinds(earlier, index)
    return replace(index, notes=(*index.notes, *changed))


def _noting_loss(path: Path, index: Index, earlier: Index | None) -> Index:
    """The index, with a note when the file lost its last records since the earlier index."""
    if (loss := _loss(path, index, earlier)) is None:
        return index
    remedy = "restore the file, or accept it as it is with `fastpack index --rebuild`"
    return replace(index, notes=(*index.notes, with_location(f"{loss}; {remedy}", Location(path))))


def _loss(path: Path, index: Index, earlier: Index | None) -> str | None:
    """What is missing of a file that holds the first records of its earlier index, and no others; None where that is not so.

    A file cut between two records is still valid. Only the earlier index shows the loss.
    """
    if (
        earlier is None
        or len(index) >= len(earlier)
        or not isinstance(of_file(path), DamageTolerantContainer)
    ):
        return None
    spans = earlier.record_spans
    if (
        spans is None
        or len(earlier.shards) > 1
        or RecordDigest.of(spans[: len(index)]) != index.record_digest
    ):
        return None
    return f"the file has {len(index):,} records, and its saved index {len(earlier):,}: the last {len(earlier) - len(index):,} are lost"


def refuse_emptied(path: Path, index_dir: Path | None = None) -> None:
    """Raises TruncatedFileError for a file without records if its saved index knows some."""
    if (earlier := earlier_index(path, index_dir)) is not None and len(earlier):
        message = f"the file has no records, and its saved index knows {len(earlier)}; restore the file, or delete the index"
        raise TruncatedFileError(with_location(message, Location(path)))


def earlier_index(path: Path, index_dir: Path | None = None) -> Index | None:
    """The saved index of a file, also of one that has changed since; None when there is none that can be read."""
    with contextlib.suppress(FastpackError):
        where = index_path(path, index_dir)
        return load_index(where, path) if exists(where) else None
    return None


def trusted_index(path: Path, index_dir: Path | None = None) -> Index | None:
    """Return the saved index of a file that may have changed since; None if there is none.

    That of a virtual dataset counts as none: the shards have their own. Raises FormatError if the
    index is damaged.
    """
    where = index_path(path, index_dir)
    if not exists(where):
        return None
    index = load_index(where, path)
    if len(index.shards) > 1:
        return None
    if not np.array_equal(index.record_numbers, np.arange(len(index))):
        message = "the index is not one of a whole file; delete it, and it is built again"
        raise FormatError(with_location(message, Location(where)))
    return index


def load_index(where: Path, path: Path) -> Index:
    """The index in the file `where`, of the file at `path`. Raises FormatError if it is damaged, or larger than an index can be."""
    if where.stat().st_size <= _SMALL_INDEX_BYTES:
        return Index.load(where, path.parent)
    num_bytes = path.stat().st_size if path.is_file() else of_file(path).shard(path).size
    return Index.load(
        where, path.parent, max_bytes=_SMALL_INDEX_BYTES + _INDEX_BYTES_A_BYTE * num_bytes
    )


def saved_index(path: Path, index_dir: Path | None = None) -> Index | None:
    """The saved index of a file, or None when there is none, or it is stale or damaged."""
    where = index_path(path, index_dir)
    with contextlib.suppress(FastpackError):
        if (
            exists(where)
            and (shards := _shards_now(index := load_index(where, path), path)) == index.shards
        ):
            return replace(index, shards=shards)
    return None


def _shards_now(index: Index, path: Path) -> tuple[Shard, ...] | None:
    """The files that the index names as they are now; None when it is not one of the whole file. Others must lie in the file's own
    folder: an index that somebody left there is not to have us read any file there is."""
    first, folder = of_file(path).shard(path), path.parent.resolve()
    if index.shards[:1] != (first,):
        return None
    if len(index.shards) == 1:
        return (first,) if np.array_equal(index.record_numbers, np.arange(len(index))) else None
    if any(shard.path.resolve().parent != folder for shard in index.shards[1:]):
        return None
    with contextlib.suppress(FastpackError):
        return first, *(named(shard.container).shard(shard.path) for shard in index.shards[1:])
    return None
