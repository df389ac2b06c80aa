"""StoredSets: which objects in stores a path stands for.

A set that has a manifest in its store (a root manifest) is what the manifest lists. Other objects
are found by their names, as files are.
"""

import errno
import fnmatch
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fastpack.errors import (
    EmptySourceError,
    FastpackError,
    Location,
    MissingFileError,
    OptionError,
    with_location,
)
from fastpack.files.companions import is_beside, manifest_object
from fastpack.files.naming import Member, in_order
from fastpack.formats.manifest import Manifest
from fastpack.formats.registry import is_packed_name
from fastpack.stores.listing import Listing, Listings
from fastpack.stores.store import ObjectFacts
from fastpack.stores.store_path import StorePath, as_object, as_path
from fastpack.stores.url import has_listing

# Reads the root manifest of a set with this name and these facts; None if it is not one.
ReadRoot = Callable[[StorePath, ObjectFacts], Manifest | None]
_GLOB = "*?["
_MANY = 4  # objects of one folder in a list: to list the folder is faster
_AT_ONCE = 32  # requests for objects in other folders


@dataclass(frozen=True)
class StoredSet:
    """The objects that a path stands for.

    Args:
        listed: paths of the shards, in order, with their facts; () with a root manifest.
        output: the name of the set, if these are all of its two or more shards; else None.
        root: its manifest in the store; None without one.
    """

    listed: tuple[StorePath, ...]
    output: StorePath | None = None
    root: Manifest | None = None

    @property
    def paths(self) -> tuple[StorePath, ...]:
        """Paths of the shards, in order, with their facts. It takes time for each."""
        return self.listed if self.root is None else tuple(map(as_object, self.root.paths))

    def is_of(self, manifest: Manifest) -> bool:
        """Return True if the manifest is of these objects as they are now."""
        facts = [path.facts() for path in self.paths]
        is_same = manifest.entries.names() == [path.name for path in self.paths]
        return (
            is_same
            and list(manifest.entries.etags()) == [each.etag for each in facts]
            and manifest.column("size").tolist() == [each.size for each in facts]
        )


