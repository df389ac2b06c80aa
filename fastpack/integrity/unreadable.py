"""Finds samples that cannot be read, by reading them."""

from collections.abc import Iterator

from fastpack.core.bisect import bisect
from fastpack.core.dtypes import Rows
from fastpack.errors import FastpackError
from fastpack.formats.index.index import Index
from fastpack.reading.options import ReadOptions
from fastpack.reading.reader import Reader
from fastpack.reading.samples import Samples

_BATCH_SAMPLES = 64


def find_unreadable(index: Index, rows: Rows) -> Iterator[int]:
    """Read the samples of these rows (n,), and yield the rows that fail."""
    reader = Reader(Samples.of(index), ReadOptions(decode=False))
    for first in range(0, len(rows), _BATCH_SAMPLES):
        for tried, result in bisect(reader.read, rows[first : first + _BATCH_SAMPLES]):
            if isinstance(result, FastpackError):
                yield int(tried[0])
