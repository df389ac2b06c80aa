"""Free space: checks that a disk has room for the output."""

import errno
import os
from pathlib import Path

from fastpack.errors import Location, UnreadableFileError, os_errors_at, with_location


def require_free_space(folder: Path, need_bytes: int) -> None:
    """Raise UnreadableFileError (ENOSPC) if the disk has less than `need_bytes`."""
    with os_errors_at(folder, "read the free space of the disk"):
        facts = os.statvfs(folder)
    have_bytes = facts.f_bavail * facts.f_frsize
    if facts.f_blocks and have_bytes < need_bytes:  # some file systems report no blocks
        message = f"the disk has too little space: {need_bytes:,} bytes needed, {have_bytes:,} free"
        remedy = "free some, or choose another disk"
        text = with_location(f"{message}; {remedy}", Location(folder))
        raise UnreadableFileError(errno.ENOSPC, text)
