"""ClassOrder: the samples of a dataset by class, for Balanced."""

import contextlib
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged, Text
from fastpack.errors import FastpackError, FormatError, OptionError, os_errors_at
from fastpack.files.atomic import atomic_write
from fastpack.files.table_file import TableFile, save_tables
from fastpack.files.temporary import create_owned, remove_owned, temporary_in
from fastpack.reading.class_sort import (
    Counts,
    SortedSamples,
    as_array,
    blocks_of,
    class_numbers,
    count_classes,
)
from fastpack.reading.expression import Lazy

# Datasets up to this size keep their order in memory, 8 bytes a sample.
_IN_MEMORY_SAMPLES = 2**21
_ABOUT = {"kind": "fastpack class order", "version": 1}
_TABLES = {"members": ["sample"], "classes": ["size"]}


class ClassOrder:
    """The samples of a dataset, class after class, in rising order within a class. Immutable.

    The classes are in the order of np.unique. Thread-safe, fork-safe and picklable. Up to 2**21
    samples are in memory; more are in a file, of which `members_at` reads the pages it needs.

    - sizes (k,): the samples of each class.

    >>> order = ClassOrder.of(np.array([7, 3, 7]), 3)
    >>> order.sizes.tolist(), order.members_at(np.arange(3)).tolist()
    ([1, 2], [1, 0, 2])
    """

    def __init__(self, source: "_Source", contents: "_Contents") -> None:
        self._source, self._contents = source, contents
        self.sizes = contents.sizes
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls, column: Any, num_rows: int, cache_path: Path | None = None, *, key: str = ""
    ) -> "ClassOrder":
        """Sort the samples by a column, or take the order from a file.

        Args:
            column: the class of each sample: a lazy column, an array or a Text.
            num_rows: number of samples.
            cache_path: a file that keeps the order. It is used if it is sound and has this key;
                otherwise it is written, if its folder allows it.
            key: a digest of the column and the samples.

        Raises:
            OptionError: the column has a list for each sample.
            FastpackError: there is no space for a temporary file.
        """
        prototype = column.prototype() if isinstance(column, Lazy) else column
        if isinstance(prototype, Ragged) and not isinstance(prototype, Text):
            raise OptionError("a column of lists has no single class for each sample")
        source = _Source(column, num_rows, cache_path, key)
        contents = _saved(source) or _computed(source)
        return cls(source, contents)

    def members_at(self, positions: Rows) -> Rows:
        """Return the samples at some positions (k,) of the order."""
        contents = self._contents
        try:
            return contents.members_at(positions)
        except FormatError:
            if self._source.column is None:
                raise
            return self._rebuilt(contents).members_at(positions)

    def _rebuilt(self, damaged: "_Contents") -> "_Contents":
        """Sort the samples again, once for all threads."""
        with self._lock:
            if self._contents is damaged:
                contents = _computed(self._source)
                if not np.array_equal(contents.sizes, self.sizes):
                    raise FormatError(
                        f"{self._source.cache_path} had the classes of other samples; it was "
                        "replaced, so make the loader again"
                    )
                self._contents = contents
            return self._contents

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_pickle, (self._source.without_column(), self._contents)


class _Source(NamedTuple):
    """The origin of an order. A column of None is one of another process."""

    column: Any
    num_rows: int
    cache_path: Path | None
    key: str

    def without_column(self) -> "_Source":
        return self._replace(column=None)


class _Contents:
    """The members in memory, or in a file."""

    sizes: Counts

    def members_at(self, positions: Rows) -> Rows:
        raise NotImplementedError


class _InMemory(_Contents):
    def __init__(self, sizes: Counts, members: Rows) -> None:
        self.sizes, self._members = sizes, members

    def members_at(self, positions: Rows) -> Rows:
        return self._members[positions]


