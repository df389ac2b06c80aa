"""Root manifests: the manifests of sets in stores, which define what is in the set."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from fastpack.errors import ChangedFileError, FastpackError, FormatError, Location, with_location
from fastpack.files.atomic import atomic_write
from fastpack.files.companions import manifest_object, root_manifest_path
from fastpack.files.local_metadata import make_metadata_folder
from fastpack.files.write_tables import MAGIC
from fastpack.formats import registry
from fastpack.formats.manifest import Manifest
from fastpack.stores.store import ObjectFacts
from fastpack.stores.store_path import StorePath, as_path

ReadRoot = Callable[[StorePath, ObjectFacts], Manifest | None]


def root_manifests(index_dir: Path | None, *, save: bool = True) -> ReadRoot:
    """Return a function that reads root manifests, and keeps local copies of them.

    - index_dir: the folder of the copies; None for the one of local metadata.
    - save: keep copies; else manifests are held in memory.
    """

    def read(output: StorePath, facts: ObjectFacts) -> Manifest | None:
        local = root_manifest_path(as_path(output), facts.etag, index_dir)
        with contextlib.suppress(FastpackError, OSError):  # missing or damaged
            if facts.etag:
                return _checked(Manifest.load(local, as_path(output.parent))[0])
        data = _downloaded(output, facts.etag)
        if not data.startswith(MAGIC):
            return None  # another program's file
        try:
            manifest = _checked(Manifest.of_bytes(data, as_path(output.parent)))
        except FormatError as error:
            message = f"the set's manifest in the store is damaged ({error}); pack the set again"
            where = Location(manifest_object(as_path(output)))
            raise FormatError(with_location(message, where)) from error
        if manifest is None or not save or not facts.etag:
            return manifest
        with contextlib.suppress(FastpackError):
            make_metadata_folder(local, as_path(output))
            with atomic_write(local, sync=False) as temporary:
                temporary.write_bytes(data)
            return Manifest.load(local, as_path(output.parent))[0]
        return manifest

    return read


def _downloaded(output: StorePath, etag: str) -> bytes:
    saved = manifest_object(as_path(output))
    try:
        return saved.store.read(saved.key, etag)
    except ChangedFileError:  # replaced since it was listed: the new one counts
        return saved.store.read(saved.key)


def _checked(manifest: Manifest) -> Manifest | None:
    """Return the manifest if it identifies all objects: one of local files does not."""
    is_known = manifest.containers <= set(registry.NAMES)
    return manifest if is_known and manifest.entries.have_etags else None
