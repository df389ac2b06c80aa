"""Containers: standard file formats, a module for each. A container writes records and indexes them.

There is one reader, and it is not here: see reader.py.
"""

import contextlib
import dataclasses
import fnmatch
import glob
import itertools
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from fastpack.containers.choice import Choice
from fastpack.containers.protocols import ChoosingContainer, SiftingContainer, Writer
from fastpack.errors import (
    CorruptRecordError,
    EmptySourceError,
    FastpackError,
    FormatError,
    MissingFileError,
    MixedSetError,
    NoRecordsError,
    OptionError,
    Place,
    TruncatedFileError,
    at,
    from_os_error,
    warn,
)
from fastpack.filenames import path_of
from fastpack.files import Files
from fastpack.index import Index, index_path, is_beside
from fastpack.kinds import GUESSED, Kinds, has_kinds, kinds_of
from fastpack.limits import DEFAULT_LIMITS, Limits
from fastpack.naming import Member, first_alias, in_order, members_below, missing, strangers
from fastpack.publication import refuse_unfinished, unfinished_files
from fastpack.schema import Field, Schema
from fastpack.shard import Shard
from fastpack.storage import Storage
from fastpack.tree import has_image_files

Layout = Literal["auto", "encoded", "vlen", "pixels"]
Float64 = Literal["refuse", "round"]  # what becomes of floats that a format without 64 bits would change
# A file, a glob, a folder of shards, or a list of these.
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
# Called with the bytes of a file that are done.
BytesDone = Callable[[int], None]
_HEAD_BYTES = 4096
# A saved index has at most so many bytes, and so many more for each byte of its file: 60 to 100 for a record of 40 and more.
_SMALL_INDEX_BYTES = 2**26
_INDEX_BYTES_A_BYTE = 64


@dataclass(frozen=True)
class ShardPlan:
    """What a writer is promised of the shard that it shall write."""

    schema: Schema
    num_samples: int
    num_bytes: int  # of all encoded images together
    layout: Layout = "auto"
    storage: Storage = dataclasses.field(default_factory=Storage)
    float64: Float64 = "refuse"

    @property
    def chunk(self) -> int:
        """Samples that are stored together: a batch begins with such a chunk. 1 where the layout has none."""
        picture = self.schema.picture
        if picture is None or picture.kind != "pixels" or None in picture.shape:
            return 1
        sample_bytes = math.prod(size or 1 for size in picture.shape) * np.dtype(picture.dtype).itemsize
        return self.storage.chunk_for(sample_bytes, self.num_samples)


class Container(Protocol):
    """A standard file format."""

    name: str
    suffixes: tuple[str, ...]

    def recognises(self, head: bytes) -> bool:
        """True when the first 4 KiB of a file look like this format."""
        ...

    def writer(self, path: Path, plan: ShardPlan, num_workers: int | None = None) -> Writer[Any]: ...

    def refuse_fields(self, schema: Schema) -> None:
        """Raises SchemaError, before anything is written, for a field that files of this format cannot hold, and names it."""
        ...

    def index(
        self,
        path: Path,
        *,
        check: bool = True,
        limits: Limits = DEFAULT_LIMITS,
        progress: BytesDone | None = None,
        kinds: Kinds = GUESSED,
    ) -> Index:
        """The table of a file's samples. With `check`, each record is compared with its checksum.

        - progress: called with the bytes that are done, by formats of which the whole file is read.
        - kinds: what fields are, where the file does not say it; names and kinds that do not fit are passed over.
        """
        ...

    def shard(self, path: Path) -> Shard:
        """What tells the file as it is from the file as it was."""
        ...

    def import_for_fetching(self) -> None:
        """Imports what `fetch` imports: no import may run while others fork."""
        ...

    def fetch(self, shard: Shard, field: Field, record_numbers: Sequence[int], files: Files | None = None) -> list[Any]:
        """Blobs that have no span, through the format's own library. `files` is what the index knows of them in a folder.

        Raises ChangedFileError when the file is not the shard any more.
        """
        ...


NAMES = ("tfrecord", "hdf5", "tar")  # those that are written
_FILES = ("tfrecord", "tar", "hdf5")


def named(name: str) -> Container:
    """The container of that name. Imported late: h5py takes a tenth of a second."""
    if name == "tfrecord":
        from fastpack.containers.tfrecord import TFRECORD

        return TFRECORD
    if name == "hdf5":
        from fastpack.containers.hdf5 import HDF5

        return HDF5
    if name == "tar":
        from fastpack.containers.tar import TAR

        return TAR
    if name == "folder":
        from fastpack.containers.folder import FOLDER

        return FOLDER
    raise OptionError(f"there is no format {name!r}; choose one of {', '.join(NAMES)}")


