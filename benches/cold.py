"""Files that must come from the disk again, for benches with a cold cache."""

import os
from collections.abc import Iterable
from pathlib import Path

# FASTPACK_BENCH_COLD: empty (warm caches only); "files" lets go of the files that are read; "all", for root, of the whole page cache,
# with names and inodes.
COLD = os.environ.get("FASTPACK_BENCH_COLD", "")
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def forget(paths: Iterable[Path]) -> None:
    """Takes files, and those below folders, out of the page cache. In a file system in memory they stay."""
    if COLD not in ("", "files", "all"):
        raise SystemExit(f"FASTPACK_BENCH_COLD is {COLD!r}; it may be files or all")
    for path in paths:
        for file in (path, *path.rglob("*")):
            if file.is_file():
                _forget_file(file)
    if COLD == "all":
        os.sync()
        _DROP_CACHES.write_text("3\n")


def _forget_file(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())  # what still waits to be written would stay
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
