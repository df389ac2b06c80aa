"""StoreOutput: the sets of a pack in a store, as objects of one folder."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fastpack.errors import Location, MissingFileError, OutputExistsError, with_location
from fastpack.files.companions import index_path
from fastpack.files.naming import marked
from fastpack.files.publication import companions
from fastpack.packing.rejects import Reject, report_text
from fastpack.packing.store_journal import Commit
from fastpack.packing.store_set import StoreSet, held_names
from fastpack.stores.probe import Probed
from fastpack.stores.store import ObjectFacts
from fastpack.stores.store_path import StorePath

_MARK_LETTERS = 8


class StoreOutput:
    """The objects beside an output, as they were when the folder was listed.

    Args:
        output: the output.
        outputs: names of the sets.
        probed: the facts about the store.
    """

    def __init__(self, output: StorePath, outputs: Sequence[str], probed: Probed) -> None:
        self._output, self._probed = output, probed
        self.sets = [StoreSet(output.with_name(name)) for name in outputs]
        self._listed: dict[str, ObjectFacts] = {}

    def list(self) -> None:
        """List the folder."""
        parent = self._output.parent
        objects, _ = parent.store.list_folder(parent.prefix)
        self._listed = {facts.key.rpartition("/")[2]: facts for facts in objects}

    def facts(self, name: str) -> ObjectFacts | None:
        """Return the facts of an object."""
        return self._listed.get(name)

    def refuse_existing(self) -> None:
        """Raise OutputExistsError if a set has objects."""
        for each in self.sets:
            names = [name for name in self._listed if each.has(name)]
            if names:
                message = "the output exists already; ask for overwrite, or choose another name"
                location = Location(self._output.with_name(names[0]))
                raise OutputExistsError(with_location(message, location))

    def refuse_other_manifests(self, commit: Commit) -> None:
        """Raise OutputExistsError if there is a manifest that another program put."""
        for each in self.sets:
            name = each.manifest_name
            if name in self._listed and not self._is_put(name, commit):
                message = "another program wrote this output meanwhile"
                remedy = "choose another name, or ask for overwrite"
                location = Location(each.manifest)
                raise OutputExistsError(with_location(f"{message}; {remedy}", location))

    def has_put(self, commit: Commit) -> bool:
        """Return True if the manifests in the store are those of a pack."""
        names = commit.manifests
        return bool(names) and all(self._is_put(name, commit) for name in names)

    def _is_put(self, name: str, commit: Commit) -> bool:
        path = self._output.with_name(name)
        try:
            return digest_of(path.store.read(path.key)) == commit.manifests.get(name)
        except MissingFileError:
            return False

    def new_names(self, paths: Sequence[Path], token: str) -> tuple[str, ...]:
        """Return names for shards that no object has: the usual ones, or marked ones."""
        usual = tuple(path.name for path in paths)
        beside = (beside.name for path in paths for beside in companions(path))
        is_free = self._listed.keys().isdisjoint([*usual, *beside])
        if is_free and self._probed.honors_conditions:
            return usual
        return tuple(marked(path, token[:_MARK_LETTERS]).name for path in paths)

    def replaced_by(self, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Return names and etags of the objects that new shards make superfluous."""
        new = {each for name in names for each in (name, index_name(name))}
        return tuple(
            (name, facts.etag)
            for name, facts in self._listed.items()
            if name not in new and any(each.has(name) for each in self.sets)
        )

    def put_manifests(self, manifests: Mapping[StoreSet, bytes]) -> None:
        """Put the manifests in the place of those that were listed. See StoreSet.put_manifest."""
        for each, data in manifests.items():
            facts = self.facts(each.manifest_name)
            each.put_manifest(data, "" if facts is None else facts.etag, self._probed)

    def put_report(self, name: str, rejects: Sequence[Reject]) -> None:
        """Put the report on rejects; without any, delete that of an earlier pack."""
        target = self._output.with_name(name)
        if rejects:
            target.store.put(target.key, report_text(rejects).encode())
        elif name in self._listed:
            target.store.delete([target.key])

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects and the indexes beside them, but none that a manifest names."""
        kept = {name for each in self.sets for name in held_names(each)}
        unwanted = {each for name in names for each in (name, index_name(name))}
        unwanted -= {*kept, *map(index_name, kept)}
        self._output.store.delete([self._output.with_name(name).key for name in sorted(unwanted)])


def index_name(shard: str) -> str:
    """Return the name of the object with a shard's index."""
    return index_path(Path(shard)).name


def digest_of(data: bytes) -> str:
    """Return a checksum of a manifest."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