def of_suffix(path: Path) -> Container | None:
    """The container that files of this name are written in."""
    return next((named(name) for name in _FILES if path.suffix.lower() in named(name).suffixes), None)


def recognised(head: bytes) -> Container | None:
    """The container that a file's first 4 KiB look like."""
    return next((named(name) for name in _FILES if named(name).recognises(head)), None)


def of_file(path: Path) -> Container:
    """The container of an existing file, by its first bytes, or of a folder of images. Raises FormatError when it is none."""
    if path.is_dir():
        return named("folder")
    if path.exists() and not path.is_file():
        raise FormatError(f"this is a pipe or a device, not a file; name a TFRecord, HDF5 or tar file - at {path}")
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise from_os_error(error, "read", path) from error
    if found := recognised(head):
        return found
    if head[:2] == b"\x1f\x8b":
        remedy = "`fastpack convert` makes an open one of a TFRecord; unpack others first (gunzip)"
        raise FormatError(f"a gzip'ed file has no random access: {remedy} - at {path}")
    if not head and any(suffix in path.name.lower() for suffix in named("tfrecord").suffixes):
        raise NoRecordsError(at("the file is empty: a TFRecord without a record; pack it again, or leave it out", Place(path)))
    if (guess := of_suffix(path)) and head:
        return guess  # damaged: its indexer knows how to say so
    raise FormatError(f"this is no TFRecord, HDF5 or tar file; `fastpack pack` makes one of a folder or a table of images - at {path}")


def explain(path: Path) -> list[str]:
    """How the arrays of a file are stored and read, where a file may hold several; else nothing."""
    container = of_file(path)
    return container.explain(path) if isinstance(container, ChoosingContainer) else []


def index_of(
    path: Path, *, save: bool = True, index_dir: Path | None = None, limits: Limits = DEFAULT_LIMITS, choice: Choice | None = None
) -> Index:
    """The index of one file: the saved one when it is fresh, else built and, with `save`, saved beside it or in `index_dir`.

    An index is built and not saved if `choice` is not the default one. That of an untrusted file is never loaded.
    """
    container = of_file(path)
    choice = choice or Choice()
    if choice.is_of_folders and not getattr(container, "has_class_folders", False):
        raise OptionError(at("class_folder and sidecars are for folders of images and tars; leave them out", Place(path)))
    if choice.axes and container.name != "hdf5":
        raise OptionError(at("axes are those of arrays in HDF5 files; leave them out", Place(path)))
    if not isinstance(container, ChoosingContainer):
        try:
            # A saved index that came with untrusted data may name other bytes of it, and other labels.
            if choice.untrusted:
                return container.index(path, limits=limits, kinds=choice.kinds)
            return _index_by_default(path, save, index_dir, limits, choice.kinds)
        except (CorruptRecordError, FormatError):
            if choice.keep_damaged and isinstance(container, SiftingContainer):
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


def _index_by_default(path: Path, save: bool, index_dir: Path | None, limits: Limits, kinds: Kinds = GUESSED) -> Index:
    saved = saved_index(path, index_dir)
    if saved is not None and has_kinds(saved, kinds):
        return saved
    if kinds:
        return of_file(path).index(path, limits=limits, kinds=kinds)
    earlier = earlier_index(path, index_dir)
    index = build_index(path, earlier, limits=limits)
    if save and (index_dir is not None or getattr(of_file(path), "is_indexed_unasked", True)):
        with contextlib.suppress(FastpackError):  # a read-only folder: an index is derived, so nothing is lost
            index.remembering(earlier).save(index_path(path, index_dir))
    return index


def build_index(
    path: Path, earlier: Index | None, *, limits: Limits = DEFAULT_LIMITS, progress: BytesDone | None = None, kinds: Kinds = GUESSED
) -> Index:
    """Indexes a file. An earlier index of the same records, such as of a copy with another time, says what its fields are."""
    container = of_file(path)
    index = container.index(path, limits=limits, progress=progress, kinds=kinds)
    known = {**kinds_of(earlier), **kinds}
    if earlier is None or earlier.seal is None or earlier.seal != index.seal or has_kinds(index, known):
        return index
    return container.index(path, limits=limits, kinds=known)


def refuse_emptied(path: Path, index_dir: Path | None = None) -> None:
    """Raises TruncatedFileError for a file without records if its saved index knows some."""
    if (earlier := earlier_index(path, index_dir)) is not None and len(earlier):
        message = f"the file has no records, and its saved index knows {len(earlier)}; restore the file, or delete the index"
        raise TruncatedFileError(at(message, Place(path)))


def earlier_index(path: Path, index_dir: Path | None = None) -> Index | None:
    """The saved index of a file, also of one that has changed since; None when there is none that can be read."""
    with contextlib.suppress(FastpackError):
        where = index_path(path, index_dir)
        return load_index(where, path) if where.exists() else None
    return None


