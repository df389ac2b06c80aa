"""Finds samples whose files have equal bytes."""

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fastpack.core.bisect import bisect
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged
from fastpack.errors import FastpackError, OptionError
from fastpack.packing.subset import _read_whole
from fastpack.sources import Source

# Files that are compared at one time.
_COMPARED_SAMPLES = 32


def duplicates(source: Source, rows: Rows) -> dict[int, int]:
    """Samples of `rows` whose image has exactly the bytes of an earlier one: number -> number of the first of them.

    Only files of which another has the size are read. One that cannot be read, or is empty, equals none.
    Samples of one file, such as the captions of an image, are not duplicates.
    """
    sizes = source.sizes[rows]
    _, which, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    candidates = rows[(counts[which] > 1) & (sizes > 0)]
    contents, is_known = (
        np.zeros((len(candidates), 2), np.uint64),
        np.zeros(len(candidates), np.bool_),
    )
    for start in range(0, len(candidates), _COMPARED_SAMPLES):
        for location, content in enumerate(
            _digests(source, candidates[start : start + _COMPARED_SAMPLES]), start
        ):
            if content is not None:
                contents[location], is_known[location] = np.frombuffer(content, np.uint64), True
    candidates = candidates[is_known]
    firsts = candidates[_first_equals(contents[is_known])]
    is_copy = firsts != candidates
    copies = zip(candidates[is_copy].tolist(), firsts[is_copy].tolist(), strict=True)
    return {row: first for row, first in copies if source.location(row) != source.location(first)}


def _first_equals(contents: npt.NDArray[np.uint64]) -> Rows:
    """Of each row (n, 2), the first that equals it. In arrays: who has copies of 500,000 files has not the memory for as many objects."""
    order = np.lexsort(contents.T)  # equal ones side by side, in the order they came in
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (contents[order[1:]] != contents[order[:-1]]).any(axis=1)
    firsts = np.empty(len(order), np.int64)
    firsts[order] = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
    return firsts


def _digests(source: Source, rows: Rows) -> Iterator[bytes | None]:
    """BLAKE2b of each image file, 16 bytes; None of a file that cannot be read."""
    for _, digests in bisect(lambda some: _digests_of(source, some), rows):
        yield from [None] if isinstance(digests, FastpackError) else digests


def _digests_of(source: Source, rows: Rows) -> list[bytes]:
    batch = _read_whole(source, rows)
    image_field = source.schema.image_field
    blobs = batch[image_field.name] if image_field is not None else None
    if not isinstance(blobs, Ragged):
        raise OptionError("duplicates are found among image files; the source gives none")
    return [hashlib.blake2b(blobs[row].data, digest_size=16).digest() for row in range(len(blobs))]
