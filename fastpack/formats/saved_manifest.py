"""Saved manifests: which files they are of, and whether these are still the same."""

import contextlib
import fnmatch
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastpack._native.crc32c import crc32c
from fastpack.errors import FastpackError
from fastpack.files.companions import manifest_path
from fastpack.files.image_tree import has_image_files
from fastpack.files.naming import Member, data_members
from fastpack.files.publication import unfinished_files
from fastpack.files.write_tables import MAGIC
from fastpack.formats import registry
from fastpack.formats.index.kinds import has_kinds
from fastpack.formats.index_options import IndexOptions
from fastpack.formats.manifest import Manifest
from fastpack.formats.protocols import DatasetPaths, SelectingContainer

# Shards whose size and time are compared when a dataset is opened. Others are compared when a
# sample of them is read first.
_COMPARED_SHARDS = 256


@dataclass(frozen=True)
class NamedSet:
    """The shards of one set in one folder, by their names.

    Args:
        output: the name of the set.
        names: of its files, sorted.
    """

    output: Path
    names: tuple[str, ...]

    @classmethod
    def of(cls, path: DatasetPaths) -> "NamedSet | None":
        """Return the set that a path stands for: its name, a folder or a glob.

        None if it stands for something else: one file, a list, or only some files of a set.
        """
        if not isinstance(path, str | os.PathLike):
            return None
        given = Path(os.fspath(path)).absolute() if isinstance(path, str | Path) else Path(path)
        is_folder = given.is_dir()
        folder = given if is_folder else given.parent
        try:
            listed = os.listdir(folder)
        except OSError:
            return None
        if is_folder:
            chosen = [name for name in listed if registry.is_packed_name(name)]
        elif any(letter in given.name for letter in "*?["):
            chosen = fnmatch.filter(
                (name for name in listed if registry.is_packed_name(name)), given.name
            )
        else:
            return cls._with(given, listed)
        first = min(chosen, default="")
        member = Member.of(folder / first)
        found = None if member is None else cls._with(member.output, listed)
        is_all = found is not None and found.names == tuple(sorted(chosen))
        if not is_all or (is_folder and has_image_files(folder)):
            return None
        return found

    @classmethod
    def _with(cls, output: Path, listed: Sequence[str]) -> "NamedSet | None":
        start, end = f"{output.stem}-", output.suffix
        names = [
            name
            for name in listed
            if name.startswith(start) and name.endswith(end) and "-of-" in name
        ]
        # Beside a number 0, the plain file is a virtual dataset of the others.
        names.sort()
        first = Member.of(output.with_name(names[0])) if names else None
        if output.name in listed and (first is None or first.number > 0):
            names = sorted([*names, output.name])
        return cls(output, tuple(names)) if len(names) > 1 else None

    @property
    def digest(self) -> str:
        """A checksum of the names."""
        return f"{crc32c(os.fsencode(chr(0).join(self.names))):08x}"


def find_manifest(
    path: DatasetPaths, index_dir: Path | None, options: IndexOptions
) -> Manifest | None:
    """Return the saved manifest of the files that a path stands for.

    None if there is none, or if files came or went, if some of them changed, or if the options
    need other indexes than the saved ones.
    """
    if options.untrusted or options.allow_external or options.restricted:
        return None
    found = NamedSet.of(path)
    if found is None or unfinished_files(found.output.parent, found.output.name):
        return None
    saved = manifest_path(found.output, index_dir)
    with contextlib.suppress(FastpackError):
        if not saved.is_file():
            return None
        manifest, digest = Manifest.load(saved, found.output.parent)
        is_same = digest == found.digest and len(manifest) == len(found.names)
        if is_same and _serves(manifest, options) and not _has_changed(manifest):
            return manifest
    return None


def _serves(manifest: Manifest, options: IndexOptions) -> bool:
    """Return True if building the indexes with these options would give the saved ones."""
    if not all(has_kinds(schema, options.kinds) for schema in manifest.schemas):
        return False
    if options.fields is None:
        return True
    containers = {manifest.first_shard(number).container for number in range(len(manifest.schemas))}
    selects = any(
        isinstance(registry.named(container), SelectingContainer) for container in containers
    )
    return not selects or all(schema.has_fields(options.fields) for schema in manifest.schemas)


def _has_changed(manifest: Manifest) -> bool:
    """Compare the sizes and times of some shards from all over the set."""
    return any(True for _ in changed_shards(manifest, manifest.sampled(_COMPARED_SHARDS)))


def changed_shards(manifest: Manifest, numbers: Iterable[int]) -> Iterator[int]:
    """Yield the numbers of shards that are missing, or have another size or time than before."""
    for number in numbers:
        shard = manifest.entries[number].shard
        with contextlib.suppress(OSError):
            status = os.stat(shard.path)
            if (status.st_size, status.st_mtime_ns) == (shard.size, shard.mtime_ns):
                continue
        yield number


def save_manifest(path: DatasetPaths, manifest: Manifest, index_dir: Path | None) -> bool:
    """Save the manifest if the path stands for all files of a set. Return True if it was saved.

    A manifest is derived, so nothing is lost if the OS refuses to write it.
    """
    found = NamedSet.of(path)
    if found is None or len(found.names) != len(manifest):
        return False
    if [shard.absolute() for shard in manifest.paths] != data_members(found.output):
        return False
    saved = manifest_path(found.output, index_dir)
    # ValueError: a table of too many columns.
    with contextlib.suppress(FastpackError, OSError, ValueError):
        if saved.exists() and not saved.read_bytes()[: len(MAGIC)] == MAGIC:
            return False  # it is of another program
        manifest.save(saved, found.digest)
        return True
    return False
