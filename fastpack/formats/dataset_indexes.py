"""The table of a dataset: from the path of its files to their indexes."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fastpack.core.threads import num_cores, run_in_threads
from fastpack.errors import (
    FastpackError,
    Location,
    MixedSetError,
    NoRecordsError,
    OptionError,
    os_errors_at,
    with_location,
)
from fastpack.files.classes import ClassMap
from fastpack.files.companions import index_path
from fastpack.files.file_names import local_path_of
from fastpack.formats import registry
from fastpack.formats.discovery import find_shards
from fastpack.formats.file_index import FileIndex
from fastpack.formats.held_indexes import HeldIndexes
from fastpack.formats.index.index import Index
from fastpack.formats.index.index_file import IndexFile
from fastpack.formats.index.joined_schema import common_schema
from fastpack.formats.index.kinds import Kinds, common_kinds, has_kinds, refuse_kinds
from fastpack.formats.index_options import IndexOptions
from fastpack.formats.manifest import Manifest
from fastpack.formats.manifest_builder import ManifestBuilder
from fastpack.formats.protocols import DatasetPaths
from fastpack.formats.root_manifest import root_manifests
from fastpack.formats.sample_table import SampleTable
from fastpack.formats.saved_manifest import (
    changed_shards,
    find_manifest,
    save_manifest,
    save_manifest_of,
    stored_path,
)
from fastpack.formats.shard_indexes import Opening
from fastpack.formats.stored_set import StoredSets
from fastpack.formats.view import View
from fastpack.stores.store_path import is_in_store

_BLOCK_ROWS = 2**18
_DOWNLOADS = 32  # of indexes of objects at once


def open_table(
    path: DatasetPaths,
    opening: Opening,
    *,
    names: Mapping[str, str] | None = None,
    class_names: tuple[str, ...] = (),
    seek_points: bool = False,
) -> SampleTable:
    """Open the samples of all files that a path stands for.

    With a manifest nothing else is read. Without one, the header of each index is; files without
    an index are indexed.

    - opening: where indexes are, and how files are indexed. With `save`, new indexes and a manifest
      are saved where possible.
    - names: fields to show, new name -> name here or in the file; None for all.
    - class_names: what labels count; () for the classes of the files.
    - seek_points: add missing seek points.
    """
    options = opening.options
    roots = None if options.untrusted else root_manifests(opening.index_dir, save=opening.save)
    stored = StoredSets(roots)
    found = None if seek_points else find_manifest(path, opening.index_dir, options, stored)
    if found is not None:
        indexed = Indexed(found, opening)
    else:
        # Absolute, so that a later os.chdir changes nothing; links stay links.
        found_shards = find_shards(path, untrusted=options.untrusted, stored=stored)
        shards = [shard.absolute() for shard in found_shards]
        indexed = index_files(shards, opening, seek_points=seek_points)
        if len(indexed.manifest) > 1:
            refuse_replaced(indexed.manifest)
        if opening.save and not indexed.held and options == IndexOptions():
            if (at := stored_path(path)) is None:
                save_manifest(path, indexed.manifest, opening.index_dir)
            else:
                save_manifest_of(stored.find(at), indexed.manifest, opening.index_dir)
    view = view_of(indexed.manifest, names, class_names)
    table = SampleTable(indexed.manifest, view, opening, indexed.held)
    refuse_unknown_classes(table)
    return table


@dataclass(frozen=True)
class Indexed:
    """The indexes of some files. Saved ones are closed.

    Args:
        manifest: the files.
        opening: how indexes are opened.
        held: indexes that are not saved, by number in the manifest.
    """

    manifest: Manifest
    opening: Opening
    held: Mapping[int, IndexFile] = field(default_factory=dict)

    def files(self) -> Iterator[IndexFile]:
        """Open one index after the other."""
        for number in range(len(self.manifest)):
            path = self.manifest.entries[number].shard.path
            yield self.held.get(number) or IndexFile.open(
                index_path(path, self.opening.index_dir), path
            )


def index_files(shards: Sequence[Path], opening: Opening, *, seek_points: bool = False) -> Indexed:
    """Find the index of each file: the saved one while it is fresh, else a new one.

    - seek_points: add missing seek points.
    """
    indexing = _Indexing(shards, opening, seek_points)
    indexing.collect(range(len(shards)), indexing.index)
    numbers, given = indexing.builder.numbers, opening.options.kinds
    refuse_kinds(indexing.builder.schema_of(numbers[0]), shards[numbers[0]], given)
    common = {**common_kinds(indexing.builder.guesses), **given}
    if not all(has_kinds(schema, common) for schema, _ in indexing.builder.guesses):
        wider = _Indexing(shards, opening, seek_points, {**indexing.held})
        wider.collect(numbers, lambda number: wider.widened(number, common))
        indexing = wider
    held = {
        place: indexing.held[number]
        for place, number in enumerate(numbers)
        if number in indexing.held
    }
    return Indexed(indexing.builder.manifest(), opening, HeldIndexes(held))


class _Indexing:
    """How the files of one dataset are indexed.

    Args:
        shards: the files.
        opening: how indexes are opened.
        seek_points: add missing seek points.
        held: indexes that are not saved, by number of the file.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        opening: Opening,
        seek_points: bool,
        held: dict[int, IndexFile] | None = None,
    ) -> None:
        self._shards, self._opening, self._options = shards, opening, opening.options
        self._seek_points = seek_points
        self.held = {} if held is None else held
        self.builder = ManifestBuilder(shards)

    def collect(self, numbers: Sequence[int], index: Callable[[int], IndexFile]) -> None:
        """Add the indexes of these files to the builder, and keep those that are not saved."""

        def build(place: int) -> None:
            number = numbers[place]
            file = index(number)
            self.builder.add(number, file)
            if file.is_saved:
                self.held.pop(number, None)
            else:
                self.held[number] = file

        is_remote = any(is_in_store(self._shards[number]) for number in numbers)
        build_all(build, len(numbers), _DOWNLOADS if is_remote else None)

    def _file(self, number: int) -> FileIndex:
        return FileIndex(self._shards[number], self._opening.index_dir, self._opening.limits)

    def index(self, number: int) -> IndexFile:
        file = self._file(number)
        try:
            found = file.open(self._options, save=self._opening.save)
        except NoRecordsError:
            if not self._options.untrusted:
                file.refuse_emptied()
            raise
        if not self._seek_points or not lacks_seek_points(found):
            return found
        index = found.load()
        completed = file.with_seek_points(index, keep_damaged=self._options.keep_damaged)
        if completed is index:
            return found
        # Without a saved index, the file is damaged or its folder read-only.
        return self._kept(completed, file) if file.is_saved else IndexFile.of(completed)

    def widened(self, number: int, kinds: Kinds) -> IndexFile:
        """Return and keep an index with kinds that all files of the dataset can have."""
        index = self.held.get(number) or self.index(number)
        if has_kinds(index.schema, kinds):
            return index
        file = self._file(number)
        return self._kept(file.index(replace(self._options, kinds=kinds), save=False), file)

    def _kept(self, index: Index, file: FileIndex) -> IndexFile:
        """Save an index where that is possible, and open it."""
        is_default = replace(self._options, keep_damaged=False) == IndexOptions()
        if self._opening.save and file.saves_index and is_default and index.lost is None:
            with contextlib.suppress(FastpackError):
                file.save(index)
                return IndexFile.open(file.index_path, file.path)
        return IndexFile.of(index)


