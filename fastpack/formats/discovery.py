"""Find the files of a dataset by a path, a glob or a folder."""

import fnmatch
import glob
import itertools
import os
from collections.abc import Iterable
from pathlib import Path

from fastpack.core import checks
from fastpack.errors import (
    EmptySourceError,
    FormatError,
    Location,
    MissingFileError,
    MixedSetError,
    warn,
    with_location,
)
from fastpack.files.companions import is_beside
from fastpack.files.file_names import path_of
from fastpack.files.image_tree import has_image_files
from fastpack.files.naming import Member, first_alias, in_order, members_below, missing, strangers
from fastpack.files.publication import refuse_unfinished, unfinished_files
from fastpack.formats.protocols import DatasetPaths, VirtualDatasetContainer
from fastpack.formats.registry import is_packed_name, of_suffix
from fastpack.formats.root_manifest import root_manifests
from fastpack.formats.stored_set import StoredSets
from fastpack.stores.store_path import as_object, as_path, is_in_store


def find_shards(
    path: DatasetPaths,
    *,
    check: bool = True,
    untrusted: bool = False,
    stored: StoredSets | None = None,
) -> list[Path]:
    """Return the files that a path, a glob, a folder or a list of these stands for, in order.

    The output's name of a pack stands for all files of its set, also appended ones.

    - check: raise MixedSetError for files of one set that do not belong together, and for a set
      that is being replaced. A set that is not listed file by file must also be complete.
    - untrusted: open no file; raise FormatError if one may be the virtual dataset of others.
    - stored: finds objects in stores.
    """
    parts = _flat(path)
    if not parts:
        raise EmptySourceError("the list of files is empty")
    stored = stored or StoredSets(None if untrusted else root_manifests(None))
    stored.find_together([as_object(part) for part in parts if is_in_store(part)])
    named, shards, wholes = set(parts), list[Path](), list[Path]()
    local = [part for part in named if not is_in_store(part)]
    sets = members_below(
        part.parent for part in local if Member.of(part) is None and not part.is_dir()
    )
    for part in parts:
        if is_in_store(part):
            objects = stored.find(as_object(part))
            found, has_root = list(map(as_path, objects.paths)), objects.root is not None
        else:
            found, has_root = _files_of(part, sets.get(part, []), untrusted), False
        shards += [file for file in found if file == part or file not in named]
        wholes += found if found != [part] and not has_root else []
    if check:
        refuse_unfinished(shard for shard in shards if not is_in_store(shard))
        for problem in itertools.chain(strangers(shards), missing(wholes)):
            raise MixedSetError(problem)
    return shards


def _flat(path: DatasetPaths) -> list[Path]:
    is_one = isinstance(path, (str, os.PathLike)) or is_in_store(path)
    parts = None if is_one else checks.listed(path)
    if parts is None:
        return [path_of("path", path)]
    return [each for part in parts for each in _flat(part)]


def _files_of(path: Path, numbered: list[Member], untrusted: bool) -> list[Path]:
    """Return the files of one path. `numbered` are the numbered files of the set of this name."""
    if path.is_dir():
        return _files_below(path, untrusted)
    if path.exists():
        if numbered and numbered[0].number == 0:  # the plain file is their virtual dataset
            return [path]
        return [path, *(member.path for member in numbered)]
    if numbered:
        return [member.path for member in numbered]
    found = _without_virtual_datasets(
        _with_firsts([Path(match) for match in glob.glob(str(path))], path.name), untrusted
    )
    if not found:
        refuse_unfinished(unfinished_files(path.parent, path.name))
        message = "no such file, and no file matches; check the path"
        raise MissingFileError(2, with_location(message, Location(path)))
    return found


def _files_below(folder: Path, untrusted: bool) -> list[Path]:
    members = [folder / name for name in os.listdir(folder) if is_packed_name(name)]
    found = _without_virtual_datasets(members, untrusted)
    has_images = has_image_files(folder)
    if found and has_images:
        count = f"only the {len(found):,} packed files are read"
        warn([f"{folder} holds images beside {found[0].name}; {count}"])
    if found or has_images:
        return found or [folder]
    refuse_unfinished(unfinished_files(folder, "*"))
    message = "no TFRecord, HDF5 or tar files here, and no images to `fastpack pack`"
    raise EmptySourceError(with_location(message, Location(folder)))


def _with_firsts(matches: list[Path], pattern: str) -> Iterable[Path]:
    """Add the plain files that shards were appended to.

    Such a file counts as number 0, so a pattern that matches that name stands for it too.
    """
    found = [match for match in matches if not is_beside(match)]
    outputs = dict.fromkeys(member.output for member in map(Member.of, found) if member)
    firsts = [
        output
        for output in outputs
        if fnmatch.fnmatchcase(first_alias(output).name, pattern) and output.is_file()
    ]
    return dict.fromkeys([*firsts, *found])


def _without_virtual_datasets(paths: Iterable[Path], untrusted: bool) -> list[Path]:
    """Return the files in order, without virtual datasets whose shards are among them."""
    found = in_order(paths)
    firsts = {member.output for member in map(Member.of, found) if member and member.number == 0}
    return [
        path for path in found if path not in firsts or not _is_virtual_dataset(path, untrusted)
    ]


def _is_virtual_dataset(path: Path, untrusted: bool) -> bool:
    container = of_suffix(path)
    if not isinstance(container, VirtualDatasetContainer):
        return False
    if untrusted:
        message = "an untrusted file may be a virtual dataset of its shards; name the files to read"
        raise FormatError(with_location(message, Location(path)))
    return container.is_virtual_dataset(path)
