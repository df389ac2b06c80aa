"""Saved manifests: which files they are of, and whether these are still the same."""

import contextlib
import fnmatch
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastpack._native.crc32c import crc32c
from fastpack.errors import FastpackError
from fastpack.files.companions import COMPANION_ENDINGS, manifest_path
from fastpack.files.image_tree import has_image_files
from fastpack.files.local_metadata import make_metadata_folder
from fastpack.files.naming import Member, data_members
from fastpack.files.publication import is_staging_name, unfinished_files
from fastpack.files.table_file import TableFile, is_table_file
from fastpack.formats import registry
from fastpack.formats.index.kinds import has_kinds
from fastpack.formats.index_options import IndexOptions
from fastpack.formats.manifest import Manifest
from fastpack.formats.protocols import DatasetPaths, SelectingContainer
from fastpack.formats.root_manifest import root_manifests
from fastpack.formats.stored_set import StoredSet, StoredSets
from fastpack.stores.store_path import StorePath, as_path, is_in_store, path_at

# Shards whose size and time are compared when a dataset is opened. Others are compared when a
# sample of them is read first.
_COMPARED_SHARDS = 256


@dataclass(frozen=True)
class NamedSet:
    """The shards of one set in one folder, by their names.

    Args:
        output: the name of the set.
        names: of its files, sorted.
        has_virtual_dataset: one of them is a virtual dataset of the others.
        has_staging: the folder has a staging folder of some pack.
    """

    output: Path
    names: tuple[str, ...]
    has_virtual_dataset: bool
    has_staging: bool

    @classmethod
    def of(cls, path: DatasetPaths) -> "NamedSet | None":
        """Return the set that a path stands for: its name, a folder, a glob or all of its files.

        None if it stands for something else, such as one file, or only some files of a set.
        """
        if not isinstance(path, str | os.PathLike):
            return cls._of_list(path) if isinstance(path, list | tuple) else None
        given = Path(path).absolute()
        is_glob = any(letter in given.name for letter in "*?[")
        if Member.of(given) is not None and not is_glob:
            return None  # one shard; its folder may have 100,000 others
        is_folder = os.path.isdir(given)
        folder = given if is_folder else given.parent
        listed = _listed(folder)
        if not is_folder and not is_glob:
            found = cls._with(given, listed)
            return None if found is None or found.has_virtual_dataset else found
        matching = listed if is_folder else fnmatch.filter(listed, given.name)
        chosen = [name for name in matching if registry.is_packed_name(name)]
        first = min(chosen, default="")
        member = Member.of(folder / first)
        found = None if member is None else cls._with(member.output, listed)
        is_all = found is not None and found.names == tuple(sorted(chosen))
        if not is_all or (is_folder and _may_have_images(listed) and has_image_files(folder)):
            return None
        return found

    @classmethod
    def _of_list(cls, paths: Sequence[str | os.PathLike[str]]) -> "NamedSet | None":
        """Return the set of its name alone, or of all its files in order: shells expand globs."""
        if len(paths) == 1:
            return cls.of(paths[0])
        files = [Path(path).absolute() for path in paths if isinstance(path, str | os.PathLike)]
        member = Member.of(files[0]) if files else None
        if member is None or len(files) < len(paths):
            return None
        found = cls.of_output(member.output)
        if found is None or found.has_virtual_dataset:
            return None
        folder = member.output.parent.absolute()
        return found if files == [folder / name for name in found.names] else None

    @classmethod
    def _with(cls, output: Path, listed: Sequence[str]) -> "NamedSet | None":
        start, end = f"{output.stem}-", output.suffix
        names = [
            name
            for name in listed
            if name.startswith(start) and name.endswith(end) and "-of-" in name
        ]
        names.sort()
        first = Member.of(output.with_name(names[0])) if names else None
        is_plain = output.name in listed
        # Beside a number 0, the plain file is a virtual dataset of the others.
        has_virtual_dataset = is_plain and first is not None and first.number == 0
        names = sorted([*names, output.name]) if is_plain else names
        if len(names) - has_virtual_dataset < 2:
            return None
        has_staging = any(map(is_staging_name, listed))
        return cls(output, tuple(names), has_virtual_dataset, has_staging)

    @classmethod
    def of_output(cls, output: Path) -> "NamedSet | None":
        """Return the set of this name; None if it has fewer than two shards."""
        return cls._with(output.absolute(), _listed(output.absolute().parent))

    @property
    def shard_names(self) -> list[str]:
        """Names of the files with samples of their own, sorted."""
        others = [self.output.name] if self.has_virtual_dataset else []
        return [name for name in self.names if name not in others]

    @property
    def num_shards(self) -> int:
        """Files with samples of their own."""
        return len(self.names) - self.has_virtual_dataset

    @property
    def digest(self) -> str:
        """A checksum of the names; also of the size and time of a virtual dataset."""
        parts = list(self.names)
        if self.has_virtual_dataset:
            with contextlib.suppress(OSError):
                status = os.stat(self.output)
                parts += [str(status.st_size), str(status.st_mtime_ns)]
        return f"{crc32c(os.fsencode(chr(0).join(parts))):08x}"


