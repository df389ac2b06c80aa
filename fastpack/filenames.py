"""FileNames: the names of many files in one piece of memory, as the system takes them; what it says of them; their bytes."""

import os
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from fastpack._native.gather import NOT_A_FILE, GatherFiles, LookAtFiles
from fastpack.errors import FastpackError, Place, SourceError, UnreadableFileError, at, from_os_error, raise_first
from fastpack.headers import ImageFiles
from fastpack.pool import share
from fastpack.ragged import digest
from fastpack.structs import IMAGE_INFO

# Looking at fewer files is done before threads have begun.
_FEW = 256
# Names that are there as a str each at one time.
_LISTED = 4096


class FileNames(Sequence[str]):
    """Names of files, any number of times each. A str for each of 500,000 would be three times as large.

    >>> names = FileNames(["a.jpg", "folder/b.jpg"])
    >>> len(names), names[1], list(names)
    (2, 'folder/b.jpg', ['a.jpg', 'folder/b.jpg'])
    """

    def __init__(self, names: Iterable[str | os.PathLike[str]]) -> None:
        joined, starts = bytearray(), array("q")
        for name in names:
            starts.append(len(joined))
            joined += _encoded(os.fspath(name))
            joined.append(0)
        self._names, self._starts = np.frombuffer(joined, np.uint8), np.frombuffer(starts, np.int64)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> list[str]: ...
    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            rows = range(len(self))[i]
            if rows.step != 1 or not rows:
                return [self[row] for row in rows]
            end = self._starts[rows.stop] if rows.stop < len(self) else len(self._names)
            return os.fsdecode(self._names[self._starts[rows.start] : end].tobytes()).split("\0")[:-1]
        row = range(len(self))[i]
        end = self._starts[row + 1] if row + 1 < len(self) else len(self._names)
        return os.fsdecode(self._names[self._starts[row] : end - 1].tobytes())

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _LISTED):
            yield from self[first : first + _LISTED]

    def digest(self) -> str:
        """A checksum of all names."""
        return digest(self._names)

    def look(self, passed_over: Collection[int] = ()) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], dict[int, FastpackError]]:
        """Sizes, bytes, and times of modification, ns, of all but the files `passed_over`, which get zeros; and for each file that is
        not there, or is none, an error that says so."""
        rows = np.delete(np.arange(len(self)), list(passed_over)) if passed_over else slice(None)
        starts = self._starts[rows]
        found, errors = np.zeros((2, len(starts)), np.int64), np.zeros(len(starts), np.int32)
        share(LookAtFiles(self._names, starts, found[0], found[1], errors).run, 1 if len(starts) < _FEW else None)
        sizes, times, faults = np.zeros(len(self), np.int64), np.zeros(len(self), np.int64), np.zeros(len(self), np.int32)
        sizes[rows], times[rows], faults[rows] = found[0], found[1], errors
        return sizes, times, {row: _fault(int(faults[row]), self[row]) for row in np.flatnonzero(faults).tolist()}

    def read(self, rows: npt.NDArray[np.int64], out: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> ImageFiles:
        """The bytes of files: of number rows[i] to out[offsets[i]:offsets[i + 1]], which must be its size. Raises what the first of `rows`
        that cannot be read meets."""
        crcs, infos, statuses = np.empty(len(rows), np.uint32), np.zeros(len(rows), IMAGE_INFO), np.empty(len(rows), np.int32)
        read = GatherFiles(self._names, self._starts, rows, out, offsets, crcs, infos, statuses)
        raise_first([read.run()], lambda row: Place(self[int(rows[row])]))
        files = ImageFiles(out, offsets)
        files.crcs, files.probed = crcs, (infos, statuses)
        return files


def _encoded(name: str) -> bytes:
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError as error:
        raise SourceError(f"the file name {name!r} is no file's name: {error.reason}; correct it") from error
    if b"\0" in encoded:
        raise SourceError(f"the file name {name!r} is no file's name, since it holds a NUL; correct it")
    return encoded


def _fault(error: int, name: str) -> FastpackError:
    if error == NOT_A_FILE:
        return UnreadableFileError(at("this is a folder or a device, not an image file; leave it out", Place(name)))
    return from_os_error(OSError(error, os.strerror(error)), "read the image", name)
