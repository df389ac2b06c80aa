"""FileUpload: a file that is uploaded in parts, and its checksums.

The client aborts an upload when a part fails, or when the iterator of the parts raises. It does not
abort an upload that is canceled. So an upload is stopped by its iterator.
"""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from fastpack.errors import ChangedFileError, Location, os_errors_at, with_location
from fastpack.stores.store import Buffer, UploadProgress

# Ten parts may be on their way at once: a line of 0.7 MB/s sends them before the deadline.
_PART_BYTES = 2**23
_MAX_PARTS = 10_000  # of an upload to S3
_MIB = 2**20


class UploadStoppedError(Exception):
    """The upload ends before its file does."""


class FileUpload:
    """The parts of a local file, and checksums of those that were read.

    Args:
        path: the file.
        progress: called before each part; an error that it raises ends the upload.
        part_bytes: of a part; the last one may be shorter.
    """

    def __init__(
        self, path: Path, progress: UploadProgress | None = None, part_bytes: int = _PART_BYTES
    ) -> None:
        self.path, self._progress = path, progress
        with os_errors_at(path, "upload"):
            self.size = path.stat().st_size
        least = -(-self.size // _MAX_PARTS)
        self.part_bytes = max(part_bytes, -(-least // _MIB) * _MIB)
        self.is_in_parts = self.size > self.part_bytes
        self._digests: list[bytes] = []
        self._is_stopped = threading.Event()
        self.error: BaseException | None = None

    def stop(self) -> None:
        """End the upload at the next part."""
        self._is_stopped.set()

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the parts. Raises UploadStoppedError, and sets `error`, if there is no next one."""
        self._digests = []
        with open(self.path, "rb", buffering=0) as file:
            for start in range(0, self.size, self.part_bytes):
                # Reading and the checksum take 15 ms a part; requests go on meanwhile.
                yield await asyncio.to_thread(self._next_part, file, start)

    def _next_part(self, file: BinaryIO, start: int) -> bytes:
        try:
            return self._part(file, start)
        except BaseException as error:  # of the progress too; KeyboardInterrupt would end the loop
            self.error = error
            raise UploadStoppedError from None

    def whole(self) -> bytes:
        """Return the file as one part."""
        with os_errors_at(self.path, "upload"), open(self.path, "rb", buffering=0) as file:
            return self._part(file, 0)

    def ended(self) -> None:
        """Report that all bytes were sent."""
        if self._progress is not None:
            self._progress(self.size, self.size)

    def _part(self, file: BinaryIO, start: int) -> bytes:
        if self._is_stopped.is_set():
            raise UploadStoppedError
        if self._progress is not None:
            self._progress(start, self.size)
        num_bytes = min(self.part_bytes, self.size - start)
        with os_errors_at(self.path, "upload"):
            data = file.read(num_bytes)
        if len(data) != num_bytes:
            message = "the file became shorter while it was uploaded; pack again"
            raise ChangedFileError(with_location(message, Location(self.path)))
        self._digests.append(_md5(data))
        return data

    @property
    def etag(self) -> str:
        """The etag that S3 gives an object of these parts, if it does not encrypt it with KMS."""
        if not self.is_in_parts:
            return self._digests[0].hex()
        return f"{_md5(b''.join(self._digests)).hex()}-{len(self._digests)}"

    def has_etag(self, etag: str) -> bool:
        """Return True if an object's etag is the one of these parts."""
        return etag.strip('"') == self.etag

    def is_equal(self, read_ranges: Callable[[Sequence[int], Sequence[int]], list[Buffer]]) -> bool:
        """Read the object back, a part at a time. Return True if all parts are the same."""
        for number, digest in enumerate(self._digests):
            start = number * self.part_bytes
            end = min(start + self.part_bytes, self.size)
            if end > start and _md5(read_ranges([start], [end])[0]) != digest:
                return False
        return True


def _md5(data: Buffer) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