class _InFile(_Contents):
    """Members in a table file. A pickle has its path."""

    def __init__(self, path: Path, num_rows: int, key: str) -> None:
        self._path, self._num_rows, self._key = path, num_rows, key
        self._file = TableFile.open(path)
        self.sizes = self._checked_sizes()

    def members_at(self, positions: Rows) -> Rows:
        members = self._file.take("members", positions)["sample"].astype(np.int64)
        if len(members) and not 0 <= members.min() <= members.max() < self._num_rows:
            self._refuse("has numbers of samples that do not exist")
        return members

    def in_memory(self) -> _InMemory:
        """Read all members."""
        return _InMemory(self.sizes, self.members_at(np.arange(self._num_rows)))

    def _checked_sizes(self) -> Counts:
        layout = self._file.layout
        tables = {name: list(columns) for name, columns in layout.tables.items()}
        if layout.about != _ABOUT or tables != _TABLES or self._file.own != self._key:
            self._refuse("is the order of other samples")
        dtypes = [layout.tables["members"]["sample"], layout.tables["classes"]["size"]]
        num_members, num_classes = map(self._file.num_rows, _TABLES)
        if (
            num_members != self._num_rows
            or num_classes > num_members
            or [dtype.kind for dtype in dtypes] != ["u", "i"]
        ):
            self._refuse("is the order of other samples")
        sizes = self._file.read("classes")["size"].astype(np.int64)
        is_sound = not len(sizes) or (sizes.min() > 0 and sizes.max() <= self._num_rows)
        total = sizes.sum(), sizes.sum(dtype=np.float64)  # the first one may wrap
        if not is_sound or total[0] != self._num_rows or total[1] > 2**62:
            self._refuse("has sizes of classes that do not fit")
        return sizes

    def _refuse(self, problem: str) -> NoReturn:
        raise FormatError(f"{self._path} {problem}; delete it, and it is built again")

    def __reduce__(self) -> tuple[Any, ...]:
        return _InFile, (self._path, self._num_rows, self._key)


def _from_pickle(source: _Source, contents: _Contents) -> ClassOrder:
    return ClassOrder(source, contents)


def _saved(source: _Source) -> _Contents | None:
    """Return the order of the cache file; None if it is absent, damaged or of other samples."""
    if source.cache_path is None:
        return None
    try:
        contents = _InFile(source.cache_path, source.num_rows, source.key)
        return contents.in_memory() if source.num_rows <= _IN_MEMORY_SAMPLES else contents
    except FastpackError:
        return None


def _computed(source: _Source) -> _Contents:
    """Sort the samples, and save the order if possible."""
    if source.num_rows <= _IN_MEMORY_SAMPLES:
        contents = _sorted_in_memory(source)
        if source.cache_path is not None:
            with (
                contextlib.suppress(FastpackError),
                atomic_write(source.cache_path, sync=False) as path,
            ):
                dtype = np.dtype("<u4")
                _save(path, contents._members.astype(dtype), contents.sizes, source.key)
        return contents
    values, sizes = count_classes(blocks_of(source.column))
    if source.cache_path is not None:
        with contextlib.suppress(FastpackError):
            with atomic_write(source.cache_path, sync=False) as path:
                _sort_into(path, source, values, sizes)
            return _InFile(source.cache_path, source.num_rows, source.key)
    return _in_temporary_file(source, values, sizes)


def _sorted_in_memory(source: _Source) -> _InMemory:
    column = source.column
    labels = as_array(column.whole() if isinstance(column, Lazy) else column)
    members = np.argsort(labels, kind="stable").astype(np.int64)
    _, sizes = np.unique(labels, return_counts=True)
    return _InMemory(sizes.astype(np.int64), members)


def _in_temporary_file(source: _Source, values: npt.NDArray[Any], sizes: Counts) -> _InFile:
    """Sort to a temporary file, which this process removes with the order."""
    folder, owner = Path(tempfile.gettempdir()), os.getpid()
    with os_errors_at(folder):
        path, descriptor = create_owned(folder)
    try:
        _sort_into(path, source, values, sizes)
        contents = _InFile(path, source.num_rows, source.key)
    except BaseException:
        remove_owned(path, descriptor, owner)
        raise
    weakref.finalize(contents, remove_owned, path, descriptor, owner)
    return contents


def _sort_into(path: Path, source: _Source, values: npt.NDArray[Any], sizes: Counts) -> None:
    """Write the table file `path`, with the help of a temporary file beside it."""

    def classes() -> Iterator[npt.NDArray[np.int64]]:
        return (class_numbers(values, block) for block in blocks_of(source.column))

    with os_errors_at(path), temporary_in(path.parent) as scratch:
        members = SortedSamples(scratch, sizes)
        members.fill(classes)
        _save(path, members, sizes, source.key)


def _save(path: Path, members: Any, sizes: Counts, key: str) -> None:
    tables = {"members": {"sample": members}, "classes": {"size": sizes.astype("<i8")}}
    save_tables(path, tables, about=_ABOUT, own=key)