def load_index(where: Path, path: Path) -> Index:
    """The index in the file `where`, of the file at `path`. Raises FormatError if it is damaged, or larger than an index can be."""
    if where.stat().st_size <= _SMALL_INDEX_BYTES:
        return Index.load(where, path.parent)
    num_bytes = path.stat().st_size if path.is_file() else of_file(path).shard(path).size
    return Index.load(where, path.parent, max_bytes=_SMALL_INDEX_BYTES + _INDEX_BYTES_A_BYTE * num_bytes)


def saved_index(path: Path, index_dir: Path | None = None) -> Index | None:
    """The saved index of a file, or None when there is none, or it is stale or damaged."""
    where = index_path(path, index_dir)
    with contextlib.suppress(FastpackError):
        if where.exists() and (shards := _shards_now(index := load_index(where, path), path)) == index.shards:
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


def find_shards(path: Paths, *, check: bool = True, untrusted: bool = False) -> list[Path]:
    """The files that a path, the name of a set, a glob, a folder or a list of these means, in order for each.

    The name that was packed to stands for all files of its set: numbered ones, and those that were appended.

    - check: raise MixedSetError for files of one set that do not belong together, for a set that is being replaced, and for a
      set that was found by a folder, a glob or its name and lacks a file.
    - untrusted: open none of them; raises FormatError if a file may be the master of others.
    """
    parts = _flat(path)
    if not parts:
        raise EmptySourceError("the list of files is empty")
    named, shards, wholes = set(parts), list[Path](), list[Path]()
    sets = members_below(part.parent for part in named if Member.of(part) is None and not part.is_dir())
    for part in parts:
        found = _files_of(part, sets.get(part, []), untrusted)
        shards += [file for file in found if file == part or file not in named]
        wholes += found if found != [part] else []
    if check:
        refuse_unfinished(shards)
        for problem in itertools.chain(strangers(shards), missing(wholes)):
            raise MixedSetError(problem)
    return shards


def _flat(path: Paths) -> list[Path]:
    if isinstance(path, (str, os.PathLike)) or not isinstance(path, Iterable):
        return [path_of("path", path)]
    return [each for part in path for each in _flat(part)]


def _files_of(path: Path, numbered: list[Member], untrusted: bool) -> list[Path]:
    """`numbered`: the numbered files of the set that has this name. Beside a number 0, the plain file is read alone: a master."""
    if path.is_dir():
        members = [member for member in path.iterdir() if of_suffix(member) and not member.name.startswith(".")]
        found = _without_masters(members, untrusted)
        if has_images := has_image_files(path):
            warn([f"{path} holds images beside {found[0].name}; only the {len(found):,} packed files are read"] if found else [])
        if found or has_images:
            return found or [path]
        refuse_unfinished(unfinished_files(path, "*"))
        raise EmptySourceError(at("no TFRecord, HDF5 or tar files here, and no images to `fastpack pack`", Place(path)))
    if path.exists():
        return [path] if numbered and numbered[0].number == 0 else [path, *(member.path for member in numbered)]
    if numbered:
        return [member.path for member in numbered]
    found = _without_masters(_with_firsts([Path(match) for match in glob.glob(str(path))], path.name), untrusted)
    if not found:
        refuse_unfinished(unfinished_files(path.parent, path.name))
        raise MissingFileError(2, at("no such file, and no file matches; check the path", Place(path)))
    return found


def _with_firsts(matches: list[Path], pattern: str) -> Iterable[Path]:
    """Adds the plain file that shards were appended to: it counts as number 0, so a pattern that matches that name means it too."""
    found = [match for match in matches if not is_beside(match)]
    outputs = dict.fromkeys(member.output for member in map(Member.of, found) if member)
    firsts = [output for output in outputs if fnmatch.fnmatchcase(first_alias(output).name, pattern) and output.is_file()]
    return dict.fromkeys([*firsts, *found])


def _without_masters(paths: Iterable[Path], untrusted: bool) -> list[Path]:
    """In order; a master file is left out where its shards are among them, since it shows the same samples."""
    found = in_order(paths)
    firsts = {member.output for member in map(Member.of, found) if member and member.number == 0}
    return [path for path in found if path not in firsts or not _is_master(path, untrusted)]


def _is_master(path: Path, untrusted: bool) -> bool:
    if path.suffix.lower() not in named("hdf5").suffixes:
        return False
    if untrusted:
        message = "only HDF5's library can tell whether this file shows its shards, and it is untrusted; name the files to read"
        raise FormatError(at(message, Place(path)))
    from fastpack.containers.hdf5_master import is_master

    return is_master(path)
