"""Finds samples whose files have equal bytes."""

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fastpack.core.bisect import bisect
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged
from fastpack.errors import FastpackError, OptionError
from fastpack.packing.subset import read_whole
from fastpack.sources import Source

# Files that are compared at one time.
_COMPARED_SAMPLES = 32


def duplicates(source: Source, rows: Rows) -> dict[int, int]:
    """Map samples of `rows` to the first sample whose image has equal bytes.

    Reads only files that share their size with another. Unreadable and empty files are not
    duplicates. Neither are samples of one file, such as several captions of an image.
    """
    sizes = source.sizes[rows]
    _, which, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    candidates = rows[(counts[which] > 1) & (sizes > 0)]
    digests = np.zeros((len(candidates), 2), np.uint64)
    is_known = np.zeros(len(candidates), np.bool_)
    for start in range(0, len(candidates), _COMPARED_SAMPLES):
        batch = candidates[start : start + _COMPARED_SAMPLES]
        for number, digest in enumerate(_digests(source, batch), start):
            if digest is not None:
                digests[number], is_known[number] = np.frombuffer(digest, np.uint64), True
    candidates = candidates[is_known]
    firsts = candidates[_first_equals(digests[is_known])]
    is_copy = firsts != candidates
    copies = zip(candidates[is_copy].tolist(), firsts[is_copy].tolist(), strict=True)
    return {row: first for row, first in copies if source.location(row) != source.location(first)}


def _first_equals(digests: npt.NDArray[np.uint64]) -> Rows:
    """Return for each row (n, 2) the first equal row."""
    order = np.lexsort(digests.T)  # stable: equal rows stay in order
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (digests[order[1:]] != digests[order[:-1]]).any(axis=1)
    firsts = np.empty(len(order), np.int64)
    firsts[order] = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
    return firsts


def _digests(source: Source, rows: Rows) -> Iterator[bytes | None]:
    """Yield BLAKE2b of each image file, 16 bytes; None for an unreadable file."""
    for _, digests in bisect(lambda some: _digests_of(source, some), rows):
        yield from [None] if isinstance(digests, FastpackError) else digests


def _digests_of(source: Source, rows: Rows) -> list[bytes]:
    batch = read_whole(source, rows)
    image_field = source.schema.image_field
    blobs = batch[image_field.name] if image_field is not None else None
    if not isinstance(blobs, Ragged):
        raise OptionError("duplicates are searched among image files; leave duplicates out")
    return [hashlib.blake2b(blobs[row].data, digest_size=16).digest() for row in range(len(blobs))]
