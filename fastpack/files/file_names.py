"""FileNames: the names of many files in one piece of memory, as the system takes them; what it says of them; their bytes."""

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

# Looking at fewer files is done before threads have begun.
_FEW = 256
# Names that are there as a str each at one time.
_LISTED = 4096
# Whether the system's names are written as Text is: everywhere but under a locale of old.
_TEXT_IS_NAMES = sys.getfilesystemencoding() == "utf-8"


def path_of(name: str, value: Any) -> Path:
    """The argument `name` as a path. Raises OptionError for what is not one, UnreadableFileError for a name that is too long."""
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes):
        raise OptionError(
            f"{name} must be a path, not {type(value).__name__}; give a str or a pathlib.Path"
        )
    path = Path(value)
    try:
        os.lstat(path)
    except ValueError as error:  # a NUL, or half of a surrogate pair
        raise OptionError(
            f"{name} is not a valid path ({error}), but {checks.shown(str(path))}; correct it"
        ) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise from_os_error(error, f"use the {name}", checks.shown(str(path))) from error
    return path


class FileNames(Sequence[str]):
    """Names of files, any number of times each, all behind the same `from_folder`, whose slash it ends with. A str for each of 500,000
    would be three times as large. A Text of names is kept as it is: who has it for something else, too, pays for it once.

    >>> names = FileNames(["a.jpg", "folder/b.jpg"])
    >>> len(names), names[1], list(FileNames(Text.of(["b.jpg"]), "folder/"))
    (2, 'folder/b.jpg', ['folder/b.jpg'])
    """

    def __init__(self, names: Iterable[str | os.PathLike[str]], folder: str = "") -> None:
        self._folder = _encoded(folder)
        self._names: Ragged = (
            names if isinstance(names, Text) and _TEXT_IS_NAMES else _joined(names)
        )
        if np.count_nonzero(self._names.values) != len(self._names.values):
            row = (
                int(
                    np.searchsorted(
                        self._names.offsets, np.argmin(self._names.values), side="right"
                    )
                )
                - 1
            )
            raise SourceError(
                f"the file name {self[row]!r} is no file's name, since it holds a NUL; correct it"
            )

    def is_made_of(self, names: Text) -> bool:
        """Whether that text is where these names are, behind their folder."""
        return self._names is names

    def as_text(self) -> Text:
        """The same names; in the same memory, where that can be."""
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
        """A checksum of all names."""
        return f"{crc32c(self._folder + digest(self._names).encode()):08x}"

    def stat(
        self, passed_over: Collection[int] = ()
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], dict[int, FastpackError]]:
        """Sizes, bytes, and times of modification, ns, of all but the files `passed_over`, which get zeros; and for each file that is
        not there, or is none, an error that says so."""
        sizes, times, errors = (
            np.zeros(len(self), np.int64),
            np.zeros(len(self), np.int64),
            np.zeros(len(self), np.int32),
        )
        errors[list(passed_over)] = PASSED_OVER
        looking = StatFiles(
            self._folder, self._names.values, self._names.offsets, sizes, times, errors
        )
        run_in_threads(looking.run, 1 if len(self) < _FEW else None)
        faults = np.flatnonzero((errors != 0) & (errors != PASSED_OVER))
        return sizes, times, {row: _fault(int(errors[row]), self[row]) for row in faults.tolist()}

    def read(
        self,
        rows: npt.NDArray[np.int64],
        out: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.int64],
    ) -> ProbedFiles:
        """The bytes of files: of number rows[i] to out[offsets[i]:offsets[i + 1]], which must be its size. Raises what the first of `rows`
        that cannot be read meets."""
        crcs, infos, statuses = (
            np.empty(len(rows), np.uint32),
            np.zeros(len(rows), IMAGE_INFO),
            np.empty(len(rows), np.int32),
        )
        names = self._folder, self._names.values, self._names.offsets
        read = GatherFiles(
            *names, rows, out, offsets, crcs, infos, statuses, max_ahead=_max_ahead()
        )
        raise_first([read.run()], lambda row: Location(self[int(rows[row])]))
        files = ProbedFiles(out, offsets)
        files.crcs, files.probed = crcs, (infos, statuses)
        return files


def _max_ahead() -> int:
    """Files that a thread may have open at a time, to ask for them ahead: together, as many threads as the pool has leave half of what
    this process may open to others."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, most // 2 // max_threads()) if most != resource.RLIM_INFINITY else sys.maxsize


def _joined(names: Iterable[str | os.PathLike[str]]) -> Text | Ragged:
    growing = RaggedBuilder()
    growing.extend(_encoded(os.fspath(name)) for name in names)
    return growing.finished(Text if _TEXT_IS_NAMES else Ragged)


def _encoded(name: str) -> bytes:
    try:
        return os.fsencode(name)
    except UnicodeEncodeError as error:
        raise SourceError(
            f"the file name {name!r} is no file's name: {error.reason}; correct it"
        ) from error


def _fault(error: int, name: str) -> FastpackError:
    if error == NOT_A_FILE:
        return UnreadableFileError(
            with_location(
                "this is a folder or a device, not an image file; leave it out", Location(name)
            )
        )
    return from_os_error(OSError(error, os.strerror(error)), "read the image", name)