def _listed(folder: Path) -> list[str]:
    """Return the names in a folder; none if it cannot be listed: `discovery` raises the error."""
    try:
        return os.listdir(folder)
    except (OSError, ValueError):
        return []


def _may_have_images(listed: Sequence[str]) -> bool:
    """Return True if a folder has names other than those of packed files and their companions."""
    return any(
        not name.endswith(COMPANION_ENDINGS) and not registry.is_packed_name(name)
        for name in listed
    )


def find_manifest(
    path: DatasetPaths,
    index_dir: Path | None,
    options: IndexOptions,
    stored: StoredSets | None = None,
) -> Manifest | None:
    """Return the saved manifest of the files that a path stands for.

    Returns None without a manifest, and if files of the set came, went or changed. Returns None
    also if the options need other indexes than the saved ones.

    - stored: finds objects in stores.
    """
    if options.untrusted or options.allow_external or options.restricted:
        return None
    if (at := stored_path(path)) is not None:
        stored = stored or StoredSets(root_manifests(index_dir))
        return _manifest_of(stored.find(at), index_dir, options)
    found = NamedSet.of(path)
    if found is None:
        return None
    if found.has_staging and unfinished_files(found.output.parent, found.output.name):
        return None
    saved = manifest_path(found.output, index_dir)
    with contextlib.suppress(FastpackError):
        if not saved.is_file():
            return None
        manifest, digest = Manifest.load(saved, found.output.parent, found.num_shards)
        # Its names are those of the folder, so it cannot lead anywhere else.
        is_same = digest == found.digest and sorted(manifest.entries.names()) == found.shard_names
        is_known = manifest.containers <= set(registry.NAMES)
        if is_same and is_known and _serves(manifest, options) and not _has_changed(manifest):
            return manifest
    return None


def stored_path(path: DatasetPaths) -> StorePath | None:
    """Return the only path as a StorePath; None if there are several, or it is local."""
    if isinstance(path, list | tuple) and len(path) == 1:
        return stored_path(path[0])
    at = path_at(path)
    return at if isinstance(at, StorePath) else None


def _manifest_of(
    found: StoredSet, index_dir: Path | None, options: IndexOptions
) -> Manifest | None:
    """Return the manifest of objects: that of their store, or the local one if it is theirs."""
    if found.root is not None:
        return found.root if _serves(found.root, options) else None
    if found.output is None:
        return None
    output = as_path(found.output)
    with contextlib.suppress(FastpackError, OSError):
        saved = manifest_path(output, index_dir)
        manifest, _ = Manifest.load(saved, output.parent, len(found.paths))
        is_known = manifest.containers <= set(registry.NAMES)
        if is_known and found.is_of(manifest) and _serves(manifest, options):
            return manifest
    return None


def save_manifest_of(found: StoredSet, manifest: Manifest, index_dir: Path | None) -> None:
    """Save the manifest of a set in a store that has none there, as a local file."""
    if found.output is None or found.root is not None or not found.is_of(manifest):
        return
    output = as_path(found.output)
    saved = manifest_path(output, index_dir)
    with contextlib.suppress(FastpackError, OSError, ValueError):
        make_metadata_folder(saved, output)
        manifest.save(saved, "")


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
        if is_in_store(shard.path):  # each read compares its etag
            continue
        with contextlib.suppress(OSError):
            status = os.stat(shard.path)
            if (status.st_size, status.st_mtime_ns) == (shard.size, shard.mtime_ns):
                continue
        yield number


def save_manifest(
    path: DatasetPaths | NamedSet, manifest: Manifest, index_dir: Path | None
) -> bool:
    """Save the manifest if the path stands for all files of a set. Return True if it was saved.

    A manifest is derived, so nothing is lost if the OS refuses to write it.
    """
    found = path if isinstance(path, NamedSet) else NamedSet.of(path)
    if found is None or found.num_shards != len(manifest):
        return False
    if unfinished_files(found.output.parent, found.output.name):
        return False
    if [shard.absolute() for shard in manifest.paths] != data_members(found.output):
        return False
    saved = manifest_path(found.output, index_dir)
    # ValueError: a table of too many columns.
    with contextlib.suppress(FastpackError, OSError, ValueError):
        is_ours = not os.path.lexists(saved) or is_table_file(saved)
        # A pack may have replaced the shards since they were indexed.
        if is_ours and not _has_changed(manifest):
            manifest.save(saved, found.digest)
            return True
    return False


def discard_manifest(manifest: Manifest) -> None:
    """Remove a saved manifest, unless another one has its name by now."""
    file = manifest.file
    if file is None or file.path is None:
        return
    with contextlib.suppress(FastpackError, OSError):
        if TableFile.open(file.path).checksum == file.checksum:
            file.path.unlink()
