"""Names of the files that lie beside a shard: its index, and the report of its pack."""

import os
from pathlib import Path

from fastpack._native.crc32c import crc32c

_INDEX_SUFFIX = ".index.npz"


def index_path(shard: Path, index_dir: Path | None = None) -> Path:
    """Where the index of a shard is saved: beside it; or in `index_dir`, where shards of other folders may have its name."""
    shard = shard if shard.name not in ("", "..") else shard.resolve()
    if index_dir is None:
        return shard.with_name(shard.name + _INDEX_SUFFIX)
    folder = crc32c(os.fsencode(shard.absolute().parent))
    return index_dir / f"{shard.name}.{folder:08x}{_INDEX_SUFFIX}"


def is_beside(path: Path) -> bool:
    """True for what lies beside shards and is none: an index, or the report of a pack."""
    return path.name.endswith(_INDEX_SUFFIX) or is_report(path)


_REPORT_SUFFIX = ".rejects.jsonl"


def report_path(output: Path) -> Path:
    """`train.tfrecord.rejects.jsonl`, say."""
    return output.with_name(output.name + _REPORT_SUFFIX)


def is_report(path: Path) -> bool:
    return path.name.endswith(_REPORT_SUFFIX)
