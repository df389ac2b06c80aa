"""FileIndex: the index of one file, saved or built."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastpack.core.cached import cached_property
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
from fastpack.files.companions import exists, former_index_path, index_path
from fastpack.files.local_metadata import make_metadata_folder
from fastpack.files.shard import Shard
from fastpack.formats.index.digest import RecordDigest
from fastpack.formats.index.find_seek_points import Known
from fastpack.formats.index.index import Index
from fastpack.formats.index.index_file import (
    INDEX_BYTES_A_BYTE,
    SMALL_INDEX_BYTES,
    IndexFile,
    load_index,
    save_index,
)
from fastpack.formats.index.kinds import GUESSED, Kinds, changed_kinds, has_kinds, kinds_of
from fastpack.formats.index_options import RESTRICTED, IndexOptions
from fastpack.formats.protocols import (
    Container,
    DamageTolerantContainer,
    FieldSelectingContainer,
    SelectingContainer,
)
from fastpack.formats.registry import named, of_file
from fastpack.formats.stored_index import add_seek_points_at, fetch_index, index_at
from fastpack.stores.store_path import as_object, is_in_store

_BY_DEFAULT = IndexOptions()


class FileIndex:
    """The index of one file: the saved one while it is fresh, else one that is built.

    The file is recognized once.

    Args:
        path: A file, or a folder of images.
        index_dir: The folder of the indexes; None stands for the file's own.
        limits: Limits for what the file claims.
        checksum: Of the header of its index, if a manifest has it.
    """

    def __init__(
        self,
        path: Path,
        index_dir: Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
        checksum: int | None = None,
    ) -> None:
        self.path, self._limits, self._checksum = path, limits, checksum
        self.index_path = index_path(path, index_dir)
        self._former_path = former_index_path(path, index_dir)
        self.is_saved = False  # the index that was returned last is on the disk
        self._has_index_dir = index_dir is not None

    @cached_property
    def container(self) -> Container:
        """The file's container. Raises FormatError if no container recognizes it."""
        return of_file(self.path)

    @property
    def saves_index(self) -> bool:
        """Whether reading may save the index: always in `index_dir`, never beside image folders."""
        return self._has_index_dir or self.container.saves_index

    def open(self, options: IndexOptions = _BY_DEFAULT, *, save: bool = True) -> IndexFile:
        """Open the saved index while it is fresh, else build it and, with `save`, save it.

        Of a saved index only the header is read.
        """
        self._refuse_options(options)
        if not options.untrusted:
            file = self.open_saved(save=save)
            if file is not None and self._serves(file, options):
                return file
        return self._file_of(self.index(options, save=save))

    def restore(self, options: IndexOptions, *, save: bool = True) -> IndexFile:
        """Open the saved index if all of its rows can be read, else build it again.

        - options: those of the lost index. Its kinds may be those of other files of the dataset,
          so it is saved with them.
        """
        if is_in_store(self.path) and not options.untrusted:
            file = self._fetched(save)
            if file is not None and self._serves(file, options):
                return file
        index = self.index(options, save=save)
        may_save = save and self.saves_index and replace(options, kinds={}) == _BY_DEFAULT
        if may_save and not self.is_saved and index.lost is None:
            with contextlib.suppress(FastpackError):
                self.save(index)
        return self._file_of(index)

    def _file_of(self, index: Index) -> IndexFile:
        """Open the saved form of an index; one that is not saved stays in memory."""
        if self.is_saved:
            with contextlib.suppress(FastpackError):
                return IndexFile.open(self.index_path, self.path).identified(index.shards)
        return IndexFile.of(index)

    def open_saved(self, *, save: bool = True) -> IndexFile | None:
        """Open the saved index; None if it is missing, stale or damaged.

        Without a local one, that of a store is downloaded and, with `save`, saved.
        """
        file = self._opened()
        return self._fetched(save) if file is None and is_in_store(self.path) else file

    def _fetched(self, save: bool) -> IndexFile | None:
        """Download the index beside an object; None without one of the object as it is now."""
        file = fetch_index(as_object(self.path), self._checksum)
        if file is None or not save:
            return file
        with contextlib.suppress(FastpackError):  # an index is derived
            self._prepare_folder()
            file.save_as(self.index_path)
            self.is_saved = True
            return IndexFile.open(self.index_path, self.path)
        return file

    def _opened(self) -> IndexFile | None:
        with contextlib.suppress(FastpackError):
            file = IndexFile.open(self.index_path, self.path)
            shards = self._shards_now(file.shards) if file.is_whole else None
            if shards == file.shards:
                self.is_saved = True
                return file.identified(shards)
        return None

    def _serves(self, file: IndexFile, options: IndexOptions) -> bool:
        """Return True if building the index with these options would give the saved one."""
        if not has_kinds(file.schema, options.kinds):
            return False
        if not isinstance(named(file.shards[0].container), SelectingContainer):
            return True
        if options.allow_external or options.restricted:
            return False
        return file.schema.has_fields(options.fields or ())

    def index(self, options: IndexOptions = _BY_DEFAULT, *, save: bool = True) -> Index:
        """Return the saved index while it is fresh, else build it and, with `save`, save it.

        An index with options is not saved. The index of an untrusted file is not loaded.
        """
        container = self.container
        self.is_saved = False
        self._refuse_options(options)
        if isinstance(container, SelectingContainer):
            return self._selected(container, options, save)
        try:
            if options.untrusted:  # an index that came with the data may name other bytes of it
                return self._built(options.kinds, copies=True)
            return self._by_default(options.kinds, save)
        except SchemaError:
            if options.fields is not None and isinstance(container, FieldSelectingContainer):
                return self._with_fields(container, options.fields, options.kinds)
            raise
        except (CorruptRecordError, FormatError):
            if options.keep_damaged and isinstance(container, DamageTolerantContainer):
                with contextlib.suppress(EmptySourceError):
                    return self._damaged(container, options.kinds)
            raise

    def _refuse_options(self, options: IndexOptions) -> None:
        if not options.restricted:
            return  # without recognizing the file
        for name in sorted(options.restricted - self.container.index_options):
            message = f"{RESTRICTED[name]}; leave this option out"
            raise OptionError(with_location(message, Location(self.path)))

    def _selected(self, container: SelectingContainer, options: IndexOptions, save: bool) -> Index:
        if options.allow_external or options.untrusted or options.restricted:
            return self._index_with(container, options)
        if options == _BY_DEFAULT:
            return self._by_default(GUESSED, save)
        with contextlib.suppress(FastpackError):
            index = self._by_default(options.kinds, save)
            if index.schema.has_fields(options.fields or ()):
                return index
        self.is_saved = False
        return self._index_with(container, options)

    def _index_with(self, container: SelectingContainer, options: IndexOptions) -> Index:
        def build(path: Path, progress: BytesDone | None) -> Index:
            return container.index_with(path, options, self._limits)

        return index_at(self.path, self.container, build, copies=options.untrusted)

    def _with_fields(
        self, container: FieldSelectingContainer, fields: Sequence[str], kinds: Kinds
    ) -> Index:
        def build(path: Path, progress: BytesDone | None) -> Index:
            return container.index_fields(path, fields, self._limits, kinds)

        return index_at(self.path, self.container, build)

    def _damaged(self, container: DamageTolerantContainer, kinds: Kinds) -> Index:
        def build(path: Path, progress: BytesDone | None) -> Index:
            return container.index_damaged(path, self._limits, kinds)

        return index_at(self.path, self.container, build)

    def _built(
        self, kinds: Kinds, progress: BytesDone | None = None, *, copies: bool = False
    ) -> Index:
        """Index the file or object."""

        def build(path: Path, progress: BytesDone | None) -> Index:
            return self.container.index(path, limits=self._limits, progress=progress, kinds=kinds)

        return index_at(self.path, self.container, build, progress, copies=copies)

    def _by_default(self, kinds: Kinds, save: bool) -> Index:
        earlier = self.earlier()
        fresh = self.fresh(earlier)
        if fresh is not None and has_kinds(fresh.schema, kinds):
            if save and self.saves_index and not exists(self.index_path):  # of an earlier version
                with contextlib.suppress(FastpackError):
                    self.save(fresh)
            self.is_saved = exists(self.index_path)
            return fresh
        if kinds:
            return self._noting_loss(self._built(kinds), earlier)
        index = self.build(earlier)
        if save and self.saves_index:
            # The folder may be read-only. An index is derived, so nothing is lost.
            with contextlib.suppress(FastpackError):
                self.save(index.remembering(earlier))
        return index

    def build(
        self,
        earlier: Index | None,
        *,
        progress: BytesDone | None = None,
        kinds: Kinds = GUESSED,
    ) -> Index:
        """Index the file.

        If an earlier index has the same records, the kinds of its fields are kept. Else kinds are
        guessed, and a note names each field whose kind changed. Another note reports the loss of
        records at the file's end.
        """
        index = self._noting_loss(self._built(kinds, progress), earlier)
        known = {**kinds_of(earlier), **kinds}
        if earlier is None or has_kinds(index.schema, known):
            return index
        if earlier.record_digest is not None and earlier.record_digest == index.record_digest:
            return self._built(known)
        return replace(index, notes=(*index.notes, *changed_kinds(earlier, index)))

    def _noting_loss(self, index: Index, earlier: Index | None) -> Index:
        if earlier is None or not self._is_beginning(index, earlier):
            return index
        num_lost = len(earlier) - len(index)
        message = (
            f"the file has {len(index):,} records, and its saved index {len(earlier):,}: "
            f"the last {num_lost:,} are lost; "
            "restore the file, or accept it with `fastpack index --rebuild`"
        )
        return replace(index, notes=(*index.notes, with_location(message, Location(self.path))))

    def _is_beginning(self, index: Index, earlier: Index) -> bool:
        """Return True if the file has only the first records of its earlier index.

        A file cut between two records is still valid. Only the earlier index shows the loss.
        """
        if len(index) >= len(earlier) or not isinstance(self.container, DamageTolerantContainer):
            return False
        spans = earlier.record_spans
        return (
            spans is not None
            and len(earlier.shards) == 1
            and RecordDigest.of(spans[: len(index)]) == index.record_digest
        )

    def with_seek_points(
        self, index: Index, known: Known | None = None, *, keep_damaged: bool = False
    ) -> Index:
        """Return the index with seek points for its JPEGs; see `add_seek_points`."""
        container = self.container
        return add_seek_points_at(self.path, container, index, known, keep_damaged=keep_damaged)

    def save(self, index: Index) -> None:
        """Save an index of the file. Raises UnreadableFileError if the OS refuses it."""
        self._prepare_folder()
        save_index(index, self.index_path)
        self.is_saved = True

    def _prepare_folder(self) -> None:
        make_metadata_folder(self.index_path, self.path)

    def saved(self) -> Index | None:
        """Return the saved index, or None if it is missing, stale or damaged."""
        return self.fresh(self.earlier())

    def earlier(self) -> Index | None:
        """Return the saved index, stale or not, or None if it is missing or damaged."""
        with contextlib.suppress(FastpackError):
            return self._load() if self._has_saved else None
        return None

    @property
    def _has_saved(self) -> bool:
        return exists(self.index_path) or exists(self._former_path)

    def load_whole(self) -> Index | None:
        """Return the saved index, stale or not, or None if it is missing.

        That of a virtual dataset is not returned: the shards have their own. Raises FormatError if
        the index is damaged.
        """
        if not self._has_saved:
            return None
        index = self._load()
        if len(index.shards) > 1:
            return None
        if not np.array_equal(index.record_numbers, np.arange(len(index))):
            message = "the index is not one of a whole file; delete it, and it is rebuilt"
            raise FormatError(with_location(message, Location(self.index_path)))
        return index

    def refuse_emptied(self) -> None:
        """Raise TruncatedFileError for a file without records if its saved index has some."""
        if (earlier := self.earlier()) is not None and len(earlier):
            message = (
                f"the file has no records, and its saved index has {len(earlier)}; "
                "restore the file, or delete the index"
            )
            raise TruncatedFileError(with_location(message, Location(self.path)))

    def fresh(self, saved: Index | None) -> Index | None:
        """Return the index if it is that of the file as it is now, else None."""
        if saved is None:
            return None
        with contextlib.suppress(FastpackError):
            if _is_whole(saved) and (shards := self._shards_now(saved.shards)) == saved.shards:
                return replace(saved, shards=shards)
        return None

    def _load(self) -> Index:
        """Load the saved index. Raises FormatError if it is damaged or too large."""
        if exists(self.index_path):
            file = IndexFile.open(self.index_path, self.path)
            file.refuse_oversized(self._num_bytes + self._bytes_of(file.shards[1:]))
            return file.load()
        folder = self.path.parent
        if self._former_path.stat().st_size <= SMALL_INDEX_BYTES:
            return load_index(self._former_path, folder)
        max_bytes = SMALL_INDEX_BYTES + INDEX_BYTES_A_BYTE * self._num_bytes
        return load_index(self._former_path, folder, max_bytes=max_bytes)

    @property
    def _num_bytes(self) -> int:
        is_file = is_in_store(self.path) or self.path.is_file()
        return self.path.stat().st_size if is_file else self.container.shard(self.path).size

    def _bytes_of(self, others: tuple[Shard, ...]) -> int:
        """Return the bytes of the files beside this one that an index names."""
        beside = {other.path for other in others if other.path.parent == self.path.parent}
        return sum(path.stat().st_size for path in beside if path.is_file())

    def _shards_now(self, shards: tuple[Shard, ...]) -> tuple[Shard, ...] | None:
        """Return the index's files as they are now; None if it is of another file.

        Other files must lie in the file's own folder: a foreign index must not make the reader
        read any file of the machine.
        """
        # A file with the identity of its index still has the format that the index names.
        first = named(shards[0].container).shard(self.path)
        if shards[:1] != (first,):
            return None
        folder = self.path.parent.resolve() if shards[1:] else None
        if any(shard.path.resolve().parent != folder for shard in shards[1:]):
            return None
        with contextlib.suppress(FastpackError):
            return first, *(named(shard.container).shard(shard.path) for shard in shards[1:])
        return None


def _is_whole(index: Index) -> bool:
    """Return True if the samples are the records of the index's only file; also for several."""
    return len(index.shards) > 1 or np.array_equal(index.record_numbers, np.arange(len(index)))
