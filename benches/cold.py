"""Files that must come from the disk again, for benches with a cold cache."""

import os
from collections.abc import Iterable
from pathlib import Path

# FASTPACK_BENCH_COLD: empty (warm caches only); "files" lets go of the files that are read; "all", for root, of the whole page cache,
# with names and inodes.
COLD = os.environ.get("FASTPACK_BENCH_COLD", "")
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def forget(paths: Iterable[Path]) -> bool:
    """Takes files, and those below folders, out of the page cache; says whether they are. In a file system in memory they stay."""
    if COLD not in ("", "files", "all"):
        raise SystemExit(f"FASTPACK_BENCH_COLD is {COLD!r}; it may be files or all")
    files = [file for path in paths for file in (path, *path.rglob("*")) if file.is_file()]
    for file in files:
        _forget_file(file)
    is_kept = any(map(_is_kept, files))
    for file in files:
        _forget_file(file)  # the page that was looked at
    if COLD == "all":
        os.sync()
        _DROP_CACHES.write_text("3\n")
    return not is_kept


def _forget_file(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())  # what still waits to be written would stay
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _is_kept(path: Path) -> bool:
    """Looks at the middle of the file alone, which may then be fetched. Of a file system that cannot say, nothing cold is claimed."""
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
