"""Puts indexes and manifests beside the objects of stores that they are of.

Each put is conditional. If another program was faster, its object stays: both are derived from the
same content.
"""

import contextlib
import errno
from pathlib import Path

from fastpack.errors import (
    ChangedFileError,
    Location,
    OutputExistsError,
    StoreError,
    with_location,
)
from fastpack.files.companions import index_object, manifest_object
from fastpack.formats.manifest import Manifest
from fastpack.formats.stored_index import fetch_index
from fastpack.formats.stored_set import StoredSet
from fastpack.stores.store_path import StorePath, as_path


def put_index(path: StorePath, index: Path, *, is_new: bool) -> None:
    """Put the saved index of an object beside it, unless there is a fresh one.

    - is_new: the index was built or changed now.
    """
    if is_new or fetch_index(path) is None:
        _put(index_object(as_path(path)), index.read_bytes())


def put_root_manifest(found: StoredSet, manifest: Manifest) -> None:
    """Put the manifest of a whole set beside its shards, if it has none or an older one."""
    if found.output is None or not found.is_of(manifest):
        return
    if manifest.entries.have_etags:
        _put(manifest_object(as_path(found.output)), manifest.root_bytes())


def _put(at: StorePath, data: bytes) -> None:
    facts = at.if_visible(StorePath.facts)
    etag = "" if facts is None else facts.etag
    try:
        if etag and at.store.read(at.key) == data:
            return
        with contextlib.suppress(OutputExistsError, ChangedFileError):
            at.store.put(at.key, data, if_absent=not etag, if_match=etag)
    except StoreError as error:
        if error.errno != errno.EACCES:
            raise
        message = "there is no permission to write beside the objects; give an index_dir"
        raise StoreError(errno.EACCES, with_location(message, Location(at))) from error
