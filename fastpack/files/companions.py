"""Names of the companions of a shard: its index, and the report of its pack."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from fastpack._native.crc32c import crc32c
from fastpack.errors import Location, OptionError, from_os_error, with_location

_INDEX_SUFFIX = ".index.npz"
_REPORT_SUFFIX = ".rejects.jsonl"


def index_path(shard: Path, index_dir: Path | None = None) -> Path:
    """Return the path of a shard's index: beside it, or in `index_dir`.

    There its name has a checksum of the shard's folder: shards of two folders may share a name.
    """
    shard = shard if shard.name not in ("", "..") else shard.resolve()
    if index_dir is None:
        return shard.with_name(shard.name + _INDEX_SUFFIX)
    folder = crc32c(os.fsencode(shard.absolute().parent))
    return index_dir / f"{shard.name}.{folder:08x}{_INDEX_SUFFIX}"


def is_beside(path: Path) -> bool:
    """Return True for a companion of a shard: an index, or the report of a pack."""
    return path.name.endswith(_INDEX_SUFFIX) or is_report(path)


def report_path(output: Path) -> Path:
    """Return the path of a pack's report, such as `train.tfrecord.rejects.jsonl`."""
    return output.with_name(output.name + _REPORT_SUFFIX)


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
