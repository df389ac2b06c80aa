"""Eviction of files from the page cache, for benchmarks with a cold cache."""

import os
from collections.abc import Iterable
from pathlib import Path

# FASTPACK_BENCH_COLD: empty (warm caches only); "files" evicts the files that are read; "all" (as
# root) drops the whole page cache, with names and inodes.
COLD = os.environ.get("FASTPACK_BENCH_COLD", "")
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def evict(paths: Iterable[Path]) -> bool:
    """Evict files, and files below folders, from the page cache; return whether they are gone."""
    if COLD not in ("", "files", "all"):
        raise SystemExit(f"FASTPACK_BENCH_COLD is {COLD!r}; it must be empty, files or all")
    files = [file for path in paths for file in (path, *path.rglob("*")) if file.is_file()]
    for file in files:
        _evict_file(file)
    is_kept = any(map(_is_cached, files))
    for file in files:
        _evict_file(file)  # the page that _is_cached read
    if COLD == "all":
        os.sync()
        _DROP_CACHES.write_text("3\n")
    return not is_kept


def load(paths: Iterable[Path]) -> None:
    """Read files, files below folders, and indexes beside them, so that they are cached.

    Some systems drop pages that were not used for a while, even with free memory.
    """
    for path in paths:
        files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.name}*")
        for file in (file for file in files if file.is_file()):
            with open(file, "rb", buffering=0) as opened:
                while opened.read(2**22):
                    pass


def _evict_file(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())  # dirty pages would stay
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _is_cached(path: Path) -> bool:
    """Return whether the middle page is cached; True if unknown.

    The page may be read into the cache.
    """
    num_bytes = path.stat().st_size
    with open(path, "rb", buffering=0) as file:
        try:
            return (
                num_bytes > 0
                and os.preadv(file.fileno(), [bytearray(1)], num_bytes // 2, os.RWF_NOWAIT) > 0
            )
        except BlockingIOError:
            return False
        except OSError:
            return True
