"""Which shards a path, a glob or a folder means."""

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
from fastpack.files.image_folder import has_image_files
from fastpack.files.naming import Member, first_alias, in_order, members_below, missing, strangers
from fastpack.files.publication import refuse_unfinished, unfinished_files
from fastpack.formats.protocols import DatasetPaths, VirtualDatasetContainer
from fastpack.formats.registry import of_suffix


def find_shards(path: DatasetPaths, *, check: bool = True, untrusted: bool = False) -> list[Path]:
    """The files that a path, the name of a set, a glob, a folder or a list of these means, in order for each.

    The name that was packed to stands for all files of its set: numbered ones, and those that were appended.

    - check: raise MixedSetError for files of one set that do not belong together, for a set that is being replaced, and for a
      set that was found by a folder, a glob or its name and lacks a file.
    - untrusted: open none of them; raises FormatError if a file may be the virtual dataset of others.
    """
    parts = _flat(path)
    if not parts:
        raise EmptySourceError("the list of files is empty")
    named, shards, wholes = set(parts), list[Path](), list[Path]()
    sets = members_below(
        part.parent for part in named if Member.of(part) is None and not part.is_dir()
    )
    for part in parts:
        found = _files_of(part, sets.get(part, []), untrusted)
        shards += [file for file in found if file == part or file not in named]
        wholes += found if found != [part] else []
    if check:
        refuse_unfinished(shards)
        for problem in itertools.chain(strangers(shards), missing(wholes)):
            raise MixedSetError(problem)
    return shards


def _flat(path: DatasetPaths) -> list[Path]:
    parts = None if isinstance(path, (str, os.PathLike)) else checks.listed(path)
    return (
        [path_of("path", path)]
        if parts is None
        else [each for part in parts for each in _flat(part)]
    )


def _files_of(path: Path, numbered: list[Member], untrusted: bool) -> list[Path]:
    """`numbered`: the numbered files of the set that has this name. Beside a number 0, the plain file is read alone: a master."""
    if path.is_dir():
        members = [
            member
            for member in path.iterdir()
            if of_suffix(member) and not member.name.startswith(".")
        ]
        found = _without_virtual_datasets(members, untrusted)
        if has_images := has_image_files(path):
            warn(
                [
                    f"{path} holds images beside {found[0].name}; only the {len(found):,} packed files are read"
                ]
                if found
                else []
            )
        if found or has_images:
            return found or [path]
        refuse_unfinished(unfinished_files(path, "*"))
        raise EmptySourceError(
            with_location(
                "no TFRecord, HDF5 or tar files here, and no images to `fastpack pack`",
                Location(path),
            )
        )
    if path.exists():
        return (
            [path]
            if numbered and numbered[0].number == 0
            else [path, *(member.path for member in numbered)]
        )
    if numbered:
        return [member.path for member in numbered]
    found = _without_virtual_datasets(
        _with_firsts([Path(match) for match in glob.glob(str(path))], path.name), untrusted
    )
    if not found:
        refuse_unfinished(unfinished_files(path.parent, path.name))
        raise MissingFileError(
            2, with_location("no such file, and no file matches; check the path", Location(path))
        )
    return found


def _with_firsts(matches: list[Path], pattern: str) -> Iterable[Path]:
    """Adds the plain file that shards were appended to: it counts as number 0, so a pattern that matches that name means it too."""
    found = [match for match in matches if not is_beside(match)]
    outputs = dict.fromkeys(member.output for member in map(Member.of, found) if member)
    firsts = [
        output
        for output in outputs
        if fnmatch.fnmatchcase(first_alias(output).name, pattern) and output.is_file()
    ]
    return dict.fromkeys([*firsts, *found])


def _without_virtual_datasets(paths: Iterable[Path], untrusted: bool) -> list[Path]:
    """In order; a virtual dataset is left out where its shards are among them, since it shows the same samples."""
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
