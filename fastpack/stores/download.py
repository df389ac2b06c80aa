"""Download: an object, copied to an open local file."""

import os
from collections.abc import Callable

from fastpack.stores.ranges import MAX_REQUEST
from fastpack.stores.store_path import StorePath

_AT_ONCE = 4  # requests
_MAX_CALL_BYTES = 2**20  # that one call writes, so that Ctrl-C is noticed


def download(
    path: StorePath, descriptor: int, progress: Callable[[int], None] | None = None
) -> None:
    """Copy an object to a file, from its beginning. All bytes are of one content.

    Raises ChangedFileError if the object is replaced meanwhile, OSError of the file.

    - progress: called with the bytes done.
    """
    facts, store = path.facts(), path.store
    if facts.size <= MAX_REQUEST:  # some stores refuse a range that is the whole object
        _write(descriptor, memoryview(store.read(path.key, facts.etag)), 0)
        return
    for first in range(0, facts.size, _AT_ONCE * MAX_REQUEST):
        end = min(facts.size, first + _AT_ONCE * MAX_REQUEST)
        starts = list(range(first, end, MAX_REQUEST))
        ends = [min(end, start + MAX_REQUEST) for start in starts]
        for start, buffer in zip(
            starts, store.read_ranges(path.key, starts, ends, facts.etag), strict=True
        ):
            _write(descriptor, memoryview(buffer), start)
        if progress is not None:
            progress(end)


def _write(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        num_written = os.pwrite(descriptor, data[:_MAX_CALL_BYTES], offset)
        data, offset = data[num_written:], offset + num_written
