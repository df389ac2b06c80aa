"""CacheFolder: the files of a cache, shared by all processes of a machine.

`FOLDER/ab/abcdef.../NUMBER.block` is a block, `NUMBER.new` one that is being written. The marker
`fastpack-cache` says that the folder is ours. Only such names in a folder with a marker are ever
written or deleted. Folders are opened one by one without following links, so nothing outside is
touched. Processes agree through file locks alone, which the OS releases when a process dies.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastpack.errors import Location, OptionError, os_errors_at, with_location
from fastpack.stores.block_file import BlockFile, BlockId
from fastpack.stores.file_lock import FileLock

MARKER = "fastpack-cache"
_PREFIX = re.compile(r"[0-9a-f]{2}")
_IDENTITY = re.compile(r"[0-9a-f]{32}")
_BLOCK = re.compile(r"([0-9]{1,15})\.(block|new)")
_FILE_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO would block
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_EVICTION_SECONDS = 10.0


@dataclass(frozen=True)
class StoredBlock:
    """The file of a block.

    Args:
        identity: of the object.
        number: of the block.
        num_bytes: of the file.
        last_use: in ns.
        is_new: it is being written.
    """

    identity: str
    number: int
    num_bytes: int
    last_use: int
    is_new: bool = False


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
            if os.listdir(path) and not cls(path).is_marked():
                message = f"the folder has other files, and no {MARKER}; name an empty folder"
                raise OptionError(with_location(message, Location(path)))
            os.close(os.open(path / MARKER, _FILE_FLAGS | os.O_CREAT, 0o666))
        return cls(path)

    def is_marked(self) -> bool:
        """Return True if the folder is there and has the marker."""
        try:
            return stat.S_ISREG(os.lstat(self.path / MARKER).st_mode)
        except FileNotFoundError:
            return False

    def path_of(self, block: BlockId) -> Path:
        return self.path / block.identity[:2] / block.identity / f"{block.number}.block"

    def has(self, block: BlockId) -> bool:
        """Return True if there is a file of the block with the right length."""
        try:
            facts = os.lstat(self.path_of(block))
        except OSError:
            return False
        return stat.S_ISREG(facts.st_mode) and facts.st_size == block.file_bytes

    @contextlib.contextmanager
    def folder_of(self, identity: str, *, make: bool = False) -> Iterator[int]:
        """Yield a descriptor of the folder of an object. Raises OSErrors.

        - make: make the folder if it is missing, and the cache's own with its marker.
        """
        if make and not self.is_marked():  # it was removed
            CacheFolder.open(self.path)
        descriptors = [os.open(self.path, _FOLDER_FLAGS)]
        try:
            for name in (identity[:2], identity):
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, dir_fd=descriptors[-1])
                flags = _FOLDER_FLAGS | os.O_NOFOLLOW
                descriptors.append(os.open(name, flags, dir_fd=descriptors[-1]))
            yield descriptors[-1]
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def claim(self, block: BlockId) -> "BlockClaim | None":
        """Take the right to write a block; None if another process has it.

        Raises UnreadableFileError, and OptionError if the cache was replaced by another folder.
        """
        new = f"{block.number}.new"
        with (
            os_errors_at(self.path_of(block).with_name(new), "write to the cache"),
            self.folder_of(block.identity, make=True) as folder,
        ):
            lock = FileLock(os.open(new, _FILE_FLAGS | os.O_CREAT, 0o666, dir_fd=folder))
        claim = BlockClaim(self, block, lock)
        return claim if lock.take() and claim.holds() else None

    def is_claimed(self, block: BlockId) -> bool:
        """Return True while a living process writes a block."""
        try:
            with self.folder_of(block.identity) as folder:
                lock = FileLock(os.open(f"{block.number}.new", _FILE_FLAGS, dir_fd=folder))
        except OSError:
            return False
        is_free = lock.take()
        lock.close()
        return not is_free

    def remove_damaged(self, block: BlockId, file: BlockFile) -> None:
        """Remove the file of a block, unless another process replaces it or has done so."""
        claim = self.claim(block)
        if claim is None:
            return
        with contextlib.suppress(OSError), self.folder_of(block.identity) as folder:
            if _is_named(file.descriptor, f"{block.number}.block", folder):
                os.unlink(f"{block.number}.block", dir_fd=folder)
        claim.abandon()

    def blocks(self) -> Iterator[StoredBlock]:
        """Yield all blocks, also those that are being written. Files that vanish are left out."""
        for identity in self._identities():
            with contextlib.suppress(OSError), self.folder_of(identity) as folder:
                for entry in _entries(folder):
                    match = _BLOCK.fullmatch(entry.name)
                    if match is None:
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        facts = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(facts.st_mode):
                            yield StoredBlock(
                                identity,
                                int(match[1]),
                                facts.st_size,
                                facts.st_mtime_ns,
                                match[2] == "new",
                            )

    def _identities(self) -> Iterator[str]:
        """Yield the names of all folders of objects. Links are left out."""
        for prefix in _entries(self.path):
            if _PREFIX.fullmatch(prefix.name) and prefix.is_dir(follow_symlinks=False):
                for folder in _entries(prefix.path):
                    if _IDENTITY.fullmatch(folder.name) and folder.is_dir(follow_symlinks=False):
                        yield folder.name

    def discard(self, block: StoredBlock) -> bool:
        """Remove a block to make room. Return True if it was there."""
        with contextlib.suppress(OSError), self.folder_of(block.identity) as folder:
            os.unlink(f"{block.number}.block", dir_fd=folder)
            return True
        return False

    def discard_new(self, block: StoredBlock) -> bool:
        """Remove what a killed process was writing. Return False if the process lives."""
        with contextlib.suppress(OSError):
            claim = self.claim(BlockId(block.identity, block.number, 0))
            if claim is not None:
                claim.abandon()
                return True
        return False

    @contextlib.contextmanager
    def evicting(self) -> Iterator[bool]:
        """Hold the lock of eviction inside; the value is False if it stays busy for 10 s."""
        if not self.is_marked():
            CacheFolder.open(self.path)
        with os_errors_at(self.path / MARKER, "lock the cache"):
            lock = FileLock(os.open(self.path / MARKER, _FILE_FLAGS | os.O_CREAT, 0o666))
        try:
            yield lock.take(_EVICTION_SECONDS)
        finally:
            lock.close()


class BlockClaim:
    """A block that this process writes: a locked file, which becomes the block's.

    Args:
        folder: of the cache.
        block: that is written.
        lock: of the file.
    """

    def __init__(self, folder: CacheFolder, block: BlockId, lock: FileLock) -> None:
        self._folder, self._block, self._lock = folder, block, lock
        self._name = f"{block.number}.new"

    @property
    def path(self) -> Path:
        """The path of the file while it is written."""
        return self._folder.path_of(self._block).with_name(self._name)

    def holds(self) -> bool:
        """Return True if the locked file still has its name."""
        with contextlib.suppress(OSError), self._folder.folder_of(self._block.identity) as folder:
            return _is_named(self._lock.descriptor, self._name, folder)
        return False

    def reserve(self) -> None:
        """Give the file its full size, so that other processes count it. Raises OSErrors."""
        os.ftruncate(self._lock.descriptor, self._block.file_bytes)

    def write(self, pieces: "list[bytes | memoryview]") -> bool:
        """Write the file, and give it the name of the block.

        Returns False if the file was removed meanwhile. Raises OSErrors.
        """
        offset = 0
        for piece in pieces:
            left = memoryview(piece).cast("B")
            while left:
                written = os.pwrite(self._lock.descriptor, left, offset)
                left, offset = left[written:], offset + written
        try:
            with self._folder.folder_of(self._block.identity) as folder:
                if not _is_named(self._lock.descriptor, self._name, folder):
                    return False
                block = f"{self._block.number}.block"
                os.rename(self._name, block, src_dir_fd=folder, dst_dir_fd=folder)
        except FileNotFoundError:
            return False
        self._lock.close()
        return True

    def abandon(self) -> None:
        """Remove the file, and release the lock."""
        if self._lock.descriptor < 0:
            return
        with contextlib.suppress(OSError), self._folder.folder_of(self._block.identity) as folder:
            if _is_named(self._lock.descriptor, self._name, folder):
                os.unlink(self._name, dir_fd=folder)
        self._lock.close()


def _is_named(descriptor: int, name: str, folder: int) -> bool:
    """Return True if the open file is a regular one that has this name in a folder."""
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(there.st_mode) and os.path.samestat(os.fstat(descriptor), there)


def _entries(folder: "Path | str | int") -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # it vanished
        return []
