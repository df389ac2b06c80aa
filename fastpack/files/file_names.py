"""FileNames: names of many files in one block of memory; reads and stats them."""

import errno
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack._native.gather import NOT_A_FILE, PASSED_OVER, GatherFiles, StatFiles
from fastpack.core import checks
from fastpack.core.dtypes import IMAGE_INFO
from fastpack.core.ragged import Ragged, RaggedBuilder, Text, digest
from fastpack.core.threads import max_threads, run_in_threads
from fastpack.errors import (
    FastpackError,
    Location,
    OptionError,
    SourceError,
    UnreadableFileError,
    from_os_error,
    raise_first,
    with_location,
)
from fastpack.images.headers import ProbedFiles
from fastpack.stores.store_path import as_path, is_in_store, path_at

# To stat fewer files takes less time than to start threads.
_FEW = 256
# Names that exist as a str each at one time.
_LISTED = 4096
# Whether the OS encodes names as Text does: always, except in a non-UTF-8 locale.
_TEXT_IS_NAMES = sys.getfilesystemencoding() == "utf-8"


def path_of(name: str, value: Any) -> Path:
    """Return the argument `name` as a path; a URL as a StorePath, which has its interface.

    Raises OptionError for other types, UnreadableFileError for a name that is too long.
    """
    value = path_at(value)
    if is_in_store(value):
        return as_path(value)
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes):
        kind = type(value).__name__
        raise OptionError(f"{name} must be a path, not {kind}; give a str or a pathlib.Path")
    path = Path(value)
    try:
        os.lstat(path)
    except ValueError as error:  # a NUL, or half of a surrogate pair
        message = f"{name} is not a valid path ({error}), but {checks.shown(str(path))}"
        raise OptionError(f"{message}; correct it") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise from_os_error(error, f"use the {name}", checks.shown(str(path))) from error
    return path


def local_path_of(name: str, value: Any) -> Path:
    """Return the argument `name` as a local path. Raises OptionError for a URL too."""
    path = path_of(name, value)
    if is_in_store(path):
        message = f"{name} must be a path on this machine, not a URL"
        raise OptionError(with_location(f"{message}; copy the object to a disk", Location(path)))
    return path


class FileNames(Sequence[str]):
    """Names of files below a folder, with repetitions.

    Takes a third of the memory of strings. A Text of names is kept as it is, so that other parts
    may share it.

    Args:
        names: paths below the folder.
        folder: the folder with a slash at the end; "" for none.

    >>> names = FileNames(["a.jpg", "folder/b.jpg"])
    >>> len(names), names[1], list(FileNames(Text.of(["b.jpg"]), "folder/"))
    (2, 'folder/b.jpg', ['folder/b.jpg'])
    """

    def __init__(self, names: Iterable[str | os.PathLike[str]], folder: str = "") -> None:
        self._folder = _encoded(folder)
        is_shared = isinstance(names, Text) and _TEXT_IS_NAMES
        self._names: Ragged = names if is_shared else _joined(names)  # type: ignore[assignment]
        values = self._names.values
        if np.count_nonzero(values) != len(values):
            row = int(np.searchsorted(self._names.offsets, np.argmin(values), side="right")) - 1
            raise SourceError(f"the file name {self[row]!r} has a NUL; correct it")

    def is_made_of(self, names: Text) -> bool:
        """Return True if these names share the memory of that text."""
        return self._names is names

    def as_text(self) -> Text:
        """Return the same names, in the same memory if there is no folder."""
        return self._names if isinstance(self._names, Text) and not self._folder else Text.of(self)

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> list[str]: ...
    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[row] for row in range(len(self))[i]]
        return os.fsdecode(self._folder + self._names.bytes(range(len(self))[i]))

    def __iter__(self) -> Iterator[str]:
        values, offsets = self._names.values, self._names.offsets
        for first in range(0, len(self), _LISTED):
            ends = offsets[first : first + _LISTED + 1].tolist()
            data = values[ends[0] : ends[-1]].tobytes()
            yield from (
                os.fsdecode(self._folder + data[start - ends[0] : end - ends[0]])
                for start, end in pairwise(ends)
            )

    def digest(self) -> str:
        """Return a checksum of all names."""
        return f"{crc32c(self._folder + digest(self._names).encode()):08x}"

    def stat(
        self, skipped: Collection[int] = ()
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], dict[int, FastpackError]]:
        """Return sizes in bytes, (n,), modification times in ns, (n,), and faults by row.

        A file that is missing, or is not a regular file, has a fault. Rows in `skipped` have zeros.
        """
        sizes, times = np.zeros(len(self), np.int64), np.zeros(len(self), np.int64)
        errors = np.zeros(len(self), np.int32)
        errors[list(skipped)] = PASSED_OVER
        names = self._folder, self._names.values, self._names.offsets
        job = StatFiles(*names, sizes, times, errors)
        run_in_threads(job.run, 1 if len(self) < _FEW else None)
        faults = np.flatnonzero((errors != 0) & (errors != PASSED_OVER))
        return sizes, times, {row: _fault(int(errors[row]), self[row]) for row in faults.tolist()}

    def read(
        self,
        rows: npt.NDArray[np.int64],
        out: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.int64],
    ) -> ProbedFiles:
        """Read files. Raises the error of the first of `rows` that cannot be read.

        Args:
            rows: numbers of the files, (k,).
            out: memory for the bytes, (offsets[-1],) uint8.
            offsets: file rows[i] goes to out[offsets[i]:offsets[i + 1]], which must have its size.
        """
        crcs, statuses = np.empty(len(rows), np.uint32), np.empty(len(rows), np.int32)
        infos = np.zeros(len(rows), IMAGE_INFO)
        names = self._folder, self._names.values, self._names.offsets
        results = crcs, infos, statuses
        job = GatherFiles(*names, rows, out, offsets, *results, max_ahead=_max_ahead())
        raise_first([job.run()], lambda row: Location(self[int(rows[row])]))
        files = ProbedFiles(out, offsets)
        files.crcs, files.probed = crcs, (infos, statuses)
        return files


def _max_ahead() -> int:
    """Return how many files a thread may have open for prefetching.

    All threads of the pool together use half of the limit of this process.
    """
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else max(1, limit // 2 // max_threads())


def _joined(names: Iterable[str | os.PathLike[str]]) -> Text | Ragged:
    builder = RaggedBuilder()
    builder.extend(_encoded(os.fspath(name)) for name in names)
    return builder.finished(Text if _TEXT_IS_NAMES else Ragged)


def _encoded(name: str) -> bytes:
    try:
        return os.fsencode(name)
    except UnicodeEncodeError as error:
        message = f"the file name {name!r} cannot be encoded: {error.reason}; correct it"
        raise SourceError(message) from error


def _fault(error: int, name: str) -> FastpackError:
    if error == NOT_A_FILE:
        message = "this is a folder or a device, not an image file; leave it out"
        return UnreadableFileError(with_location(message, Location(name)))
    return from_os_error(OSError(error, os.strerror(error)), "read the image", name)
