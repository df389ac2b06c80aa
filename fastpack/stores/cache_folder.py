"""CacheFolder: the files of a cache, shared by all processes of a machine.

`FOLDER/ab/abcdef.../NUMBER.block` is a block, `NUMBER.new` one that is being written. The marker
`fastpack-cache` says that the folder is ours. Only such names in a folder with a marker are ever
deleted, and links are not followed. Processes agree through file locks alone, which the OS
releases when a process dies.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastpack.errors import Location, OptionError, UnreadableFileError, os_errors_at, with_location
from fastpack.stores.block_file import BlockId

MARKER = "fastpack-cache"
_PREFIX = re.compile(r"[0-9a-f]{2}")
_IDENTITY = re.compile(r"[0-9a-f]{32}")
_BLOCK = re.compile(r"([0-9]+)\.block")
_NEW = re.compile(r"[0-9]+\.new")


@dataclass(frozen=True)
class StoredBlock:
    """The file of a block.

    Args:
        identity: of the object.
        number: of the block.
        num_bytes: of the file.
        last_use: in ns.
    """

    identity: str
    number: int
    num_bytes: int
    last_use: int


class CacheFolder:
    """A folder with block files. `open` makes it.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: Path) -> "CacheFolder":
        """Make the folder, or take one with a marker. Raises OptionError for another folder."""
        with os_errors_at(path, "make the cache folder"):
            path.mkdir(parents=True, exist_ok=True)
            names = os.listdir(path)
            marker = path / MARKER
            if MARKER not in names and names:
                message = f"the folder has other files, and no {MARKER}; name an empty folder"
                raise OptionError(with_location(message, Location(path)))
            descriptor = os.open(
                marker, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
            )
            os.close(descriptor)
        return cls(path)

    def path_of(self, block: BlockId) -> Path:
        return self._folder(block.identity) / f"{block.number}.block"

    def _folder(self, identity: str) -> Path:
        return self.path / identity[:2] / identity

    def claim(self, block: BlockId) -> "Claim | None":
        """Take the right to write a block; None if another process has it.

        Raises UnreadableFileError.
        """
        path = self._folder(block.identity) / f"{block.number}.new"
        with os_errors_at(path, "write to the cache"):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            claim = Claim(path, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            return claim if claim.holds() else None

    def is_claimed(self, block: BlockId) -> bool:
        """Return True while a living process writes a block."""
        path = self._folder(block.identity) / f"{block.number}.new"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def remove(self, block: BlockId) -> None:
        """Remove a damaged block."""
        with contextlib.suppress(OSError):
            os.unlink(self.path_of(block))

    def blocks(self) -> Iterator[StoredBlock]:
        """Yield all blocks. Files that vanish meanwhile are left out."""
        for entry in self._files():
            match = _BLOCK.fullmatch(entry.name)
            if match is None:
                continue
            with contextlib.suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                identity = os.path.basename(os.path.dirname(entry.path))
                yield StoredBlock(identity, int(match[1]), facts.st_size, facts.st_mtime_ns)

    def discard(self, block: StoredBlock) -> bool:
        """Remove a block to make room. Return True if it was there."""
        path = self._folder(block.identity) / f"{block.number}.block"
        with contextlib.suppress(OSError):
            os.unlink(path)
            return True
        return False

    def remove_leftovers(self) -> None:
        """Remove what killed processes were writing."""
        for entry in self._files():
            if not _NEW.fullmatch(entry.name):
                continue
            with contextlib.suppress(OSError):
                descriptor = os.open(entry.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                claim = Claim(Path(entry.path), descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if claim.holds():
                    claim.abandon()

    def _files(self) -> "Iterator[os.DirEntry[str]]":
        """Yield the entries of all folders of objects, without following links."""
        for prefix in _entries(self.path):
            if _PREFIX.fullmatch(prefix.name) and prefix.is_dir(follow_symlinks=False):
                for folder in _entries(Path(prefix.path)):
                    if _IDENTITY.fullmatch(folder.name) and folder.is_dir(follow_symlinks=False):
                        yield from _entries(Path(folder.path))

    @contextlib.contextmanager
    def evicting(self) -> Iterator[bool]:
        """Hold the lock of eviction inside; the value is False if another process has it."""
        with os_errors_at(self.path / MARKER, "lock the cache"):
            descriptor = os.open(
                self.path / MARKER, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
            )
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)


def _entries(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # it vanished
        return []


class Claim:
    """A block that this process writes: a locked file, which becomes the block's.

    Args:
        path: of the file while it is written.
        descriptor: of the file, which the object owns.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self._descriptor = path, descriptor

    def holds(self) -> bool:
        """Return True if the locked file still has its name."""
        try:
            there = os.lstat(self.path)
        except FileNotFoundError:
            return False
        return stat.S_ISREG(there.st_mode) and os.path.samestat(os.fstat(self._descriptor), there)

    def write(self, pieces: list[bytes | memoryview]) -> None:
        """Write the file, and give it the name of the block.

        Raises UnreadableFileError, for instance if the disk is full.
        """
        try:
            os.ftruncate(self._descriptor, 0)
            offset = 0
            for piece in pieces:
                left = memoryview(piece).cast("B")
                while left:
                    written = os.pwrite(self._descriptor, left, offset)
                    left, offset = left[written:], offset + written
            os.rename(self.path, self.path.with_suffix(".block"))
        except OSError as error:
            self.abandon()
            remedy = "check the disk of the cache"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                remedy = "free space on the disk of the cache, or lower cache_size"
            message = f"cannot write to the cache: {error.strerror}; {remedy}"
            text = with_location(message, Location(self.path))
            raise UnreadableFileError(error.errno, text) from error
        self.close()

    def abandon(self) -> None:
        """Remove the file, and release the lock."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()
