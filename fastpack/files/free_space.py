"""Free space: checks that a disk has room for the output."""

import errno
import os
import sys
from pathlib import Path

from fastpack.errors import Location, UnreadableFileError, os_errors_at, with_location


def require_free_space(folder: Path, need_bytes: int) -> None:
    """Raise UnreadableFileError (ENOSPC) if the disk has less than `need_bytes`."""
    have_bytes = free_bytes(folder)
    if have_bytes < need_bytes:
        message = f"the disk has too little space: {need_bytes:,} bytes needed, {have_bytes:,} free"
        remedy = "free some, or choose another disk"
        text = with_location(f"{message}; {remedy}", Location(folder))
        raise UnreadableFileError(errno.ENOSPC, text)


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk; a huge number if the file system does not report any."""
    with os_errors_at(folder, "read the free space of the disk"):
        facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize if facts.f_blocks else sys.maxsize