def lacks_seek_points(file: IndexFile) -> bool:
    """Return True if some field of images was never searched for seek points."""
    blobs = [field for field in file.schema.blobs if field.is_image_file and not field.is_list]
    return any(file.summary.blobs[field.name].num_with_seek_points is None for field in blobs)


def refuse_replaced(manifest: Manifest) -> None:
    """Raise MixedSetError if a file was replaced after it was indexed.

    The other files may belong to its replacement then.
    """
    for number in changed_shards(manifest, range(len(manifest))):
        shard = manifest.entries[number].shard
        if shard.container != "folder":
            message = "the file was replaced while the dataset was opened; open it again"
            raise MixedSetError(with_location(message, Location(shard.path)))


def folder_for_indexes(
    index_dir: str | os.PathLike[str] | None, *, make: bool = True
) -> Path | None:
    """Return the folder that the user names; with `make`, create it."""
    if index_dir is None:
        return None
    folder = local_path_of("index_dir", index_dir)
    if make:
        with os_errors_at(folder, "make the folder for the indexes"):
            folder.mkdir(parents=True, exist_ok=True)
    return folder


def build_all(build: Callable[[int], None], count: int, num_workers: int | None = None) -> None:
    """Call build(number) of each of `count` files by several threads.

    The failure of the first file is raised. A TFRecord without a record is left out if other files
    have some, as TensorFlow reads it.
    """
    numbers = itertools.count()
    failures: dict[int, FastpackError] = {}
    empty: dict[int, FastpackError] = {}

    def work() -> None:
        while not failures and (number := next(numbers)) < count:
            try:
                build(number)
            except NoRecordsError as error:
                empty[number] = error
            except FastpackError as error:
                failures[number] = error

    run_in_threads(work, min(num_workers or num_cores(), count))
    if failures or len(empty) == count:
        raise min((failures or empty).items())[1]


def view_of(
    manifest: Manifest, names: Mapping[str, str] | None, class_names: tuple[str, ...]
) -> View:
    """Return how a dataset shows its samples.

    Without class names, labels of class folders count in all classes of all folders. Raises
    SchemaError if the files have different fields.
    """
    schemas = manifest.schemas
    paths = [manifest.first_shard(number).path for number in range(len(schemas))]
    if class_names and not any("label" in schema for schema in schemas):
        message = "there are no labels to renumber; leave classes out"
        raise OptionError(with_location(message, Location(paths[0])))
    if names is not None:
        names = {new: schemas[0].find(old).name for new, old in names.items()}
    old = {schema.class_names for schema in schemas} if class_names else _of_folders(manifest)
    new = class_names or tuple(sorted({name for names in old for name in names}))
    view = View(schemas[0], names, dict.fromkeys(old, new))
    shown = list(zip(paths, map(view.shown, schemas), strict=True))
    return replace(view, schema=common_schema(shown))


def _of_folders(manifest: Manifest) -> set[tuple[str, ...]]:
    """Return the class names of class folders, if these differ."""
    found = {
        schema.class_names
        for number, schema in enumerate(manifest.schemas)
        if schema.class_names and _has_class_folders(manifest.first_shard(number).container)
    }
    return found if len(found) > 1 else set()


def _has_class_folders(container: str) -> bool:
    return "class_folder" in registry.named(container).index_options


def refuse_unknown_classes(table: SampleTable) -> None:
    """Raise SourceError for a label that the dataset's class names lack.

    Labels are read only if those of the files are not all known by their range.
    """
    relabels, schema = table.view.relabels, table.schema
    if not relabels or "label" not in schema:
        return
    maps = [ClassMap.between(old, new) for old, new in relabels.items()]
    least, greatest = table.summary.ranges.get("label", (0, -1))
    if all(least >= 0 and each.knows(greatest) for each in maps):
        return
    for first in range(0, len(table), _BLOCK_ROWS):
        table.take(np.arange(first, min(first + _BLOCK_ROWS, len(table))), ["label"])
