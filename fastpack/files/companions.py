"""Names of the companions of a dataset: indexes of its files, its manifest, the pack's report."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from fastpack._native.crc32c import crc32c
from fastpack.errors import Location, OptionError, from_os_error, with_location
from fastpack.files.local_metadata import content_digest, metadata_folder
from fastpack.stores.store_path import StorePath, as_object, is_in_store

_INDEX_SUFFIX = ".fpindex"
_FORMER_INDEX_SUFFIX = ".index.npz"
_MANIFEST_SUFFIX = ".manifest"
_REPORT_SUFFIX = ".rejects.jsonl"
_CLASSES_SUFFIX = ".classes"


def index_path(shard: Path, index_dir: Path | None = None) -> Path:
    """Return the path of a shard's index: beside it, or in `index_dir`.

    There its name has a checksum of the shard's folder: shards of two folders may share a name.
    That of an object in a store is a local file too (see `local_metadata`).
    """
    return _companion(shard, index_dir, _INDEX_SUFFIX)


def former_index_path(shard: Path, index_dir: Path | None = None) -> Path:
    """Return the path of a shard's index in numpy's format, which earlier versions wrote."""
    return _companion(shard, index_dir, _FORMER_INDEX_SUFFIX)


def shard_name(index: Path) -> str:
    """Return the name of the file that an index beside it is of."""
    return index.name.removesuffix(_INDEX_SUFFIX)


def manifest_path(output: Path, index_dir: Path | None = None) -> Path:
    """Return the path of the manifest of a set with this name."""
    return _companion(output, index_dir, _MANIFEST_SUFFIX)


def index_object(shard: Path) -> StorePath:
    """Return the object beside a shard in a store that has the shard's index."""
    return as_object(shard.with_name(shard.name + _INDEX_SUFFIX))


def manifest_object(output: Path) -> StorePath:
    """Return the object with the manifest of a set in a store."""
    return as_object(output.with_name(output.name + _MANIFEST_SUFFIX))


def root_manifest_path(output: Path, etag: str, index_dir: Path | None = None) -> Path:
    """Return the path of the local copy of one content of that object."""
    return _companion(output, index_dir, f".{content_digest(etag)}{_MANIFEST_SUFFIX}")


def classes_path(file: Path, column: str) -> Path:
    """Return the path of the classes that `Balanced` sorts by, beside an index or a manifest.

    Its name has a checksum of the column's name, which may be no name of a file.
    """
    return file.with_name(f"{file.name}.{crc32c(os.fsencode(column)):08x}{_CLASSES_SUFFIX}")


def _companion(file: Path, index_dir: Path | None, suffix: str) -> Path:
    file = file if file.name not in ("", "..") else file.resolve()
    if index_dir is None:
        folder = metadata_folder(file.parent) if is_in_store(file) else file.parent
        return folder / f"{file.name}{suffix}"
    checksum = crc32c(os.fsencode(str(file.absolute().parent)))
    return index_dir / f"{file.name}.{checksum:08x}{suffix}"


def is_beside(path: Path) -> bool:
    """Return True for a companion: an index, a manifest, sorted classes, or a pack's report."""
    return path.name.endswith(COMPANION_ENDINGS)


def report_path(output: Path) -> Path:
    """Return the path of a pack's report, such as `train.tfrecord.rejects.jsonl`."""
    return output.with_name(output.name + _REPORT_SUFFIX)


COMPANION_ENDINGS = (
    _INDEX_SUFFIX,
    _FORMER_INDEX_SUFFIX,
    _MANIFEST_SUFFIX,
    _REPORT_SUFFIX,
    _CLASSES_SUFFIX,
)


def is_report(path: Path) -> bool:
    """Return True for the name of a pack's report."""
    return path.name.endswith(_REPORT_SUFFIX)


def refuse_long_names(companions: Iterable[Path]) -> None:
    """Raise OptionError for a name that is too long for the file system.

    A shard's own name may fit where those of its companions do not.
    """
    path = max(companions, key=lambda path: len(os.fsencode(path.name)))
    length, limit = len(os.fsencode(path.name)), os.pathconf(path.parent, "PC_NAME_MAX")
    if length > limit:
        message = f"this name has {length} bytes, and the file system allows {limit}"
        remedy = f"it is derived from the dataset's name; shorten that by {length - limit} bytes"
        raise OptionError(with_location(f"{message}; {remedy}", Location(path)))


def exists(companion: Path) -> bool:
    """Return True when the file exists.

    A name too long for the file system has no file.
    """
    try:
        return companion.exists()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise from_os_error(error, "read", companion) from error
