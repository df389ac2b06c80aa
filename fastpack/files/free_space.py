"""Room: whether a disk can take what is to be written."""

import errno
import os
from pathlib import Path

from fastpack.errors import Location, UnreadableFileError, from_os_error, with_location


def require_free_space(folder: Path, need_bytes: int) -> None:
    """Raises UnreadableFileError, with ENOSPC, when the folder's disk has less than `need_bytes` for us."""
    try:
        facts = os.statvfs(folder)
    except OSError as error:
        raise from_os_error(error, "ask how much room there is", folder) from error
    have_bytes = facts.f_bavail * facts.f_frsize
    if facts.f_blocks and have_bytes < need_bytes:  # some file systems do not count
        message = f"the disk has not enough room: {need_bytes:,} bytes are needed, {have_bytes:,} are free; free some, or choose another disk"
        raise UnreadableFileError(errno.ENOSPC, with_location(message, Location(folder)))
