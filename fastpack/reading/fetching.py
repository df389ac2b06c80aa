"""Reading a batch in several ways, and blobs that only their container can read."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.bisect import bisect
from fastpack.core.dtypes import Rows
from fastpack.core.schema import Field
from fastpack.errors import FastpackError, with_location
from fastpack.formats import registry
from fastpack.formats.index.index import Index
from fastpack.images.decode import Failures

# Which positions of a batch are read in one way, and the function that reads them.
Way = tuple[npt.NDArray[np.bool_], Callable[[Rows], None]]


def read_each(ways: list[Way], keep_going: bool) -> Failures:
    """Read the rows of each way together. Return the failures, or raise that of the lowest row."""
    failures: Failures = {}
    for is_read, read in ways:
        for rows, result in bisect(read, np.flatnonzero(is_read)):
            if isinstance(result, FastpackError):
                failures[int(rows[0])] = result
                if not keep_going:
                    break
    if failures and not keep_going:
        raise failures[min(failures)]
    return failures


def fetch(index: Index, field: Field, rows: Rows) -> list[Any]:
    """Read blobs without spans through their containers, shard by shard."""
    blobs: list[Any] = [None] * len(rows)
    shard_numbers = index.shard_numbers[rows]
    for number in distinct(shard_numbers):
        shard = index.shards[number]
        positions = np.flatnonzero(shard_numbers == number)
        records = index.record_numbers[rows[positions]].tolist()
        files = None if index.files is None else index.files.take(rows[positions])
        try:
            fetched = registry.named(shard.container).fetch(shard, field, records, files)
        except FastpackError as error:
            if len(rows) > 1:  # `read_each` tries again with fewer rows
                raise
            message = with_location(str(error), index.location(int(rows[0])))
            raise type(error)(*error.args[:-1], message) from error
        for position, blob in zip(positions, fetched, strict=True):
            blobs[position] = blob
    return blobs


def distinct(numbers: npt.NDArray[np.uint32]) -> list[int]:
    """Return each number once, in order. np.unique would import numpy.ma."""
    return np.flatnonzero(np.bincount(numbers)).tolist()
