"""open and concat: from files to Readers."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Unpack

from fastpack.core import checks
from fastpack.errors import OptionError, warn
from fastpack.files.classes import ClassFolder, ClassList
from fastpack.files.file_names import local_path_of
from fastpack.files.sizes import parse_size
from fastpack.formats import protocols
from fastpack.formats.dataset_indexes import folder_for_indexes, open_table
from fastpack.formats.index.kinds import Kinds, checked_kinds
from fastpack.formats.index_options import IndexOptions
from fastpack.formats.shard_indexes import Opening
from fastpack.formats.table import Table
from fastpack.reading.concatenation import Concatenation
from fastpack.reading.options import READ_NAMES, ReadKwargs, ReadOptions
from fastpack.reading.reader import Reader
from fastpack.reading.remote import RemoteBytes
from fastpack.reading.samples import Samples
from fastpack.stores.store_path import is_url, path_at


@dataclass(frozen=True)
class OpenOptions:
    """The options of `open` that are not in ReadOptions. `open` describes them."""

    fields: Mapping[str, str] | Sequence[str] | None = None
    save_index: bool = True
    index_dir: str | os.PathLike[str] | None = None
    allow_external: bool = False
    untrusted: bool = False
    axes: Mapping[str, str] | None = None
    kinds: Kinds | None = None
    classes: ClassList = None
    class_folder: ClassFolder | None = None
    sidecars: Sequence[str] | None = None
    cache: str | os.PathLike[str] | None = None
    cache_size: int | str | None = None
    # Not in the repr: it may have secrets.
    storage_options: Mapping[str, Any] | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("save_index", "allow_external", "untrusted"):
            checks.settle(self, **{name: checks.flag(name, getattr(self, name))})

    def path(self, path: protocols.DatasetPaths) -> protocols.DatasetPaths:
        """Return the paths of a dataset, URLs with the options of their stores."""
        paths: protocols.DatasetPaths = self._stored(path)
        return paths

    def _stored(self, paths: Any) -> Any:
        given = self.storage_options
        if given is None:
            return paths
        return path_at(paths, checks.mapping("storage_options", given, '{"region": "eu-west-1"}'))

    def remote_bytes(self, table: Table) -> RemoteBytes | None:
        """Return how the files of a dataset are read, if they lie in stores."""
        if self.cache_size is not None and self.cache is None:
            raise OptionError("cache_size needs a folder; give cache, or leave cache_size out")
        if self.cache is None:
            return RemoteBytes() if table.is_remote else None
        if self.cache_size is None:
            raise OptionError('cache needs a limit; give cache_size, such as cache_size="200GB"')
        if not table.is_remote:
            warn(["the dataset is on local disk, so it is read without the cache; leave cache out"])
            return None
        return RemoteBytes.cached(
            local_path_of("cache", self.cache), parse_size(self.cache_size), table.num_bytes
        )

    @property
    def names(self) -> dict[str, str] | None:
        """New name -> name in the files, for the chosen fields; None for all."""
        if self.fields is None:
            return None
        if isinstance(self.fields, Mapping):
            named = checks.mapping("fields", self.fields, '{"picture": "image/encoded"}')
            return dict(zip(named, checks.texts("fields", tuple(named.values())), strict=True))
        return {name: name for name in checks.texts("fields", self.fields)}

    @property
    def class_names(self) -> tuple[str, ...]:
        if self.classes is None:
            return ()
        from fastpack.reading.class_lists import class_list  # late: it imports all sources

        return class_list(self._stored(self.classes) if is_url(self.classes) else self.classes)

    def for_indexing(self, names: Mapping[str, str] | None, *, keep_damaged: bool) -> IndexOptions:
        """Return the options that indexing needs."""
        return IndexOptions(
            fields=None if names is None else tuple(names.values()),
            allow_external=self.allow_external,
            untrusted=self.untrusted,
            keep_damaged=keep_damaged,
            class_folder=self.class_folder,
            sidecars=self.sidecars,
            axes={} if self.axes is None else self.axes,
            kinds=checked_kinds(self.kinds),
        )


class OpenKwargs(ReadKwargs, total=False):
    """The keywords of `open`: the fields of OpenOptions and of ReadOptions."""

    fields: Mapping[str, str] | Sequence[str] | None
    save_index: bool
    index_dir: str | os.PathLike[str] | None
    allow_external: bool
    untrusted: bool
    axes: Mapping[str, str] | None
    kinds: Kinds | None
    classes: ClassList
    class_folder: ClassFolder | None
    sidecars: Sequence[str] | None
    cache: str | os.PathLike[str] | None
    cache_size: int | str | None
    storage_options: Mapping[str, Any] | None


_OPEN_NAMES = tuple(field.name for field in fields(OpenOptions))


def open(
    path: protocols.DatasetPaths,
    options: ReadOptions | None = None,
    **changes: Unpack[OpenKwargs],
) -> Reader:
    """Open TFRecord, HDF5 or tar files or image folders for random access.

    Args:
        path: a file, a folder of shards or images, or a list of these. Also a glob, such as
            "train-*.tfrecord", or the name that a set was packed to. A plain file also stands
            for the shards that were appended to it. Each may be a URL of an object store:
            "s3://bucket/train-*.tfrecord", gs://, az:// or https://.
        options: how to read. The fields of ReadOptions may also be given by name, and win:
            `decode=False`.
        fields: names of the fields to read, such as ["image", "label"]. A mapping renames them:
            {"picture": "image/encoded"}. None reads all.
        save_index: save the index beside each file, so that the next open is instant. An image
            folder's index is saved only to an `index_dir`, or by `build_indexes`.
        index_dir: a folder for the indexes, for a dataset on a read-only disk. Indexes of
            objects in stores are kept there, or else in `~/.cache/fastpack/indexes`.
        allow_external: follow an HDF5 file's references, and a folder's links, to files
            outside the dataset's folder.
        untrusted: build the index from the data; do not load or save one. A separate process
            with limits indexes HDF5 files, and HDF5's library reads no samples.
        axes: axes of HDF5 arrays, if the guess is wrong: {"X": "NCHW"}.
        kinds: kinds of fields, if the guess is wrong: {"caption": "text"}. Also "image", "mask"
            and "bytes". Files from `pack` need none.
        classes: the class names that labels count: a list, a file with one name a line, or a
            dataset. The labels of a file with other names are refused.
        class_folder: for image folders and tars, the folder of a path that names the class:
            "first", "last" or "none". None chooses one; `notes` has the choice.
        sidecars: for image folders, endings of text files that become columns, such as ["txt"].
        cache: for URLs, a folder on local disk that keeps blocks of the files. All processes of
            a machine share it. It is made if it is missing.
        cache_size: the most bytes of the cache, such as "200GB".
        storage_options: for URLs, options of the store's client: {"region": "eu-west-1"}. By
            default the client looks for credentials in the environment and in its own files.

    Returns:
        A Reader over all samples, in the order of the sorted files.

    Raises:
        MissingFileError: there is no such file.
        EmptySourceError: there are no samples.
        FormatError: a file has another format, or is damaged; also CorruptRecordError.
        SchemaError: the files have different fields.
        MixedSetError: the files are of different sets, or are being replaced.
        OptionError: an option has a wrong value.

    Example:
        >>> dataset = open(getfixture("digits"), transform=None)
        >>> len(dataset), dataset[0]["image"].shape
        (10, (8, 8, 3))

    Reference:
        docs/formats.md lists the guesses about files of other programs.
    """
    checks.instance("options", options, ReadOptions | None, "ReadOptions(...)")
    checks.known_names("open", changes, (*_OPEN_NAMES, *READ_NAMES))
    given: dict[str, Any] = dict(changes)
    opening = OpenOptions(**{name: given.pop(name) for name in _OPEN_NAMES if name in given})
    return _opened(path, replace(options or ReadOptions(), **given), opening)


def _opened(path: protocols.DatasetPaths, options: ReadOptions, opening: OpenOptions) -> Reader:
    names, folder = opening.names, folder_for_indexes(opening.index_dir, make=opening.save_index)
    indexing = opening.for_indexing(names, keep_damaged=options.on_error != "raise")
    table = open_table(
        opening.path(path),
        Opening(folder, opening.save_index, options.limits, indexing),
        names=names,
        class_names=opening.class_names,
        seek_points=options.seek_points is True,
    )
    warn(table.notes)
    return Reader(Samples.of(table, remote=opening.remote_bytes(table)), options)


def concat(readers: Sequence[Reader]) -> Reader:
    """Join datasets, in order.

    Args:
        readers: at least one. All have the same fields and ReadOptions.

    Returns:
        A Reader over the samples of all. `Mix` draws from its parts by weight.

    Raises:
        SchemaError: the datasets have different fields.
        OptionError: the list is empty, or the options differ.

    Example:
        >>> dataset = open(getfixture("digits"))
        >>> len(concat([dataset, dataset[:3]]))
        13
    """
    is_list = isinstance(readers, Sequence) and not isinstance(readers, Reader)
    if not is_list or not all(isinstance(reader, Reader) for reader in readers):
        raise OptionError(f"readers must be a list of Readers, not {checks.shown(readers)}")
    if not readers:
        raise OptionError("there is nothing to concatenate; give at least one reader")
    if any(reader.options != readers[0].options for reader in readers):
        raise OptionError(
            "the readers have different options; give all the same ones, by with_options"
        )
    parts = [reader.samples for reader in readers]
    remote = RemoteBytes.joined([part.remote for part in parts if part.remote is not None])
    samples = Samples.of(Concatenation(parts), tuple(map(len, readers)), remote)
    return Reader(samples, readers[0].options)