class StoredSets:
    """Finds the objects of paths. Each folder is listed once: all sets are of one moment.

    Args:
        read_root: reads root manifests; None to take no manifest's word.
    """

    def __init__(self, read_root: ReadRoot | None) -> None:
        self._read_root = read_root
        self._listings = Listings()
        self._found: dict[StorePath, StoredSet] = {}

    @property
    def of_roots(self) -> set[StorePath]:
        """The shards that were found by a root manifest."""
        return {path for found in self._found.values() if found.root for path in found.paths}

    def find_together(self, paths: Sequence[StorePath]) -> None:
        """Find many paths with few round trips: by listings of their folders, others at once."""
        counts = Counter(path.parent for path in paths if has_listing(path.root))
        for folder, count in counts.items():
            if count >= _MANY:
                self._listings.of(folder)
        apart = [path for path in dict.fromkeys(paths) if not self._listings.has(path.parent)]
        if len(apart) >= _MANY:
            with ThreadPoolExecutor(min(_AT_ONCE, len(apart))) as threads:
                list(threads.map(self.find, apart))

    def find(self, path: StorePath) -> StoredSet:
        """Return the objects of a path. Raises MissingFileError or EmptySourceError."""
        if path not in self._found:
            self._found[path] = self._new(path)
        return self._found[path]

    def _new(self, path: StorePath) -> StoredSet:
        if any(letter in path.key for letter in _GLOB):
            return self._matching(path)
        if Member.of(as_path(path)) is not None:
            return StoredSet((self._object(path),))
        is_listed = has_listing(path.root)
        root = self._root(path) if is_packed_name(path.name) or not is_listed else None
        if root is not None:
            return _of_root(path, root)
        if not is_listed:
            return StoredSet((self._object(path),))
        listing = self._listings.of(path.parent)
        if not path.key or path.name in listing.folders:
            return self._below(path)
        members = _members(path, listing)
        if not members:
            raise _missing(path)
        return self._with_roots(path.parent, members, lambda name: True)

    def _object(self, path: StorePath) -> StorePath:
        if not self._listings.has(path.parent):
            return path.with_facts(path.facts())
        found = self._listings.of(path.parent).objects.get(path.name)
        if found is None:
            raise _missing(path)
        return found

    def _root(self, output: StorePath) -> Manifest | None:
        """Return the root manifest of a set; None if it has none."""
        if self._read_root is None:
            return None
        saved = manifest_object(as_path(output))
        if self._listings.has(output.parent):
            found = self._listings.of(output.parent).objects.get(saved.name)
            return None if found is None else self._read_root(output, found.facts())
        facts = saved.if_visible(StorePath.facts)
        return None if facts is None else self._read_root(output, facts)

    def _below(self, folder: StorePath) -> StoredSet:
        listing = self._listings.of(folder)
        packed = [path for name, path in listing.objects.items() if is_packed_name(name)]
        if not packed:
            message = "no TFRecord, HDF5 or tar objects here; `fastpack pack` packs images"
            raise EmptySourceError(with_location(message, Location(folder)))
        return self._with_roots(folder, packed, is_packed_name)

    def _matching(self, pattern: StorePath) -> StoredSet:
        """Return what a glob matches. Patterns may be in any part of the key."""
        if not has_listing(pattern.root):
            message = "HTTP servers have no listing, so a glob matches nothing; list the URLs"
            raise OptionError(with_location(message, Location(pattern)))
        *parts, last = pattern.key.split("/")
        folders = [StorePath(pattern.root, "", pattern.options)]
        for part in parts:
            folders = [below for folder in folders for below in self._folders(folder, part)]
        found = [
            self._with_roots(folder, matches, lambda name: fnmatch.fnmatchcase(name, last))
            for folder in folders
            if (matches := _matches(self._listings.of(folder), last))
        ]
        if not found:
            raise _missing(pattern)
        if len(found) == 1:
            return found[0]
        return StoredSet(tuple(path for each in found for path in each.paths))

    def _folders(self, folder: StorePath, part: str) -> list[StorePath]:
        if not any(letter in part for letter in _GLOB):
            return [folder / part]
        return [folder / name for name in fnmatch.filter(self._listings.of(folder).folders, part)]

    def _with_roots(
        self, folder: StorePath, chosen: Sequence[StorePath], is_chosen: Callable[[str], bool]
    ) -> StoredSet:
        """Return chosen objects of a folder; of sets with a root manifest, those of the manifest.

        - is_chosen: of the names of a manifest.
        """
        listing = self._listings.of(folder)
        outputs = dict.fromkeys(map(_output_of, chosen))
        roots = {output: root for output in outputs if (root := self._root(output)) is not None}
        if len(outputs) == len(roots) == 1:
            (output, root) = next(iter(roots.items()))
            if all(map(is_chosen, root.entries.names())):
                return _of_root(output, root)
        of_roots = [
            as_object(path)
            for root in roots.values()
            for path in root.paths
            if is_chosen(path.name)
        ]
        others = [path for path in chosen if _output_of(path) not in roots]
        paths = _ordered([*of_roots, *_without_virtual_datasets(others)])
        if roots or len(outputs) > 1:
            return StoredSet(tuple(paths))
        output = next(iter(outputs))
        is_whole = len(paths) > 1 and paths == _members(output, listing)
        return StoredSet(tuple(paths), output if is_whole else None)


def _of_root(output: StorePath, root: Manifest) -> StoredSet:
    return StoredSet((), output, root)


def _output_of(path: StorePath) -> StorePath:
    """Return the name of the set that an object is of: its own name without a number."""
    member = Member.of(as_path(path))
    return path if member is None else as_object(member.output)


def _members(output: StorePath, listing: Listing) -> list[StorePath]:
    """Return the listed shards of a set, in order."""
    start, end = f"{output.stem}-", output.suffix
    found = [
        path
        for name, path in listing.objects.items()
        if name == output.name
        or (name.startswith(start) and name.endswith(end) and _output_of(path) == output)
    ]
    return _ordered(_without_virtual_datasets(found))


def _matches(listing: Listing, pattern: str) -> list[StorePath]:
    names = fnmatch.filter(listing.objects, pattern)
    found = map(listing.objects.__getitem__, names)
    return [path for path in found if not is_beside(as_path(path))]


def _without_virtual_datasets(paths: Sequence[StorePath]) -> list[StorePath]:
    """Leave out plain objects beside a number 0, which are virtual datasets of the others."""
    members = [member for member in map(Member.of, map(as_path, paths)) if member]
    firsts = {member.output for member in members if member.number == 0}
    return [path for path in paths if as_path(path) not in firsts]


def _ordered(paths: Sequence[StorePath]) -> list[StorePath]:
    return list(map(as_object, in_order(map(as_path, paths))))


def _missing(path: StorePath) -> FastpackError:
    message = "no such object, and no object matches; check the URL"
    return MissingFileError(errno.ENOENT, with_location(message, Location(path)))
