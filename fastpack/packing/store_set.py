"""StoreSet: a set in a store, by the names of its objects and by its manifest."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fastpack.errors import (
    FastpackError,
    Location,
    MissingFileError,
    OutputExistsError,
    with_location,
)
from fastpack.files.companions import COMPANION_ENDINGS, manifest_path
from fastpack.files.naming import Member
from fastpack.files.temporary import temporary_in
from fastpack.formats.dataset_indexes import view_of
from fastpack.formats.index.index_file import IndexFile
from fastpack.formats.manifest import Manifest
from fastpack.formats.manifest_builder import ManifestBuilder
from fastpack.stores.probe import Probed
from fastpack.stores.store_path import StorePath, as_path

# DALI's offsets of records.
_ENDINGS = (*COMPANION_ENDINGS, ".idx")


@dataclass(frozen=True)
class StoreSet:
    """A set in a store.

    Args:
        path: its name.
    """

    path: StorePath

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def manifest(self) -> StorePath:
        """The object of its manifest."""
        return self.path.with_name(self.manifest_name)

    @property
    def manifest_name(self) -> str:
        return manifest_path(Path(self.name)).name

    def has(self, name: str) -> bool:
        """Return True for the name of a shard of the set, or of a companion of one."""
        shard = next((name.removesuffix(end) for end in _ENDINGS if name.endswith(end)), name)
        member = Member.of(Path(shard))
        return shard == self.name or (member is not None and member.output.name == self.name)

    def put_manifest(self, data: bytes, etag: str, probed: Probed) -> None:
        """Put the manifest in the place of the one with `etag`; "" for none.

        Raises OutputExistsError, ChangedFileError or MissingFileError if another one is there.
        """
        store, key = self.manifest.store, self.manifest.key
        if probed.honors_conditions:
            conditions = {"if_match": etag} if etag else {}
            store.put(key, data, if_absent=not etag, **conditions)
            return
        if self._etag() != etag:
            raise OutputExistsError(_other(self.manifest))
        store.put(key, data)
        if store.read(key) != data:
            raise OutputExistsError(_other(self.manifest))

    def _etag(self) -> str:
        try:
            return self.manifest.facts().etag
        except MissingFileError:
            return ""


def _other(manifest: StorePath) -> str:
    return with_location("another program put this manifest", Location(manifest))


def load_manifest(path: StorePath) -> Manifest | None:
    """Return a manifest in a store; None if it is missing, or another program's."""
    try:
        data = path.store.read(path.key)
    except MissingFileError:
        return None
    with suppress(FastpackError):
        return Manifest.of_bytes(data, as_path(path.parent))
    return None


def held_names(each: StoreSet) -> list[str]:
    """Return the names of the shards that the manifest of a set names."""
    manifest = load_manifest(each.manifest)
    return [] if manifest is None else manifest.entries.names()


def manifest_bytes(indexes: Mapping[StorePath, Path], folder: Path) -> bytes:
    """Return the manifest of some shards. Raises SchemaError if they have different fields.

    Args:
        indexes: shard -> its saved index, a local file.
        folder: for a temporary file.
    """
    builder = ManifestBuilder([as_path(shard) for shard in indexes])
    for number, (shard, saved) in enumerate(indexes.items()):
        builder.add(number, IndexFile.open(saved, as_path(shard)))
    manifest = builder.manifest()
    view_of(manifest, None, ())
    with temporary_in(folder) as temporary:
        manifest.save(temporary, "")
        return temporary.read_bytes()
